"""Training: equal to its slow twin, independent of order, and as good as the trainer of Hugging Face."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
import slow_selection
from tei import _core
from tei.counts import WordCounts, count_words
from tei.errors import EmptySourceError, InvalidInputError, MismatchError, SizeError, VocabularyError
from tei.scheme import Scheme
from tei.tokenizer import Tokenizer
from tei.training import induce, train_spec

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
TEXTS = ["the cat sat on the mat", "the dog sat on the log", "cats and dogs sat"]

words = st.text("ab#é漢", min_size=1, max_size=9)
word_counts = st.dictionaries(words, st.integers(1, 6), min_size=1, max_size=12)


def largest(counts, **options):
    """The greatest vocabulary that the counts offer."""
    with pytest.raises(SizeError, match="cannot be filled") as caught:
        train_spec(counts, vocab_size=1_000_000, **options)
    return _offered(caught)


def _offered(caught):
    return int(str(caught.value).split("the words offer ")[1].split()[0])


def train(counts, size, *, quality=False, min_count=1, special=("[UNK]", "b"), prefix="##", max_chars=100, **limits):
    return _core.train(
        WordCounts.from_mapping(counts).core,
        Scheme.bert().rules,
        vocab_size=size,
        min_count=min_count,
        special_tokens=list(special),
        required_tokens=[],
        continuation_prefix=prefix,
        max_word_chars=max_chars,
        quality=quality,
        **limits,
    )


@given(word_counts, st.integers(1, 4), st.floats(0, 1), st.integers(1, 9), st.sampled_from(["@@", "##", "#", "a"]))
def test_equals_its_slow_twin(counts, min_count, share, max_chars, prefix):
    options = {"min_count": min_count, "special": ["[UNK]", "b"], "prefix": prefix, "max_chars": max_chars}

    def fast(size):
        return [token for token, *_ in train(counts, size, **options)]

    def slow(size):
        return reference.train(counts, vocab_size=size, alone="#漢", **options)

    least, most = len(slow(0)), len(slow(10_000))
    size = least + round(share * (most - least))
    assert fast(size) == slow(size)
    with pytest.raises(SizeError, match=f"at most {most}"):
        fast(most + 1)
    with pytest.raises(SizeError, match=f"at least {least}"):
        fast(least - 1)


@given(
    st.dictionaries(
        st.text("ab#é", min_size=1, max_size=9), st.sampled_from([1, 1, 2, 3, 9, 40]), min_size=1, max_size=15
    ),
    st.floats(0, 1),
    st.sampled_from([3, 6, 100]),
)
def test_choosing_equals_its_slow_twin(counts, share, max_bytes):
    options = {"min_count": 1, "special": ["[UNK]", "b"], "prefix": "##", "max_chars": 100, "alone": "#"}
    with pytest.raises(SizeError) as caught:
        train(counts, 10_000, max_token_bytes=max_bytes)
    merged = train(counts, _offered(caught), max_token_bytes=max_bytes)
    merges = [token for token, *_ in merged]
    base = reference.train(counts, vocab_size=0, **options)
    size = round(share * (len(merges) - len(base)))
    # Merges of what occurred once come last, and are candidates only where there are too few others.
    often = sum(kind != "merged" or count > 1 for _, kind, count, _ in merged)
    offered = min(2 * (len(base) + size), max(len(base) + size, often))
    induced = train(counts, len(base) + size, max_token_bytes=max_bytes, quality=True)
    assert [token for token, *_ in induced[: len(base)]] == base
    chosen = slow_selection.select(
        counts, size=size, kept=base, candidates=merges[len(base) : offered], max_bytes=max_bytes
    )
    assert [(token, *numbers) for token, _, *numbers in induced[len(base) :]] == chosen


def test_neither_order_of_words_nor_threads_matter():
    texts = TEXTS * 2000
    shuffled = random.Random(0).sample(texts, len(texts))
    specs = [
        train_spec(count_words(source, threads=threads), vocab_size=40)
        for source in (texts, shuffled)
        for threads in (1, 2, 5)
    ]
    assert len({spec.tokens for spec in specs}) == 1


@given(word_counts)
def test_every_word_over_the_alphabet_can_be_spelled(counts):
    texts = ["".join(c for c in word if c not in "#é漢") for word in counts]
    counted = WordCounts.from_mapping({text: 2 for text in texts if text} | {"x": 2})
    tokenizer = Tokenizer.train(counted, vocab_size=largest(counted))
    alphabet = "".join({c for word, _ in counted.most_common() for c in word})
    for word in ("x" + alphabet, alphabet[::-1], *texts):
        assert "[UNK]" not in tokenizer.encode(word).tokens


def test_rare_characters_get_no_token():
    tokenizer = Tokenizer.train(["aaa aab zab"], vocab_size=10)
    assert not {"z", "##z"} & set(tokenizer.tokens)
    assert tokenizer.encode("za ba").tokens == ["[UNK]", "b", "##a"]


def test_first_ids_are_special_and_the_template_is_that_of_bert():
    tokenizer = Tokenizer.train(TEXTS, vocab_size=33)
    assert tokenizer.tokens[:5] == tokenizer.special_tokens == SPECIAL
    assert (tokenizer.pad_token_id, tokenizer.unk_token, tokenizer.mask_token_id) == (0, "[UNK]", 4)
    ids = tokenizer("the cat", "sat")["input_ids"]
    assert [tokenizer.tokens[i] for i in ids if i < 5] == ["[CLS]", "[SEP]", "[SEP]"]


def test_special_tokens_may_be_chosen():
    tokenizer = Tokenizer.train(TEXTS, vocab_size=30, special_tokens=["[UNK]", "<user>"])
    assert tokenizer.tokens[:2] == ("[UNK]", "<user>")
    assert tokenizer.encode("the <user> sat").tokens.count("<user>") == 1
    assert len(tokenizer("the cat")["input_ids"]) == len(tokenizer.encode("the cat").ids)


def test_a_special_token_and_a_learned_one_share_a_slot():
    tokenizer = Tokenizer.train(WordCounts.from_mapping(WORDS), vocab_size=20, special_tokens=["[UNK]", "un", "h"])
    assert len(set(tokenizer.tokens)) == 20
    assert tokenizer.tokens[:3] == ("[UNK]", "un", "h")


@pytest.mark.parametrize(
    ("special", "culprit"),
    [
        (["[PAD]"], "lack"),
        (["[UNK]", "[PAD]", "[PAD]"], "'\\[PAD\\]' and '\\[PAD\\]'"),
        (["[UNK]", "[User]", "[user]"], "'\\[User\\]' and '\\[user\\]'"),
        (["[UNK]", "é", "e"], "'é' and 'e'"),
        (["[UNK]", ""], "empty"),
        (["[UNK]", " "], "empty"),
    ],
)
def test_conflicting_special_tokens_are_refused(special, culprit):
    with pytest.raises(VocabularyError, match=culprit):
        Tokenizer.train(TEXTS, vocab_size=40, special_tokens=special)


def test_a_cased_scheme_tells_cases_apart():
    scheme = Scheme.bert(lowercase=False)
    tokenizer = Tokenizer.train(["Aa aA"] * 2, vocab_size=8, scheme=scheme, special_tokens=["[UNK]", "[U]", "[u]"])
    assert tokenizer.tokens == ("[UNK]", "[U]", "[u]", "A", "a", "##A", "##a", "Aa")


def test_errors_name_the_way_out():
    counts = WordCounts.from_mapping(WORDS)
    for size in (-1, 0, 4):
        with pytest.raises(SizeError, match="5 special tokens"):
            train_spec(counts, vocab_size=size)
    with pytest.raises(SizeError, match="at least 19"):
        train_spec(counts, vocab_size=18)
    most = largest(counts)
    assert len(train_spec(counts, vocab_size=most).tokens) == most
    with pytest.raises(InvalidInputError, match="min_count is 0"):
        train_spec(counts, min_count=0)
    with pytest.raises(MismatchError, match="count them again"):
        train_spec(counts, scheme=Scheme.bert(lowercase=False))
    with pytest.raises(EmptySourceError):
        train_spec(WordCounts.from_mapping({}))
    with pytest.raises(EmptySourceError):
        Tokenizer.train([" "])
    with pytest.raises(InvalidInputError, match="scale the counts down"):
        train_spec(WordCounts.from_mapping({"ab": 2**64 - 1}))


def test_characters_that_are_always_words_need_no_continuation():
    tokenizer = Tokenizer.train(["abc, 中 ab, 中 x"] * 2, vocab_size=15)
    assert {",", "中", "##b"} <= set(tokenizer.tokens)
    assert not {"##,", "##中"} & set(tokenizer.tokens)
    joined = WordCounts.from_mapping({"a,b": 3}, tokenizer.scheme)
    assert "##," in Tokenizer.train(joined, vocab_size=11).tokens


@pytest.mark.parametrize("quality", [False, True])
def test_required_tokens_are_there_whatever_the_counts_say(quality):
    required = ["zygote", "##ish", "hug"]
    tokenizer = Tokenizer.train(
        WordCounts.from_mapping(WORDS), vocab_size=23, required_tokens=required, quality=quality
    )
    assert tokenizer.tokens[19:22] == ("zygote", "##ish", "hug")
    assert tokenizer.encode("zygote hugish").tokens == ["zygote", "hug", "##ish"]
    with pytest.raises(SizeError, match="3 required"):
        Tokenizer.train(WordCounts.from_mapping(WORDS), vocab_size=20, required_tokens=required)


@pytest.mark.parametrize("token", ["", "Hug", "two words", "a,b", "é"])
def test_a_required_token_that_no_text_has_is_refused(token):
    with pytest.raises(VocabularyError, match="required token"):
        Tokenizer.train(TEXTS, vocab_size=40, required_tokens=[token])


@pytest.mark.parametrize("quality", [False, True])
def test_alphabet_and_tokens_are_limited(quality):
    counts = WordCounts.from_mapping({"abab": 9, "abc": 5, "ab": 5, "b": 1})
    tokenizer = Tokenizer.train(counts, vocab_size=11, limit_alphabet=2, max_token_bytes=2, quality=quality)
    assert set(tokenizer.tokens[5:]) == {"a", "b", "##a", "##b", "ab", "##ab"}
    with pytest.raises(SizeError, match="at most 11"):
        Tokenizer.train(counts, vocab_size=12, limit_alphabet=2, max_token_bytes=2, quality=quality)
    for name in ("limit_alphabet", "max_token_bytes"):
        with pytest.raises(InvalidInputError, match=f"{name} is 0"):
            Tokenizer.train(counts, vocab_size=12, **{name: 0})


def test_reasons_are_recorded():
    induction = induce(WordCounts.from_mapping(WORDS), vocab_size=22, required_tokens=["pug"])
    kinds = [reason.kind for reason in induction.reasons]
    assert kinds == ["special"] * 5 + ["character"] * 14 + ["required"] + ["chosen"] * 2
    assert all(reason.saved > 0 for reason in induction.reasons[-2:])
    merged = induce(WordCounts.from_mapping(WORDS), vocab_size=20, quality=False).reasons[-1]
    assert (merged.kind, merged.count, merged.saved) == ("merged", 20.0, 0.0)


def test_other_prefix_and_unknown_token():
    scheme = Scheme(continuation_prefix="@@", unknown_token="<unk>")
    tokenizer = Tokenizer.train(["ab ab"], vocab_size=10, scheme=scheme)
    assert tokenizer.tokens == ("[PAD]", "<unk>", "[CLS]", "[SEP]", "[MASK]", "a", "b", "@@a", "@@b", "ab")
    assert tokenizer.encode("abc").tokens == ["<unk>"]


def test_saved_tokenizers_open_elsewhere_with_the_same_ids(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = Tokenizer.train(TEXTS, vocab_size=33)
    tokenizer.save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in [*TEXTS, "[MASK] xyz dogs' cat-log"]:
        assert theirs.encode(text, add_special_tokens=False).ids == tokenizer.encode(text).ids
    assert Tokenizer.load(tmp_path).tokens == tokenizer.tokens


@pytest.mark.data
def test_spells_unseen_text_as_briefly_as_hugging_face(data_root):
    tokenizers = pytest.importorskip("tokenizers")
    from tei.sources import read_texts

    lines = read_texts(data_root / "train" / "en_kernel_doc.txt.xz")[:40_000]
    training, unseen = lines[:30_000], lines[30_000:]
    theirs = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    theirs.normalizer = tokenizers.normalizers.BertNormalizer()
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=4000, min_frequency=2, special_tokens=list(SPECIAL), show_progress=False
    )
    theirs.train_from_iterator(training, trainer)
    tokens = sum(len(encoding.ids) for encoding in theirs.encode_batch_fast(unseen, add_special_tokens=False))
    for quality, bound in ((False, 1.01), (True, 0.99)):
        ours = Tokenizer.train(training, vocab_size=4000, quality=quality)
        assert len(ours.encode_batch(unseen).ids) <= bound * tokens
