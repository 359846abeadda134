"""The bytes scheme: nothing is lost, words are those of its pattern, and everything else works on it."""

import copy
import json
import multiprocessing
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from tei import EncodingError, InvalidInputError, Scheme, SizeError, Tokenizer, UnsupportedError, VocabularyError, _core
from tei.counts import WordCounts, count_words
from tei.pretrained import TokenizerSpec, to_tokenizer_json
from tei.special_tokens import AddedToken

PATTERN, LONGEST = _core.byte_words()
LETTERS = dict(enumerate(_core.byte_letters()))
TEXTS = [
    "It's the blank's turn: don't we'll THEY'VE 'tis o'clock",
    "def f(self, x):\n    return self._x[0] + 12345.678\n\n\n\t# (done)\r\n",
    "naïve Straße «citer» Ελληνικά русский 한국어 हिन्दी",
    "今天天气很好，我们去公园吧。カタカナとひらがな。ภาษาไทย ٠١٢٣٤ ½⅓",
    "a  b   c \t d\n \n  e" + "=" * 150 + "x" * 200 + " " * 70,
]
PIECES = [
    "'s",
    "'ll",
    "'",
    " ",
    "  ",
    "\n",
    "\t",
    ".",
    "...",
    "a",
    "The",
    "12",
    "é",
    "中文",
    "カ",
    "ก",
    "٣",
    "\x00",
    "\xa0",
]

texts = st.lists(st.text() | st.sampled_from(PIECES) | st.sampled_from(TEXTS), max_size=12).map("".join)
wild = st.text(st.characters(codec=None) | st.sampled_from("\ud800\udc00a ")) | texts
blobs = st.binary() | texts.map(str.encode) | st.tuples(texts, st.binary()).map(lambda x: x[0].encode() + x[1])


@pytest.fixture(scope="module")
def tok() -> Tokenizer:
    return Tokenizer.train(
        TEXTS * 3, 480, scheme=Scheme.bytes(), special_tokens=["<|endoftext|>", "[PAD]", "<a b>"], min_count=2
    )


def words_of(text: str) -> list[str]:
    """The slow twin: the pattern itself, then the cut."""
    found = [match.group() for match in regex.finditer(PATTERN, text)]
    assert "".join(found) == text
    return [word[i : i + LONGEST] for word in found for i in range(0, len(word), LONGEST)]


def spelled(text: str) -> str:
    return "".join(LETTERS[byte] for byte in text.encode("utf-8", "surrogatepass"))


# Nothing is lost.


@given(wild)
def test_every_str_comes_back(tok: Tokenizer, text: str) -> None:
    assert tok.decode(tok.encode(text).ids) == text
    rows = tok.encode_batch([text, "a", text])
    assert tok.decode_batch(rows) == [text, "a", text]
    assert rows[0].tolist() == tok.encode(text).ids


@given(blobs)
def test_all_bytes_come_back(tok: Tokenizer, data: bytes) -> None:
    assert tok.decode_bytes(tok.encode(data).ids) == data
    rows = tok.encode_batch([data, b"a", data], parallel=True)
    assert [tok.decode_bytes(row) for row in rows] == [data, b"a", data]
    assert rows[2].tolist() == tok.encode(data).ids


@given(st.text(max_size=20), st.binary(max_size=20))
def test_the_bytes_alone_are_a_vocabulary(text: str, data: bytes) -> None:
    bare = Tokenizer(TokenizerSpec(tokens=tuple(_core.byte_letters()), scheme=Scheme.bytes()))
    assert bare.encode(data).ids == list(data)
    assert bare.decode(bare.encode(text).ids) == text


def test_numpy_arrays_lose_nothing(tok: Tokenizer) -> None:
    for array in (
        np.array(["a\ud800b", "é"]),
        np.array([b"\xff\xfe", b"a"]),
        np.array(["\ud800", b"x".decode()], object),
    ):
        want = [x if isinstance(x, bytes) else x.encode("utf-8", "surrogatepass") for x in array.tolist()]
        assert [tok.decode_bytes(row) for row in tok.encode_batch(array)] == want


