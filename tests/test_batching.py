"""Model inputs: arguments and results are those of transformers' fast tokenizers."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import tei
from tei import InvalidInputError, Tokenizer
from tei.demo import model_directory

WORDS = st.sampled_from(["one", "unaffable", "naïve", "", " ", "中文", "[MASK]", "x" * 101, "3.14", "a b"]) | st.text(
    max_size=4
)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)
COLUMNS = {
    "return_token_type_ids": "token_type_ids",
    "return_attention_mask": "attention_mask",
    "return_special_tokens_mask": "special_tokens_mask",
    "return_offsets_mapping": "offset_mapping",
    "return_length": "length",
}


@pytest.fixture(scope="module")
def tok() -> Tokenizer:
    return Tokenizer.from_pretrained(model_directory())


@pytest.fixture(scope="module")
def theirs(tok: Tokenizer) -> Any:
    return tok.to_hf()


@st.composite
def calls(draw: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Texts, second texts and options of one call."""
    split, single = draw(st.booleans()), draw(st.booleans())
    one = st.lists(WORDS, max_size=8) if split else TEXTS
    texts = draw(st.lists(one, min_size=1, max_size=4))
    pairs = draw(st.none() | st.lists(one, min_size=len(texts), max_size=len(texts)))
    options = {
        "padding": draw(st.sampled_from([False, True, "longest", "max_length", "do_not_pad"])),
        "truncation": draw(st.sampled_from([None, False, True, "longest_first", "only_first", "only_second"])),
        "max_length": draw(st.integers(3, 24)),
        "add_special_tokens": draw(st.booleans()),
        "padding_side": draw(st.sampled_from(["right", "left"])),
        "is_split_into_words": split,
        **{name: draw(st.booleans()) for name in COLUMNS},
    }
    # transformers refuses to pad to a multiple beyond the length it cuts to.
    multiples = [None, 8] if options["truncation"] is False else [None, options["max_length"]]
    options["pad_to_multiple_of"] = draw(st.sampled_from(multiples))
    if draw(st.booleans()):
        # A stride that no row could have is an error in transformers even where no row is cut.
        stride = st.integers(0, min(4, options["max_length"] - 2))
        options |= {"return_overflowing_tokens": True, "stride": draw(stride)}
    return (texts[0], pairs and pairs[0], options) if single else (texts, pairs, options)


@pytest.mark.filterwarnings("ignore:.*max_length. is ignored")
@given(call=calls())
def test_equals_transformers(tok: Tokenizer, theirs: Any, call: tuple[Any, Any, dict[str, Any]]) -> None:
    text, pair, options = call
    try:
        want = theirs(text, pair, **options)
    except BaseException as error:
        # `tokenizers` panics where a stride is too long, and raises no narrower class than Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        want = None
    if want is None:
        with pytest.raises(InvalidInputError, match=r"leaves nothing|only_second|stride is \d"):
            tok(text, pair, **options)
        return
    got = tok(text, pair, **options)
    assert dict(got) == dict(want)
    for row in range(len(want.encodings)):
        assert got.word_ids(row) == want.word_ids(row)


@pytest.mark.filterwarnings("ignore:.*max_length. is ignored")
@pytest.mark.parametrize("limits", [(128, 128), (127, 126), (5, 6)])
@pytest.mark.parametrize("lengths", [(900, 20), (20, 900), (90, 99), (99, 90), (99, 99), (60, 70)])
def test_long_texts_are_cut_as_if_they_were_encoded_whole(
    tok: Tokenizer, theirs: Any, limits: tuple[int, int], lengths: tuple[int, int]
) -> None:
    first, second = ("one unaffable [MASK] " * n for n in lengths)
    for limit in limits:
        for strategy in (True, "only_first", "only_second"):
            for pair in (None, second):
                options: dict[str, Any] = {"truncation": strategy, "max_length": limit, "padding": "max_length"}
                try:
                    want = dict(theirs(first, pair, **options))
                except Exception:  # noqa: BLE001 -- `tokenizers` raises no narrower class
                    with pytest.raises(InvalidInputError):
                        tok(first, pair, **options)
                else:
                    assert dict(tok(first, pair, **options)) == want


