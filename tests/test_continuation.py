"""Going on with a vocabulary: what stays, what comes, and that the rows follow."""

import numpy as np
import pytest

from tei.continuation import extend, refresh, retrain
from tei.counts import WordCounts, count_words
from tei.errors import InvalidInputError, MismatchError, SizeError
from tei.scheme import Scheme
from tei.tokenizer import Tokenizer

OLD = ["the cat sat on the mat", "the dog sat on the log", "cats and dogs sat"] * 3
NEW = ["the headstone of a homeland", "homelands and headstones", "headstone to homeland"] * 9


@pytest.fixture
def tokenizer():
    return Tokenizer.train(OLD, vocab_size=40, special_tokens=["[UNK]", "<user>"])


def test_retraining_equals_training_on_all_counts(tokenizer):
    counts = count_words(OLD) + count_words(NEW)
    plan = retrain(tokenizer, counts, 50)
    anew = Tokenizer.train(counts, 50, special_tokens=["[UNK]", "<user>"])
    after = tokenizer.apply(plan)
    assert after.tokens == anew.tokens
    assert (after.version, after.special_tokens) == (1, tokenizer.special_tokens)
    assert after.encode("the <user> homeland").tokens == anew.encode("the <user> homeland").tokens
    # Every new row is a convex mix of old ones.
    assert np.allclose(plan.matrix().toarray().sum(axis=1), 1)
    assert retrain(tokenizer, count_words(OLD)).target == tokenizer.tokens


def test_extending_keeps_all_ids(tokenizer):
    plan = extend(tokenizer, count_words([*OLD, *NEW]), 3)
    assert plan.target[: tokenizer.vocab_size] == tokenizer.tokens
    assert len(plan.target) == tokenizer.vocab_size + 3


def test_refreshing_keeps_the_size(tokenizer):
    counts = count_words([*OLD, *NEW])
    plan = refresh(tokenizer, counts, 2)
    after = tokenizer.apply(plan)
    assert after.vocab_size == tokenizer.vocab_size
    # Fewer words are unknown, which then have more tokens than one; or as few, and the text is shorter.
    new, old = (tok.usage(counts) for tok in (after, tokenizer))
    assert (new.unknown_words, new.tokens) < (old.unknown_words, old.tokens)


def test_changes_are_those_of_whole_plans(tokenizer):
    counts = count_words([*OLD, *NEW])
    size = tokenizer.vocab_size
    for plan, whole in (
        (extend(tokenizer, counts, 3), tokenizer.plan(counts, size=size, grow=3)),
        (refresh(tokenizer, counts, 2), tokenizer.plan(counts, size=size - 2, grow=2)),
    ):
        assert (plan.target, plan.reasons) == (whole.target, whole.reasons)
        # Only the curve ends where the change does.
        steps = len(plan.curve["size"])
        assert 0 < steps < len(whole.curve["size"])
        assert all((column == whole.curve[name][:steps]).all() for name, column in plan.curve.items())


def test_bad_input_is_refused(tokenizer):
    counts = count_words(NEW)
    for change in (extend, refresh):
        with pytest.raises(InvalidInputError, match="count is 0"):
            change(tokenizer, counts, 0)
    with pytest.raises(SizeError):
        extend(tokenizer, counts, 10_000)
    other = WordCounts.from_mapping({"A": 2}, Scheme.bert(lowercase=False))
    with pytest.raises(MismatchError):
        retrain(tokenizer, other)