def test_what_is_cut_is_replaced(tok: Tokenizer) -> None:
    ids = tok.encode("中").ids
    assert tok.decode(ids[:-1]) == "\ufffd" or len(ids) == 1
    assert tok.decode_bytes([*ids, -1, 10**6]) == "中".encode()


# Words.


@given(texts)
def test_words_are_those_of_the_pattern(text: str) -> None:
    want = Counter(map(spelled, words_of(text)))
    if want:
        assert dict(count_words([text], Scheme.bytes()).most_common()) == dict(want)


@given(texts)
def test_ids_are_the_longest_matches_of_words(tok: Tokenizer, text: str) -> None:
    known = set(tok.tokens) - {"<|endoftext|>", "[PAD]", "<a b>"}
    want = [(word, i) for i, word in enumerate(words_of(text)) for _ in segment_flat(spelled(word), known)]
    got = tok.encode(text)
    assert got.tokens == [token for word in words_of(text) for token in segment_flat(spelled(word), known)]
    assert got.word_ids == [i for _, i in want]


def segment_flat(word: str, tokens: set[str]) -> list[str]:
    """Longest match with one position class."""
    pieces = []
    while word:
        pieces.append(next(word[:n] for n in range(len(word), 0, -1) if word[:n] in tokens))
        word = word[len(pieces[-1]) :]
    return pieces


@given(texts)
def test_equals_tokenizers(tok: Tokenizer, oracle: tokenizers.Tokenizer, text: str) -> None:
    want, got = oracle.encode(text, add_special_tokens=False), tok.encode(text)
    assert got.ids == want.ids == tok.encode_batch([text])[0].tolist()
    assert (got.offsets, got.word_ids) == (want.offsets, want.word_ids)
    assert oracle.decode(want.ids, skip_special_tokens=False) == tok.decode(got.ids)


def _backend(tok: Tokenizer) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(json.dumps(to_tokenizer_json(tok.spec)))


@pytest.fixture(scope="module")
def oracle(tok: Tokenizer) -> tokenizers.Tokenizer:
    return _backend(tok)


def test_every_character_has_the_kind_that_tokenizers_gives_it() -> None:
    splitter = pre_tokenizers.Split(tokenizers.Regex(PATTERN), "isolated")
    kinds = [
        r"[\p{L}\p{M}]",
        r"\p{N}",
        r"[\p{Han}\p{Hiragana}\p{Katakana}ーｰ]",
        r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]",
    ]
    characters = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    edges = {edge for kind in kinds for run in regex.finditer(f"{kind}+", characters) for edge in run.span()}
    around = sorted({at + shift for at in edges for shift in (-1, 0)} & set(range(len(characters))))
    assert len(around) > 2500
    text = "".join(f"a{c}B {c}1{c}{c}\n" for c in (characters[at] for at in around))
    want = Counter(spelled(word) for word, _ in splitter.pre_tokenize_str(text))
    assert dict(count_words([text], Scheme.bytes()).most_common()) == dict(want)


# Everything else.


@pytest.mark.parametrize("data", [b"\xff", "a\ud800".encode("utf-8", "surrogatepass")])
def test_other_schemes_refuse_such_bytes(data: bytes) -> None:
    bert = Tokenizer.train(["a b"], 9, min_count=1)
    assert bert.encode(b"a b").tokens == bert.encode("a b").tokens
    assert bert.decode_bytes(bert.encode("a b").ids) == b"a b"
    with pytest.raises(EncodingError, match=r"texts\[0\] is not UTF-8"):
        bert.encode(data)


def test_offsets_cover_whole_characters(tok: Tokenizer) -> None:
    bare = Tokenizer(TokenizerSpec(tokens=tuple(_core.byte_letters()), scheme=Scheme.bytes()))
    assert bare.encode("aé中").offsets == [(0, 1), (1, 2), (1, 2), (2, 3), (2, 3), (2, 3)]
    assert bare.encode("é\ud800").offsets == [(0, 1), (0, 1), (1, 2), (1, 2), (1, 2)]
    assert bare.encode("é".encode() + b"\xff").offsets == [(0, 1), (1, 2), (2, 3)]
    batch = tok(["é\ud800", "the"], return_offsets_mapping=True)
    assert [tuple(span) for span in batch.offset_mapping[0]] == tok.encode("é\ud800").offsets


