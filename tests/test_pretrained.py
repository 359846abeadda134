"""Reading other tokenizers: what is taken over, and how the rest is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from tei import FileFormatError, Tokenizer, UnsupportedError, VocabularyError
from tei.demo import model_directory

TRIMMING = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "p", "##l"]


@pytest.fixture
def document() -> dict[str, Any]:
    model = tokenizers.models.WordPiece({t: i for i, t in enumerate(TOKENS)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return json.loads(tokenizer.to_str())


def read(document: dict[str, Any], tmp_path: Path) -> Tokenizer:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document))
    return Tokenizer.from_pretrained(path)


def test_every_way_in_gives_the_same_tokenizer(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(model_directory())
    directory = Path(model_directory())
    ways = [
        directory,
        str(directory),
        directory / "tokenizer.json",
        directory / "vocab.txt",
        theirs,
        theirs.backend_tokenizer,
    ]
    found = [Tokenizer.from_pretrained(way) for way in ways]
    assert {tok.fingerprint for tok in found} == {found[0].fingerprint}
    assert {(tok.pad_token, tok.cls_token_id, tok.mask_token_id) for tok in found} == {("[PAD]", 101, 103)}
    assert {tuple(tok("a", "b").input_ids) for tok in found} == {tuple(theirs("a", "b").input_ids)}


def test_a_tokenizer_without_template_adds_nothing(document: dict[str, Any], tmp_path: Path) -> None:
    assert read(document, tmp_path)("playing").input_ids == [5, 6]


def test_bert_processing_is_understood(document: dict[str, Any], tmp_path: Path) -> None:
    document["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    assert read(document, tmp_path)("play", "play").input_ids == [2, 5, 3, 5, 3]


def processor_with(token: str, number: int) -> dict[str, Any]:
    parts = [{"SpecialToken": {"id": "begin", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    special = {"begin": {"id": "begin", "ids": [number], "tokens": [token]}}
    return {"type": "TemplateProcessing", "single": parts, "pair": parts, "special_tokens": special}


@pytest.mark.parametrize(
    ("processor", "match"),
    [
        ({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 4]}, r"'\[CLS\]' .* id 4, .* id 2"),
        (processor_with("[CLS]", 7), r"'\[CLS\]' .* id 7, .* id 2"),
        (processor_with("[BOS]", 2), r"'\[BOS\]' .* its vocabulary lacks"),
    ],
)
def test_special_tokens_with_other_ids_are_refused(
    document: dict[str, Any], tmp_path: Path, processor: dict[str, Any], match: str
) -> None:
    document["post_processor"] = processor
    with pytest.raises(VocabularyError, match=match):
        read(document, tmp_path)


@pytest.mark.parametrize("decoder", [None, {"type": "WordPiece", "prefix": "@@", "cleanup": True}])
def test_a_decoder_stays_what_it_is(document: dict[str, Any], tmp_path: Path, decoder: Any) -> None:
    document["decoder"] = decoder
    tok = read(document, tmp_path)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(document))
    assert tok.decode([5, 6, 1]) == theirs.decode([5, 6, 1], skip_special_tokens=False) == "play ##ing [UNK]"
    tok.save(tmp_path)
    assert json.loads((tmp_path / "tokenizer.json").read_text())["decoder"] == decoder
    assert Tokenizer.load(tmp_path).decode([5, 6]) == "play ##ing"


def test_only_declared_tokens_are_skipped(document: dict[str, Any], tmp_path: Path) -> None:
    document["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    document["added_tokens"] = [{"id": 4, "content": "[MASK]", "special": True, **flags}]
    tok, theirs = read(document, tmp_path), tokenizers.Tokenizer.from_str(json.dumps(document))
    ids = [2, 5, 6, 1, 4, 0]
    assert tok.decode(ids, skip_special_tokens=True) == theirs.decode(ids) == "[CLS] playing [UNK] [PAD]"


def test_special_tokens_that_count_as_words_are_refused(document: dict[str, Any], tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    backend = tokenizers.Tokenizer.from_str(json.dumps(document))
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, split_special_tokens=True)
    backend.encode_special_tokens = True
    for source, name in ((backend, "encode_special_tokens=True"), (fast, "split_special_tokens=True")):
        with pytest.raises(UnsupportedError, match=name):
            Tokenizer.from_pretrained(source)
    (tmp_path / "tokenizer_config.json").write_text('{"split_special_tokens": true}')
    with pytest.raises(UnsupportedError, match="split_special_tokens=True"):
        read(document, tmp_path)


def test_vocab_txt_follows_its_config(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes("\n".join([*TOKENS, "P", "##L\r"]).encode())
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "cls_token": {"content": "[CLS]"}}')
    tok = Tokenizer.from_pretrained(tmp_path)
    assert tok.encode("PL").tokens == ["P", "##L"]
    assert tok("PL").input_ids == [2, 9, 10, 3]


@pytest.mark.parametrize(
    ("section", "value", "match"),
    [
        ("model", {"type": "BPE", "vocab": {}, "merges": []}, "model of kind BPE.*supported is WordPiece"),
        ("normalizer", {"type": "Nmt"}, "normalizer of kind Nmt.*supported is BertNormalizer, NFC"),
        ("normalizer", {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Nmt"}]}, "of kind Nmt"),
        ("normalizer", {"type": "Replace", "pattern": {"Regex": "a"}, "content": "b"}, "Replace pattern of kind Regex"),
        ("normalizer", {"type": "Replace", "pattern": {"String": ""}, "content": "b"}, 'normalizer step "Replace'),
        ("pre_tokenizer", {"type": "Metaspace"}, "pre-tokenizer of kind Metaspace"),
        ("pre_tokenizer", {"type": "Punctuation", "behavior": "Odd"}, 'pre-tokenizer step "Punctuation Odd"'),
        ("decoder", {"type": "ByteLevel"}, "decoder of kind ByteLevel"),
        ("post_processor", {"type": "Odd"}, "post-processor of kind Odd"),
        ("post_processor", {"type": "Sequence", "processors": [{"type": "Odd"}]}, "of kind Odd"),
        ("post_processor", {"type": "Sequence", "processors": [TRIMMING, TRIMMING]}, "kind Sequence of 2"),
    ],
)
def test_unsupported_components_are_named(
    document: dict[str, Any], tmp_path: Path, section: str, value: Any, match: str
) -> None:
    document[section] = value
    with pytest.raises(UnsupportedError, match=match):
        read(document, tmp_path)


@pytest.mark.parametrize(
    ("vocab", "match"),
    [
        ({"[UNK]": 0, "a": 2}, "no token with id 1"),
        ({"[UNK]": 0, "a": 1, "b": 1}, "id 1 to both 'a' and 'b'"),
        ({"a": 0}, r"unknown token \"\[UNK\]\" is not in the vocabulary of 1"),
    ],
)
def test_broken_vocabularies_are_refused(
    document: dict[str, Any], tmp_path: Path, vocab: dict[str, int], match: str
) -> None:
    document["model"]["vocab"] = vocab
    document["added_tokens"] = []
    with pytest.raises(VocabularyError, match=match):
        read(document, tmp_path)


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (["added_tokens", 0, "lstrip"], None, r"lacks the field lstrip of added_tokens\[0\], expected bool"),
        (["added_tokens", 0, "id"], "0", r"'0' as id of added_tokens\[0\], expected int"),
        (["added_tokens", 0], "x", r"'x' as its added_tokens\[0\], not an object"),
        (["normalizer"], "x", "'x' as its normalizer, not an object"),
        (["normalizer"], {"type": "Sequence", "normalizers": ["x"]}, "'x' as its normalizer, not an object"),
        (["pre_tokenizer"], [1], r"\[1\] as its pre_tokenizer, not an object"),
        (["decoder"], "WordPiece", "'WordPiece' as its decoder, not an object"),
        (["post_processor"], "x", "'x' as its post_processor, not an object"),
        (["post_processor"], {"type": "Sequence", "processors": ["x"]}, "'x' as its post-processor, not an object"),
        (
            ["post_processor"],
            {"type": "BertProcessing", "cls": [[], 1], "sep": ["[SEP]", 3]},
            "post-processor of kind Bert",
        ),
        (["padding"], {"pad_id": 0}, "None as pad_token of its padding"),
        (
            ["model", "max_input_chars_per_word"],
            "x",
            "'x' as max_input_chars_per_word of its model section, not an int",
        ),
        (["model", "max_input_chars_per_word"], -1, "-1 as max_input_chars_per_word"),
        (["model", "unk_token"], 3, "3 as unk_token of its model section, not a str"),
        (["model", "vocab", "play"], [5], r"gives 'play' the id \[5\] in its vocabulary"),
    ],
)
def test_malformed_sections_are_named(
    document: dict[str, Any], tmp_path: Path, place: list[Any], value: Any, match: str
) -> None:
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized", "special"], False)
    document["added_tokens"] = [{"id": 0, "content": "[PAD]", **flags}]
    read(document, tmp_path)
    *way, last = place
    inner: Any = document
    for step in way:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    with pytest.raises(FileFormatError, match=rf"tokenizer\.json .*{match}"):
        read(document, tmp_path)


def test_null_is_no_number(document: dict[str, Any], tmp_path: Path) -> None:
    document["model"]["max_input_chars_per_word"] = None
    with pytest.raises(FileFormatError, match="None as max_input_chars_per_word of its model section, not an integer"):
        read(document, tmp_path)


def test_a_special_token_without_content_is_named(document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": {"lstrip": false}}')
    with pytest.raises(FileFormatError, match=r"beside .*tokenizer\.json has a special token .* without content"):
        read(document, tmp_path)


def test_padding_with_a_token_that_is_not_there_stays(document: dict[str, Any], tmp_path: Path) -> None:
    theirs = tokenizers.Tokenizer.from_str(json.dumps(document))
    theirs.enable_padding(pad_token="<pad>", pad_id=4)
    Tokenizer.from_pretrained(theirs).save(tmp_path)
    assert json.loads((tmp_path / "tokenizer.json").read_text())["padding"]["pad_id"] == 4


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"model": 3}', b'{"model": {"type": "WordPiece"}}'])
def test_broken_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"tokenizer\.json"):
        Tokenizer.from_pretrained(path)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="nothing is downloaded"):
        Tokenizer.from_pretrained("bert-base-uncased.json")
    with pytest.raises(FileFormatError, match=r"neither tokenizer\.json nor vocab\.txt"):
        Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(UnsupportedError, match="int"):
        Tokenizer.from_pretrained(3)


def test_a_saved_tokenizer_that_was_altered_is_refused(tmp_path: Path) -> None:
    tok = Tokenizer.from_pretrained(model_directory())
    tok.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"hello"', '"hullo"'))
    with pytest.raises(FileFormatError, match="different tokenizers"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tei.json").unlink()
    with pytest.raises(FileFormatError, match=r"tei\.json"):
        Tokenizer.load(tmp_path)