@given(texts=st.lists(TEXTS, max_size=5), limit=st.integers(0, 12))
def test_the_first_ids_are_those_of_all(tok: Tokenizer, texts: list[str], limit: int) -> None:
    ids, row_offsets = tok.encoder.encode_batch(texts, 1, limit)
    assert tei.Ragged(ids, row_offsets).to_list() == [row[:limit] for row in tok.encode_batch(texts).to_list()]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gives_arrays(tok: Tokenizer, theirs: Any, dtype: Any) -> None:
    texts = ["one two three", "one", "naïve"]
    options: dict[str, Any] = {"padding": True, "max_length": 4, "truncation": True, "return_overflowing_tokens": True}
    extra = {"return_offsets_mapping": True, "return_length": True, "return_special_tokens_mask": True}
    want = theirs(texts, **options, **extra, return_tensors="np")
    got = tok(texts, **options, **extra, return_tensors="np", dtype=dtype)
    assert got.keys() == want.keys()
    for name, array in got.items():
        assert np.array_equal(array, want[name]), name
    assert got.input_ids.dtype == got.attention_mask.dtype == got.token_type_ids.dtype == dtype


def test_many_rows_are_written_by_several_threads(tok: Tokenizer) -> None:
    texts = ["one two three " * (i % 7) for i in range(60_000)]
    for side in ("left", "right"):
        batch = tok(texts, padding="max_length", max_length=20, truncation=True, padding_side=side, return_tensors="np")
        for first in (0, 59_996):
            some = tok(
                texts[first : first + 4], padding="max_length", max_length=20, truncation=True, padding_side=side
            )
            for name, rows in some.items():
                assert batch[name][first : first + 4].tolist() == rows


def test_a_batch_travels_without_its_tokenizer(tok: Tokenizer) -> None:
    batch = tok(["one two"])
    copied = pickle.loads(pickle.dumps(batch))
    assert copied == batch
    with pytest.raises(tei.UnsupportedError, match="does not know its texts"):
        copied.word_ids()


@pytest.mark.parametrize("side", ["padding_side", "truncation_side"])
def test_sides_are_those_of_the_tokenizer(tok: Tokenizer, tmp_path: Path, side: str) -> None:
    from transformers import AutoTokenizer

    tok.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, side: "left"}))
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path), Tokenizer.from_pretrained(tmp_path)
    texts = ["one two three four five", "one", "naïve unaffable"]
    ours.save(tmp_path / "again")
    others = [Tokenizer.from_pretrained(theirs), Tokenizer.load(tmp_path / "again"), ours.to_hf()]
    for max_length in (4, 5, 8):
        options: dict[str, Any] = {"padding": True, "truncation": True, "max_length": max_length, "stride": 1}
        for extra in ({}, {"return_overflowing_tokens": True}, {"return_offsets_mapping": True}):
            for pair in (None, texts[::-1]) if max_length == 8 else (None,):
                want = dict(theirs(texts, pair, **options, **extra))
                for tokenizer in (ours, *others):
                    assert dict(tokenizer(texts, pair, **options, **extra)) == want


def test_a_side_that_is_none_is_refused(tok: Tokenizer) -> None:
    strange = Tokenizer(replace(tok.spec, config={"truncation_side": "top"}))
    with pytest.raises(tei.FileFormatError, match="truncation_side of 'top'"):
        strange("one", max_length=3)


def test_rows_of_what_is_cut_off_come_in_the_order_of_the_template(tok: Tokenizer) -> None:
    from transformers import PreTrainedTokenizerFast

    backend = tok.to_hf().backend_tokenizer
    sep = ("[SEP]", tok.sep_token_id)
    options: dict[str, Any] = {"max_length": 3, "truncation": True, "return_overflowing_tokens": True}
    for pair in ("$B [SEP] $A:1", "$A [SEP] $B:1"):
        backend.post_processor = tokenizers.processors.TemplateProcessing("$A", pair, [sep])
        want = PreTrainedTokenizerFast(tokenizer_object=backend)("one two", "three four", **options)
        assert Tokenizer.from_pretrained(backend)("one two", "three four", **options).input_ids == want.input_ids