def test_special_tokens_are_found_and_left_out(tok: Tokenizer) -> None:
    text = "a <|endoftext|>b<a b>"
    encoding = tok.encode(text)
    assert [token for token in encoding.tokens if token in tok.special_tokens] == ["<|endoftext|>", "<a b>"]
    assert tok.decode(encoding.ids) == text
    assert tok.decode(encoding.ids, skip_special_tokens=True) == "a b"
    assert (tok.eos_token, tok.pad_token_id, tok.unk_token) == ("<|endoftext|>", 1, None)
    assert tok(["a", "the blank"], padding=True, return_tensors="np").input_ids.shape[0] == 2
    assert _backend(tok).encode(text).ids == encoding.ids


@pytest.mark.parametrize("normalized", [True, False])
def test_added_tokens_equal_those_of_tokenizers(tok: Tokenizer, normalized: bool) -> None:
    added = (AddedToken(content="don", normalized=normalized, single_word=True), AddedToken(content="é中"))
    tokens = tuple(dict.fromkeys((*(token for token in tok.tokens if token != "<a b>"), "é中", "don")))
    other = Tokenizer(TokenizerSpec(tokens=tokens, scheme=Scheme.bytes(), added_tokens=added))
    oracle = _backend(other)
    for text in ["don é中 don't donut", *TEXTS, "é中é中don", " don", "don\n"]:
        want, got = oracle.encode(text), other.encode(text)
        assert got.ids == want.ids == other.encode_batch([text])[0].tolist()
        assert (got.offsets, got.word_ids) == (want.offsets, want.word_ids)
        assert other.decode(got.ids) == text


@pytest.mark.parametrize("in_model", [True, False])
@pytest.mark.parametrize("content", [" b", "\n", "é中", "中", "<b>"])
def test_added_tokens_take_nothing_from_words(content: str, in_model: bool) -> None:
    """Where an added token is not matched, words are made of the tokens that spell the same bytes."""
    tokens = (*_core.byte_letters(), "Ġb", "Ã©", spelled("中"), spelled("é中"), "ab")
    # A lower id is found first if two tokens spell the same; `tokenizers` gives what is not in the model the last ids.
    tokens = (content, *tokens) if in_model else (*tokens, content)
    added = AddedToken(content=content, single_word=True, in_model=in_model)
    other = Tokenizer(TokenizerSpec(tokens=tokens, scheme=Scheme.bytes(), added_tokens=(added,)))
    oracle = _backend(other)
    for text in ["x b", "x by", "a\nb", "aéb", "a中b", "aé中b é中", "a<b>b", " b", "é 中 \n<b> é"]:
        want, got = oracle.encode(text), other.encode(text)
        assert got.ids == want.ids == other.encode_batch([text])[0].tolist(), text
        assert (got.offsets, got.word_ids) == (want.offsets, want.word_ids)
        assert other.decode(got.ids) == text


def test_decode_batch_equals_decode(tok: Tokenizer) -> None:
    texts = [*TEXTS, "\ud800", "a\udfff", "", "中"] * 400
    rows = [*(tok.encode(text).ids for text in texts), tok.encode("中").ids[:1], [-1, 10**6], [0, 5]]
    for skip in (False, True):
        want = [tok.decode(row, skip_special_tokens=skip) for row in rows]
        for parallel in (False, True):
            assert tok.decode_batch(rows, skip_special_tokens=skip, parallel=parallel) == want
    assert tok.decode_batch([]) == []


