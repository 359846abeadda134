"""The tokenizer: equal to Hugging Face `tokenizers`, id for id, offset for offset; saved, shared, called."""

import copy
import errno
import json
import lzma
import multiprocessing
import os
import pickle
import random
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

import tei
from tei import InvalidInputError, MismatchError, Tokenizer
from tei.demo import model_directory
from tei.plan import ResizePlan
from tei.vocabulary import fingerprint

CHARACTERS = "aéßİ \t\n,.[]中豈한ก\u0301\u0345\u302e\u05b0\u0085\u00ad\u200d\ufffd\U0001f600\U00020000"
SNIPPETS = [
    "[CLS]",
    "[MASK]",
    "[mask]",
    "[PAD]",
    "PAD",
    "unaffable",
    "Straße",
    "naïve",
    "##ing",
    "x" * 101,
    "3.14",
    " ",
]


@pytest.fixture(scope="module")
def tok() -> Tokenizer:
    return Tokenizer.from_pretrained(model_directory())


@pytest.fixture(scope="module")
def oracle() -> tokenizers.Tokenizer:
    oracle = tokenizers.Tokenizer.from_file(str(Path(model_directory()) / "tokenizer.json"))
    oracle.no_padding()
    oracle.no_truncation()
    return oracle


def assert_equal(tok: Tokenizer, oracle: tokenizers.Tokenizer, texts: list[str]) -> None:
    rows = tok.encode_batch(texts).to_list()
    for text, row, want in zip(texts, rows, oracle.encode_batch(texts, add_special_tokens=False), strict=True):
        got = tok.encode(text)
        assert row == got.ids == want.ids, text
        # `tokenizers` shows the white space that an added token swallowed; an id stands for one token here.
        assert got.tokens == [tok.tokens[i] for i in want.ids]
        assert (got.offsets, got.word_ids) == (want.offsets, want.word_ids), text


@given(st.lists(st.text() | st.text(CHARACTERS) | st.sampled_from(SNIPPETS)).map("".join))
def test_equals_tokenizers_on_any_text(tok: Tokenizer, oracle: tokenizers.Tokenizer, text: str) -> None:
    assert_equal(tok, oracle, [text])


def test_equals_tokenizers_on_every_character(tok: Tokenizer, oracle: tokenizers.Tokenizer) -> None:
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(f"a{c}B " for c in characters[i : i + 256]) for i in range(0, len(characters), 256)]
    assert_equal(tok, oracle, texts)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False, None])
@pytest.mark.parametrize("clean_text", [True, False])
@pytest.mark.parametrize("handle_chinese_chars", [True, False])
def test_equals_tokenizers_under_every_option(
    oracle: tokenizers.Tokenizer,
    lowercase: bool,
    strip_accents: bool | None,
    clean_text: bool,
    handle_chinese_chars: bool,
) -> None:
    other = copy.deepcopy(oracle)
    other.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=lowercase,
        strip_accents=strip_accents,
        clean_text=clean_text,
        handle_chinese_chars=handle_chinese_chars,
    )
    random.seed(0)
    texts = ["".join(random.choices([*CHARACTERS, *SNIPPETS], k=20)) for _ in range(300)]
    assert_equal(Tokenizer.from_pretrained(other), other, texts)


@pytest.mark.parametrize("flag", ["single_word", "lstrip", "rstrip", "normalized"])
@pytest.mark.parametrize("content", ["Naïve", "[new]", "cake", "##ing", "=", "中"])
def test_added_tokens_equal_those_of_tokenizers(oracle: tokenizers.Tokenizer, flag: str, content: str) -> None:
    other = copy.deepcopy(oracle)
    # What `tokenizers` takes as default differs between special and other tokens, so all flags are given.
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, flag: True}
    other.add_tokens([tokenizers.AddedToken(content, **flags)])
    random.seed(1)
    pieces = [content, content.lower(), content.upper(), " ", "  ", "a", "cakewalk", "é", "ï", "[NEW]", "≠", ",", "中"]
    texts = ["".join(random.choices(pieces, k=12)) for _ in range(300)]
    assert_equal(Tokenizer.from_pretrained(other), other, texts)


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False])
def test_added_tokens_are_found_in_all_that_becomes_them(
    oracle: tokenizers.Tokenizer, lowercase: bool, strip_accents: bool
) -> None:
    """Texts in which no added token can come to light are encoded without looking for one."""
    other = copy.deepcopy(oracle)
    other.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    other.add_tokens(["newkai", "xK", "`i", "q=e"])
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]

    def may_matter(c: str) -> bool:
        forms = {c, c.lower(), unicodedata.normalize("NFD", c), unicodedata.normalize("NFD", c.lower())}
        return min(map(min, forms)) < "\x80" or unicodedata.category(c) in ("Mn", "Cc", "Cf")

    found = [c for c in characters if may_matter(c)]
    assert len(found) > 2000
    words = ["newk{}ai", "newk{}i", "new{}ai", "n{}wkai", "{}ewkai", "x{}", "x{}K", "{}i", "q{}e", "q={}"]
    texts = [f"a {word.format(c)} b" for word in words for c in found]
    tok, want = Tokenizer.from_pretrained(other), other.encode_batch_fast(texts, add_special_tokens=False)
    assert tok.encode_batch(texts).to_list() == [encoding.ids for encoding in want]


