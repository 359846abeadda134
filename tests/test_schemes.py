"""Rules other than BERT's: equal to Hugging Face `tokenizers` for any combination of components."""

import time
from collections import Counter
from typing import Any

import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers

from schemes import normalizer_parts, pre_tokenizer_parts, sequences, texts
from schemes import tokenizers as random_tokenizers
from tei import Scheme, Tokenizer, _core


def assert_equal(tok: Tokenizer, oracle: tokenizers.Tokenizer, text: str) -> None:
    want = oracle.encode(text, add_special_tokens=False)
    got = tok.encode(text)
    assert got.ids == want.ids
    assert (got.offsets, got.word_ids) == (want.offsets, want.word_ids)
    assert tok.encode_batch([text]).to_list() == [want.ids]


blank_tokens = st.builds(
    tokenizers.AddedToken,
    st.sampled_from(["\n", " ", "\n\n", "x\n", "\n.", "[X]", "a"]),
    single_word=st.booleans(),
    lstrip=st.booleans(),
    rstrip=st.booleans(),
    normalized=st.booleans(),
)
blank_texts = st.lists(st.sampled_from(["\n", " ", "\u2003", "[X]", "x", "a", ".", "é"]), max_size=12).map("".join)
SWALLOW = {"lstrip": True, "rstrip": True, "single_word": False}


@given(
    st.sampled_from([None, normalizers.Lowercase(), normalizers.BertNormalizer(clean_text=False)]),
    st.lists(blank_tokens, min_size=1, max_size=3, unique_by=lambda token: token.content),
    blank_texts,
)
@example(None, [tokenizers.AddedToken("\n", normalized=True, **SWALLOW)], "a\n\n")
@example(None, [tokenizers.AddedToken("\n", normalized=False, **SWALLOW)], "a\n\nx")
@example(None, [tokenizers.AddedToken(t, normalized=False, **SWALLOW) for t in ("[X]", "\n")], "[X]\na")
@example(None, [tokenizers.AddedToken(t, normalized=False, **SWALLOW) for t in ("[X]", "\n")], "[X]\n\na")
def test_added_tokens_that_swallow_each_other_equal_those_of_tokenizers(
    normalizer: Any, added: list[tokenizers.AddedToken], text: str
) -> None:
    vocabulary = {token: i for i, token in enumerate(["[UNK]", "a", "x", ".", "é", "##x", "##a"])}
    oracle = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    oracle.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if normalizer is not None:
        oracle.normalizer = normalizer
    oracle.add_tokens(added)
    tok = Tokenizer.from_pretrained(oracle)
    try:
        oracle.encode(text)
    except BaseException as error:
        # `tokenizers` panics at some tokens that those before have swallowed.
        if type(error).__name__ != "PanicException":
            raise
        assert tok.encode_batch([text]).to_list() == [tok.encode(text).ids]
    else:
        assert_equal(tok, oracle, text)


def scheme_of(normalizer: Any, pre_tokenizer: Any) -> Scheme:
    oracle = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    oracle.normalizer, oracle.pre_tokenizer = normalizer, pre_tokenizer
    return Tokenizer.from_pretrained(oracle).scheme


@given(random_tokenizers(), st.lists(texts, min_size=1, max_size=8))
def test_any_rules_equal_those_of_tokenizers(oracle: tokenizers.Tokenizer, texts: list[str]) -> None:
    tok = Tokenizer.from_pretrained(oracle)
    for text in texts:
        assert_equal(tok, oracle, text)
    assert_equal(tok, oracle, " a ".join(texts * 40))
    # Texts are scanned several at once, and cut where they are long.
    batch = [*texts, " ".join(texts * 40), "", "".join(texts * 20)]
    assert tok.encode_batch(batch).to_list() == [e.ids for e in oracle.encode_batch(batch, add_special_tokens=False)]


@given(random_tokenizers(), st.lists(texts, min_size=1, max_size=8), st.integers(0, 40))
def test_beginnings_are_those_of_whole_texts(oracle: tokenizers.Tokenizer, texts: list[str], limit: int) -> None:
    core = Tokenizer.from_pretrained(oracle).encoder
    for text in (" ".join(texts * 40), " a ".join(texts * 9)):
        whole, first = core.encode_batch_aligned([text], 1), core.encode_batch_aligned([text], 1, limit)
        assert [first[i].tolist() for i in (0, 2, 3)] == [
            whole[0][:limit].tolist(),
            whole[2][: 2 * limit].tolist(),
            whole[3][:limit].tolist(),
        ]
        assert core.encode_batch([text], 1, limit)[0].tolist() == whole[0][:limit].tolist()


@given(random_tokenizers(), texts, texts, st.booleans())
def test_any_template_equals_that_of_tokenizers(
    oracle: tokenizers.Tokenizer, text: str, pair: str, special: bool
) -> None:
    tok = Tokenizer.from_pretrained(oracle)
    # As in transformers, an empty second text is none.
    for parts in ([text], [text, pair or "a"]):
        want = oracle.encode(*parts, add_special_tokens=special)
        got = tok(*parts, add_special_tokens=special)
        assert (got.input_ids, got.token_type_ids) == (want.ids, want.type_ids)