def test_saved_pickled_and_opened_again(tok: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tok.save(tmp_path)
    text = " ".join(TEXTS)
    want = tok.encode(text).ids
    again = [Tokenizer.load(tmp_path), Tokenizer.from_pretrained(tmp_path), Tokenizer.from_pretrained(tok.to_hf())]
    again += [pickle.loads(pickle.dumps(tok)), copy.deepcopy(tok)]
    for other in again:
        assert (other.fingerprint, other.scheme, other.encode(text).ids) == (tok.fingerprint, tok.scheme, want)
        assert other.special_tokens == tok.special_tokens
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(text)["input_ids"] == want
    assert theirs.decode(want) == text


def test_other_byte_level_tokenizers_are_refused(tok: Tokenizer, tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads(_backend(tok).to_str())
    document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\s+"
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(UnsupportedError, match="ByteLevel"):
        Tokenizer.from_pretrained(tmp_path)


def _encode(tok: Tokenizer) -> list[list[int]]:
    return tok.encode_batch([*TEXTS, "\ud800"] * 2000).to_list()[:6]


def test_works_in_other_processes(tok: Tokenizer) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_encode, [tok]) == [_encode(tok)]


def test_output_does_not_depend_on_threads(tok: Tokenizer) -> None:
    many = [text * 3 for text in TEXTS] * 500
    one, all_of_them = tok.encode_batch(many, parallel=False), tok.encode_batch(many, parallel=True)
    assert np.array_equal(one.ids, all_of_them.ids)
    assert np.array_equal(one.row_offsets, all_of_them.row_offsets)
    assert [count_words(many, Scheme.bytes(), threads=n).to_bytes() for n in (1, 3)] == [
        count_words(many[::-1], Scheme.bytes()).to_bytes()
    ] * 2


def test_usage_counts_bytes(tok: Tokenizer) -> None:
    usage = tok.usage(TEXTS)
    rows = tok.encode_batch(TEXTS)
    assert usage.tokens == len(rows.ids)
    assert usage.bytes == sum(len(text.encode()) for text in TEXTS)
    assert usage.characters == sum(map(len, TEXTS))
    assert (usage.coverage, usage.unknown_words) == (1.0, 0)
    assert usage.token_counts.tolist() == np.bincount(rows.ids, minlength=tok.vocab_size).tolist()


def test_a_plan_keeps_the_bytes_and_loses_nothing(tok: Tokenizer) -> None:
    texts = [*TEXTS[:2], "zebras and xylophones " * 9]
    plan = tok.plan(texts, size=300, grow=10)
    small = tok.apply(plan)
    assert set(_core.byte_letters()) <= set(small.tokens)
    assert small.special_tokens == tok.special_tokens
    assert "zebras" in small.tokens
    assert len(small.encode_batch(texts).ids) == small.usage(texts).tokens
    for text in TEXTS:
        assert small.decode(small.encode(text).ids) == text
        assert small.encode(text).ids == _backend(small).encode(text).ids
    back = small.apply(plan.inverse())
    assert back.tokens == tok.tokens


def test_training_says_what_is_wrong() -> None:
    scheme = Scheme.bytes()
    with pytest.raises(SizeError, match="below 257: 1 special tokens and the 256 bytes"):
        Tokenizer.train(["abc"], 256, scheme=scheme, special_tokens=["<|endoftext|>"])
    assert Tokenizer.train(["abc"], 256, scheme=scheme).tokens == tuple(sorted(_core.byte_letters()))
    with pytest.raises(VocabularyError, match="lacks 1 of the 256 bytes, the first is 0xe9"):
        Tokenizer.train(["abc"], 256, scheme=scheme, special_tokens=["é"])
    with pytest.raises(VocabularyError, match="no byte string"):
        Tokenizer(TokenizerSpec(tokens=(*_core.byte_letters(), "a b"), scheme=scheme))
    with pytest.raises(InvalidInputError, match="'a b' is not written in letters"):
        WordCounts.from_mapping({"a b": 1}, scheme)
    with pytest.raises(InvalidInputError, match=r"use Scheme\.bytes"):
        Scheme(pre_tokenizer=[["ByteWords"], ["Digits"]])
    with pytest.raises(InvalidInputError, match="unknown_token is empty"):
        Scheme(unknown_token="")


@pytest.mark.parametrize(
    "text", ["a" * 300_000, " " * 300_000, "=" * 300_000, "'s" * 100_000, "中" * 100_000, "\n. " * 90_000]
)
def test_long_words_come_back(tok: Tokenizer, text: str) -> None:
    ids = tok.encode_batch([text])[0]
    assert tok.decode(ids) == text
    assert ids.tolist() == tok.encode(text).ids