@pytest.mark.data
@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-base-chinese"])
def test_equals_tokenizers_on_real_text(data_root: Path, tmp_path: Path, name: str) -> None:
    packed = (data_root / f"vocabs/{name}/tokenizer.json.xz").read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(lzma.decompress(packed))
    oracle = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    oracle.no_padding()
    oracle.no_truncation()
    tok, files = Tokenizer.from_pretrained(tmp_path), 0
    for path in sorted(data_root.glob("**/*.xz")):
        with lzma.open(path) as file:
            texts = file.read(100_000).decode(errors="ignore").split("\n")
        want = [encoding.ids for encoding in oracle.encode_batch_fast(texts, add_special_tokens=False)]
        assert tok.encode_batch(texts).to_list() == want, path
        files += 1
    assert files > 50


def test_output_does_not_depend_on_threads(tok: Tokenizer) -> None:
    random.seed(2)
    texts = [" ".join(random.choices(tok.tokens, k=random.randrange(60))) for _ in range(3000)]
    one, many = tok.encode_batch(texts, parallel=False), tok.encode_batch(texts, parallel=True)
    assert np.array_equal(one.ids, many.ids)
    assert np.array_equal(one.row_offsets, many.row_offsets)
    assert len(one) == 3000


def test_lone_surrogates_and_nul_encode(tok: Tokenizer) -> None:
    assert tok.encode("a\ud800b\x00c").tokens == tok.encode("abc").tokens
    assert tok.encode_batch(["\udfff", ""]).row_offsets.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("texts", "match"), [(["a", 3], r"texts\[1\].*int.*not str"), ("abc", "one str")])
def test_wrong_input_is_named(tok: Tokenizer, texts: object, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        tok.encode_batch(texts)  # type: ignore[arg-type]


def test_decodes_as_tokenizers_does(tok: Tokenizer, oracle: tokenizers.Tokenizer) -> None:
    for text in ["Hello, world! It isn't 3.14.", "naïve 中文 x_y", "[CLS] a [SEP]", ""]:
        ids = tok.encode(text).ids
        assert tok.decode(ids) == oracle.decode(ids, skip_special_tokens=False)
        assert tok.decode(ids, skip_special_tokens=True) == oracle.decode(ids, skip_special_tokens=True)
    assert tok.decode_batch([[101, 7592], [-1, 10**9]]) == ["[CLS] hello", ""]


@given(st.lists(st.lists(st.integers(-2, 600) | st.integers(-(2**63), 2**63 - 1), max_size=6)), st.booleans())
def test_decode_batch_equals_decode(tok: Tokenizer, rows: list[list[int]], skip: bool) -> None:
    want = [tok.decode(row, skip_special_tokens=skip) for row in rows]
    for parallel in (False, True):
        assert tok.decode_batch(rows, skip_special_tokens=skip, parallel=parallel) == want


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ([2.7], r"\[0\] is 2\.7 \(float\), not an integer"),
        (np.array([1.0, float("nan")], np.float32), r"\[1\] is nan"),
        ([5, None], r"\[1\] is None \(NoneType\)"),
        (np.array([5, True], object), r"\[1\] is True"),
        (["7"], r"\[0\] is '7' \(str\)"),
        ([True, False], r"\[0\] is True \(bool\)"),
        (np.ma.array([1, 2, 3], mask=[0, 0, 1]), r"\[2\] is masked"),
        ([[1], [2, 3]], r" is no row of integers.*decode_batch"),
    ],
)
def test_what_is_no_id_is_named(tok: Tokenizer, row: Any, match: str) -> None:
    with pytest.raises(InvalidInputError, match=f"ids{match}"):
        tok.decode(row)
    with pytest.raises(InvalidInputError, match=rf"rows\[1\]{match}"):
        tok.decode_batch([[5], row])


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i4", "<u4", "<i8", ">u8", "f4", object])
def test_ids_may_be_of_any_width(tok: Tokenizer, dtype: Any) -> None:
    assert tok.decode(np.array([101, 119], dtype)) == tok.decode([101, 119]) != ""
    assert tok.decode(np.array([], dtype)) == tok.decode([]) == ""
    assert tok.decode([2**64, 101, -(2**70)]) == tok.decode(np.array([101, 2**64 - 1], np.uint64)) == "[CLS]"
    assert tok.decode_batch([np.array([]), [101]]) == ["", "[CLS]"]