def test_each_row_is_trimmed_anew() -> None:
    vocab = {token: i for i, token in enumerate(["[UNK]", "<s>", "</s>", "a", "b", " ", " b"])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocab, unk_token="[UNK]"))
    backend.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in ("a", "b", " ", " b")])
    for keep in (True, False):
        backend.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 1), True, keep)
        for side in ("left", "right"):
            backend.enable_truncation(4, direction=side)
            want = backend.encode("a b a  b b ab")
            got = Tokenizer.from_pretrained(backend)(
                "a b a  b b ab", max_length=4, return_overflowing_tokens=True, return_offsets_mapping=True
            )
            assert got.offset_mapping == [e.offsets for e in (want, *want.overflowing)]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"padding": "long"}, "padding is 'long'"),
        ({"padding": "max_length"}, "needs max_length"),
        ({"truncation": "first", "max_length": 9}, "truncation is 'first'"),
        ({"max_length": 1}, "leaves -1 places"),
        ({"padding_side": "top"}, "padding_side is 'top'"),
        ({"return_tensors": "tf"}, "return_tensors is 'tf'"),
        ({"text_pair": ["a"]}, "2 texts and 1 second texts"),
        ({"is_split_into_words": True, "text": [["a"], "b"]}, r"texts\[1\] is <class 'str'>, not a list of words"),
        ({"text": ["a", 3]}, r"texts\[1\] is <class 'int'>, not str"),
        ({"text": None}, "text is None"),
        ({"text": None, "text_pair": "a"}, "text is None"),
        ({"text": np.ma.array(["a", "b"], mask=[0, 1])}, r"texts\[1\] is masked"),
        ({"text_pair": np.ma.array(["a", "b"], mask=[1, 1])}, r"texts\[0\] is masked"),
        ({"stride": -1}, "stride is -1, must be an integer from 0 to 281474976710656"),
        ({"stride": None}, "stride is None"),
        ({"max_length": -1}, "max_length is -1"),
        ({"max_length": 2**70}, f"max_length is {2**70}"),
        ({"max_length": 8.5}, r"max_length is 8\.5"),
        ({"pad_to_multiple_of": -8, "padding": True}, "pad_to_multiple_of is -8"),
        ({"pad_to_multiple_of": 2**63, "padding": True}, f"pad_to_multiple_of is {2**63}.*or None"),
        ({"pad_to_multiple_of": 2**64 - 1, "padding": True}, f"pad_to_multiple_of is {2**64 - 1}"),
        ({"padding": [1]}, r"padding is \[1\], a list"),
        ({"text": ["a"] * 2**14, "padding": "max_length", "max_length": 2**48}, "16384 rows padded to 281474976710656"),
    ],
)
def test_wrong_arguments_are_named(tok: Tokenizer, arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        tok(**{"text": ["a", "b"], **arguments})


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"text": [["a", "b"], ["c", 3]]}, r"texts\[1\]\[1\] is <class 'int'>, not str"),
        ({"text": [[], ["a"], [], [None]]}, r"texts\[3\]\[0\] is <class 'NoneType'>, not str"),
        ({"text": [["a"], ["b"]], "text_pair": [["a"], [3]]}, r"texts\[1\]\[0\] is <class 'int'>, not str"),
        ({"text": [[b"a", b"\xff"]]}, r"texts\[0\]\[1\] is not UTF-8"),
        ({"text": [["a"], 3]}, r"texts\[1\] is <class 'int'>, not a list of words"),
        ({"text": [["a"], np.ma.array(["a", "b"], mask=[0, 1])]}, r"texts\[1\]\[1\] is masked"),
        ({"text": np.ma.array([["a", "b"]], mask=[[0, 1]])}, r"text\[0\]\[1\] is masked"),
        ({"text": None}, "text is None"),
        ({"text": 3}, "text is <class 'int'>, not a list of words"),
        ({"text": [["a"]], "text_pair": 3}, "text_pair is <class 'int'>, not a list of words"),
    ],
)
def test_wrong_words_are_named(tok: Tokenizer, arguments: dict[str, Any], match: str, offsets: bool) -> None:
    with pytest.raises((InvalidInputError, tei.EncodingError), match=match):
        tok(**arguments, is_split_into_words=True, return_offsets_mapping=offsets)