@given(
    random_tokenizers(),
    texts,
    texts,
    st.integers(5, 9),
    st.integers(0, 2),
    st.sampled_from(["left", "right"]),
    st.booleans(),
)
def test_any_rows_equal_those_of_tokenizers(
    oracle: tokenizers.Tokenizer, text: str, pair: str, length: int, stride: int, side: Any, special: bool
) -> None:
    oracle.enable_truncation(length, stride=stride, direction=side)
    tok = Tokenizer.from_pretrained(oracle)
    asked = dict.fromkeys(("truncation", "return_offsets_mapping", "return_overflowing_tokens"), True)
    for parts in ([text], [text, pair or "a"]):
        try:
            want = oracle.encode(*parts, add_special_tokens=special)
        except BaseException as error:
            # `tokenizers` panics where a stride is too long.
            if type(error).__name__ not in ("PanicException", "Exception"):
                raise
            continue
        got = tok(*parts, max_length=length, stride=stride, add_special_tokens=special, **asked)
        rows = [want, *want.overflowing]
        assert (got.input_ids, got.token_type_ids) == ([e.ids for e in rows], [e.type_ids for e in rows])
        assert got.offset_mapping == [e.offsets for e in rows]
        first = tok(*parts, max_length=length, truncation=True, add_special_tokens=special, return_offsets_mapping=True)
        assert (first.input_ids, first.token_type_ids, first.offset_mapping) == (want.ids, want.type_ids, want.offsets)


@given(random_tokenizers(), texts, st.data())
def test_any_decoder_equals_that_of_tokenizers(
    tmp_path_factory: pytest.TempPathFactory, oracle: tokenizers.Tokenizer, text: str, data: Any
) -> None:
    # `tokenizers` still decodes a token by flags that a later one of the same name has replaced.
    oracle = tokenizers.Tokenizer.from_str(oracle.to_str())
    tok, directory = Tokenizer.from_pretrained(oracle), tmp_path_factory.mktemp("saved")
    tok.save(directory)
    saved = [Tokenizer.load(directory), tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))]
    some = data.draw(st.lists(st.integers(0, tok.vocab_size - 1), max_size=8))
    for ids in (some, list(range(tok.vocab_size)), oracle.encode(text).ids):
        for skip in (False, True):
            want = oracle.decode(ids, skip_special_tokens=skip)
            assert [t.decode(ids, skip_special_tokens=skip) for t in (tok, *saved)] == [want] * 3


@given(random_tokenizers(), texts)
def test_what_is_saved_is_the_same_tokenizer(
    tmp_path_factory: pytest.TempPathFactory, oracle: tokenizers.Tokenizer, text: str
) -> None:
    tok, directory = Tokenizer.from_pretrained(oracle), tmp_path_factory.mktemp("saved")
    tok.save(directory)
    again = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    assert again.get_vocab() == oracle.get_vocab()
    assert_equal(Tokenizer.load(directory), again, text)
    assert_equal(tok, again, text)
    assert Scheme.from_json(tok.scheme.to_json()) == tok.scheme


@given(
    sequences(normalizer_parts(), normalizers.Sequence),
    sequences(pre_tokenizer_parts(), pre_tokenizers.Sequence),
    texts,
)
def test_words_are_counted_as_tokenizers_splits_them(normalizer: Any, pre_tokenizer: Any, text: str) -> None:
    scheme = scheme_of(normalizer, pre_tokenizer)
    normalized = normalizer.normalize_str(text) if normalizer else text
    assert _core.normalize(text, scheme.rules) == normalized
    words = [word for word, _ in pre_tokenizer.pre_tokenize_str(normalized)] if pre_tokenizer else [normalized]
    want = Counter(filter(None, words))
    counter = _core.WordCounter()
    counter.add(Tokenizer.from_pretrained(bare(normalizer, pre_tokenizer)).encoder, [text], 1)
    assert dict(counter.finish().most_common()) == want


def bare(normalizer: Any, pre_tokenizer: Any) -> tokenizers.Tokenizer:
    oracle = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    oracle.normalizer, oracle.pre_tokenizer = normalizer, pre_tokenizer
    return oracle


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(
    ("lstrip", "rstrip", "want"), [(True, False, 200_000), (False, True, 200_000), (True, True, 1)]
)
def test_long_white_space_of_added_tokens_takes_time_in_proportion(
    normalized: bool, lstrip: bool, rstrip: bool, want: int
) -> None:
    oracle = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    oracle.add_tokens([tokenizers.AddedToken("\n", lstrip=lstrip, rstrip=rstrip, normalized=normalized)])
    tok, text, start = Tokenizer.from_pretrained(oracle), "\n" * 200_000, time.process_time()
    assert tok.encode_batch([text]).to_list() == [tok.encode(text).ids] == [[1] * want]
    # A fraction of a second; looking at all white space for each token takes some ten.
    assert time.process_time() - start < 5