def test_decode_batch_takes_arrays(tok: Tokenizer) -> None:
    random.seed(3)
    rows = tok.encode_batch([" ".join(random.choices(tok.tokens, k=random.randrange(40))) for _ in range(3000)])
    want = [tok.decode(row) for row in rows]
    assert tok.decode_batch(rows) == tok.decode_batch(rows, parallel=True) == tok.decode_batch(iter(rows)) == want
    square = np.random.default_rng(0).integers(-9, 40_000, (50, 7))
    for dtype in (np.int32, np.int64, np.uint16, float):
        assert tok.decode_batch(square.astype(dtype)) == [tok.decode(row) for row in square.astype(dtype)]
    assert tok.decode_batch([]) == []
    with pytest.raises(InvalidInputError, match="offset"):
        tok.decode_batch(tei.Ragged(rows.ids, rows.row_offsets[::-1].copy()))


def test_saves_and_loads(tok: Tokenizer, oracle: tokenizers.Tokenizer, tmp_path: Path) -> None:
    tok.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.fingerprint, loaded.version, loaded.history) == (tok.fingerprint, 0, ())
    assert_equal(loaded, oracle, ["[MASK] Unaffable, naïve 中文"])
    again = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert again.get_vocab() == oracle.get_vocab()
    ours, theirs = json.loads((tmp_path / "tokenizer.json").read_text()), json.loads(again.to_str())
    assert ours == {**theirs, "truncation": {k: v for k, v in theirs["truncation"].items() if k != "direction"}}


def test_saving_fails_with_a_typed_error(tok: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").write_text("mine")
    with pytest.raises(tei.OutputExistsError, match="file' is a file"):
        tok.save(tmp_path / "file")
    with pytest.raises(tei.OutputError, match="Not a directory"):
        tok.save(tmp_path / "file" / "deep" / "er")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(tei.OutputError, match=r"cannot write '.*tokenizer\.json': No space left"):
        tok.save(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_transformers_opens_what_it_saves(tok: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tok.save(tmp_path)
    texts = ["Unaffable, naïve 中文 [MASK]", "two"]
    want = tok(texts, ["pair", "of texts"], padding=True)
    for theirs in (AutoTokenizer.from_pretrained(tmp_path), tok.to_hf()):
        assert dict(theirs(texts, ["pair", "of texts"], padding=True)) == dict(want)


def _encode(tok: Tokenizer) -> list[list[int]]:
    return tok.encode_batch(["one two", "three"] * 20_000).to_list()[:2]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_works_in_other_processes(tok: Tokenizer, method: str) -> None:
    want = _encode(tok)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_encode, [tok, tok]) == [want, want]


def test_pickles_and_copies(tok: Tokenizer) -> None:
    for other in (pickle.loads(pickle.dumps(tok)), copy.deepcopy(tok)):
        assert other.encode("Unaffable").ids == tok.encode("Unaffable").ids
        assert other.fingerprint == tok.fingerprint


def _plan(tok: Tokenizer, target: list[str]) -> ResizePlan:
    kept = set(target)
    dropped = {token: ([1], [1.0]) for token in tok.tokens if token not in kept}
    ours, theirs = fingerprint(tok.tokens, tok.scheme.to_json()), fingerprint(target, tok.scheme.to_json())
    return ResizePlan.from_tokens(
        tok.tokens, target, added={}, dropped=dropped, source_fingerprint=ours, target_fingerprint=theirs
    )


def test_apply_gives_the_next_version(tok: Tokenizer, tmp_path: Path) -> None:
    target = [token for i, token in enumerate(tok.tokens) if i % 3 == 0 or token in tok.special_tokens]
    small = tok.apply(_plan(tok, target))
    assert (small.tokens, small.version, len(small.history)) == (tuple(target), 1, 1)
    assert small.pad_token_id == target.index("[PAD]")
    small.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.fingerprint, loaded.history) == (small.fingerprint, small.history)
    assert_equal(small, small.to_hf().backend_tokenizer, ["Unaffable, naïve 中文 [MASK] " + " ".join(target)])
    with pytest.raises(MismatchError):
        small.apply(_plan(tok, target))


def test_apply_refuses_to_lose_a_special_token(tok: Tokenizer) -> None:
    with pytest.raises(MismatchError, match=r"\[MASK\]"):
        tok.apply(_plan(tok, [token for token in tok.tokens if token != "[MASK]"]))
