"""A tracker against its slow twin: the same questions asked of the sum of all counts, segmented anew each time."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tei import InvalidInputError, MismatchError, Scheme, TeiError, Tokenizer, Tracker, WordCounts
from tei.continuation import extend, refresh, retrain
from tei.errors import EmptySourceError, SizeError
from vocabularies import LETTERS, SPECIAL, make, vocabularies

BYTES = Tokenizer.train(["abc cab abcabc bca"] * 3, 262, scheme=Scheme.bytes(), special_tokens=[], min_count=1)

# Words that no scheme makes are counted, too: of the continuation prefix, and too long to be spelled.
words = st.text(LETTERS + "#", min_size=1, max_size=8) | st.just("a" * 101)
tables = st.dictionaries(words, st.integers(1, 30), min_size=1, max_size=12)
letters = st.dictionaries(st.text("abcĠÃ©", min_size=1, max_size=8), st.integers(1, 30), min_size=1, max_size=12)
numbers = st.integers(1, 4)


def steps(tables):
    return st.lists(
        st.tuples(st.just("add"), tables)
        | st.tuples(st.just("decay"), st.sampled_from([0.0, 0.3, 0.9]))
        | st.tuples(st.just("extend"), numbers, st.booleans())
        | st.tuples(st.just("refresh"), numbers, st.booleans(), st.booleans())
        | st.tuples(st.just("undo")),
        max_size=10,
    )


def outcome(act):
    """A plan, or how it was refused."""
    try:
        return act()
    except TeiError as error:
        return type(error), str(error)


class Twin:
    """Goes on with a tokenizer both ways, and compares at each step."""

    def __init__(self, tokenizer):
        self.tokenizer, self.counts = tokenizer, WordCounts.from_mapping({}, tokenizer.scheme)
        self.tracker = Tracker(tokenizer)

    def add(self, table):
        new = WordCounts.from_mapping(table, self.tokenizer.scheme)
        self.counts += new
        self.tracker.add(new)

    def decay(self, factor):
        self.counts = self.counts.decay(factor)
        self.tracker.decay(factor)

    def extend(self, count, apply):
        plan = outcome(lambda: extend(self.tokenizer, self.counts, count))
        self.go_on(plan, outcome(lambda: self.tracker.extend(count)), apply)

    def refresh(self, count, weighted, apply):
        rows = np.random.default_rng(count).normal(size=(self.tokenizer.vocab_size, 3)) if weighted else None
        plan = outcome(lambda: refresh(self.tokenizer, self.counts, count, rows))
        self.go_on(plan, outcome(lambda: self.tracker.refresh(count, rows)), apply)

    def go_on(self, plan, found, apply):
        assert found == plan
        if apply and not isinstance(plan, tuple):
            self.last = plan
            self.apply(plan)

    def apply(self, plan):
        self.tokenizer = self.tokenizer.apply(plan)
        assert self.tracker.apply(plan).fingerprint == self.tokenizer.fingerprint == self.tracker.tokenizer.fingerprint

    def undo(self):
        last = getattr(self, "last", None)
        if last is not None and last.target_fingerprint == self.tokenizer.fingerprint:
            self.apply(last.inverse())

    def check(self):
        assert self.tracker.counts == self.counts
        usage = self.tracker.usage()
        if not len(self.counts):
            assert usage.tokens == usage.words == 0
            return
        expected = vars(self.tokenizer.usage(self.counts))
        assert (usage.token_counts == expected.pop("token_counts")).all()
        assert usage.tokenizer.tokens == expected.pop("tokenizer").tokens
        assert {name: getattr(usage, name) for name in expected} == expected


def run(twin, steps):
    for name, *arguments in steps:
        getattr(twin, name)(*arguments)
        twin.check()


@given(vocabularies, tables, steps(tables), st.integers(0, 2))
def test_each_step_equals_its_slow_twin(tokens, table, steps, retired):
    tok = make(sorted(tokens))
    tok = tok.revised(retired=range(max(tok.vocab_size - retired, len(SPECIAL)), tok.vocab_size))
    run(Twin(tok), [("add", table), *steps])


@given(letters, steps(letters))
def test_each_step_equals_its_slow_twin_in_bytes(table, steps):
    run(Twin(BYTES), [("add", table), *steps])


def test_planning_leaves_no_trace():
    tracker = Tracker(make("abc"), ["abc cab bcb ab"] * 9)
    first = [tracker.extend(2), tracker.refresh(1)]
    before = vars(tracker.usage())
    # Long enough for what plans leave in heaps to be cleared away.
    for _ in range(300):
        assert [tracker.extend(2), tracker.refresh(1)] == first
    assert all(np.array_equal(value, before[name]) for name, value in vars(tracker.usage()).items())


def test_retraining_is_followed():
    tok = Tokenizer.train(["low lower lowest"], vocab_size=24, min_count=1)
    twin = Twin(tok)
    twin.add({"slow": 9, "lower": 3, "slower": 4})
    twin.apply(retrain(tok, twin.counts + tok.count(["low lowest newest"]), 30, min_count=1))
    twin.check()
    twin.extend(1, True)
    twin.check()


def test_a_tracker_is_pickled_by_value():
    for source in (None, ["abc cab bcb ab"] * 9):
        tracker = Tracker(make("abc"), source)
        copy = pickle.loads(pickle.dumps(tracker))
        assert (copy.counts, copy.tokenizer.fingerprint) == (tracker.counts, tracker.tokenizer.fingerprint)


def test_bad_input_is_refused():
    tracker = Tracker(make("abc"))
    with pytest.raises(EmptySourceError):
        tracker.extend(1)
    with pytest.raises(EmptySourceError):
        tracker.add([" "])
    with pytest.raises(MismatchError):
        tracker.add(WordCounts.from_mapping({"A": 2}, Scheme.bert(lowercase=False)))
    tracker.add(["abc"])
    with pytest.raises(InvalidInputError, match="count is 0"):
        tracker.refresh(0)
    with pytest.raises(InvalidInputError, match="factor is 2"):
        tracker.decay(2)
    with pytest.raises(MismatchError, match="weights have shape"):
        tracker.refresh(1, np.ones((2, 2)))
    with pytest.raises(SizeError):
        tracker.extend(9_000)
    assert repr(tracker).endswith(", 1 occurrences)")