def test_words_come_in_any_container(tok: Tokenizer) -> None:
    want = tok([["one", "two"], ["three"]], is_split_into_words=True)
    assert tok(iter([["one", "two"], ["three"]]), is_split_into_words=True) == want
    assert tok(np.array(["three"]), is_split_into_words=True).input_ids == want.input_ids[1]
    assert tok(np.ma.array(["three"]), is_split_into_words=True).input_ids == want.input_ids[1]
    assert tok(np.ma.array(["three"])).input_ids == [want.input_ids[1]]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep the limit")
@pytest.mark.parametrize("columns", [{}, {"dtype": "int32"}, {"return_offsets_mapping": True}])
def test_rows_beyond_the_memory_are_an_error(columns: dict[str, Any]) -> None:
    options = {"padding": "max_length", "max_length": 2**36, "return_tensors": "np", **columns}
    program = f"""
import resource, tei
from tei.demo import model_directory
tok = tei.Tokenizer.from_pretrained(model_directory())
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    tok("a", **{options})
except MemoryError as error:
    print(error)
print(tok("a")["input_ids"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[101, 1037, 102]"
    assert "1 rows need" in done.stdout
    assert "lower max_length" in done.stdout


@pytest.mark.filterwarnings("ignore:.*max_length. is ignored")
@pytest.mark.parametrize("padding", [False, True, "max_length"])
@pytest.mark.parametrize("truncation", [None, False, True, "only_first", "only_second"])
@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("max_length", [6, 7, 30])
def test_calls_as_transformers_does(
    tok: Tokenizer,
    theirs: Any,
    padding: bool | str,
    truncation: bool | str | None,
    pair: bool,
    special: bool,
    max_length: int,
) -> None:
    texts = ["one two", "", "one two three four"]
    options = {"padding": padding, "truncation": truncation, "max_length": max_length, "add_special_tokens": special}
    pairs = ["1 2 3", "4", "5"] if pair else None
    try:
        want = dict(theirs(texts, pairs, **options))
    except Exception:  # noqa: BLE001 -- `tokenizers` raises no narrower class
        want = None
    if want is None:
        with pytest.raises(InvalidInputError, match=r"leaves nothing of the text in row \d"):
            tok(texts, pairs, **options)
    else:
        assert dict(tok(texts, pairs, **options)) == want


def test_calls_give_tensors(tok: Tokenizer) -> None:
    batch = tok(["one two three", "one"], padding=True, return_tensors="np", pad_to_multiple_of=8)
    assert batch.input_ids.shape == batch["attention_mask"].shape == (2, 8)
    assert batch.input_ids.dtype == np.int64
    tensors = tok("one", return_tensors="pt")
    assert tensors.input_ids.tolist() == [[101, 2028, 102]]
    with pytest.raises(InvalidInputError, match="different lengths"):
        tok(["one two", "one"], return_tensors="np")


def test_arrays_that_are_alive_keep_their_memory(tok: Tokenizer) -> None:
    """Memory of arrays is used again, once nobody holds them or a view of them."""
    texts = [f"unaffable {'low ' * (i % 9)}".strip() for i in range(400)]

    def encode(part: list[str]) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = tok(part, padding="max_length", max_length=64, return_tensors="np")["input_ids"]
        return ids

    want = [tok(text)["input_ids"] for text in texts]
    first = encode(texts)
    view, tail = first[::7, 1:], encode(texts[::-1])
    copied = view.copy()
    for _ in range(9):
        again = encode(texts)
        assert again.flags.writeable
        assert not np.shares_memory(again, first)
        assert not np.shares_memory(again, tail)
        again[:] = -1
    del first, again
    assert all((encode(texts[::-1]) != -1).all() for _ in range(3))
    assert (view == copied).all()
    assert [row[: len(ids)].tolist() for row, ids in zip(tail[::-1], want, strict=True)] == want
