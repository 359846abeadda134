"""Going on with a vocabulary when there is new text: induced anew, longer, or with its worst tokens replaced.

Each gives a plan for [`Tokenizer.apply`][tei.tokenizer.Tokenizer.apply] and for the model's rows. Counts of old and new
text are added, and the old ones may be decayed, before: `tei.WordCounts.load(path).decay(0.5) + new`.

No text is read again. `extend` and `refresh` spell each word they are given once, and order as many tokens as they
replace: their plans have a curve of that length. Who does so again and again keeps a
[`Tracker`][tei.continuation.Tracker], which spells only words that are new, and those that a plan changed.
"""

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.counts import WordCounts
from tei.errors import InvalidInputError, SizeError
from tei.evidence import MIN_GAIN, Bounds, Evidence, Ids, TrimOrder, checked_rows, protected_tokens
from tei.plan import ResizePlan
from tei.planning import planned
from tei.policy import Auto, Replace
from tei.training import induce
from tei.usage import Usage, check_counts, usage_of
from tei.vocabulary import fingerprint

if TYPE_CHECKING:
    from tei.sources import Source
    from tei.tokenizer import Tokenizer
    from tei.torch.archive import Archive

__all__ = ["Tracker", "extend", "refresh", "retrain"]

Rows = dict[str, tuple[NDArray[Any], NDArray[Any]]]


def retrain(tokenizer: "Tokenizer", counts: WordCounts, vocab_size: int | None = None, **options: Any) -> ResizePlan:
    """A vocabulary that is induced from these counts alone, just as [`induce`][tei.training.induce] does it.

    A token in both vocabularies keeps its row; the row of a new one is the mean of its old pieces, weighted by length.

    Args:
        tokenizer: Whose scheme and special tokens stay.
        counts: Words of all text, old and new, counted by the tokenizer's scheme.
        vocab_size: Number of tokens; that of the tokenizer if None.
        options: Other arguments of `induce`.

    Raises:
        MismatchError: If the words were counted with another scheme.
        SizeError: If the words do not offer so many tokens.

    Example:
        >>> from tei import Tokenizer, count_words
        >>> tok = Tokenizer.train(["low lower lowest"], vocab_size=24, min_count=1)
        >>> plan = retrain(tok, count_words(["low lower lowest slow slower"]), min_count=1)
        >>> tok.apply(plan).vocab_size
        24
    """
    check_counts(tokenizer, counts, "counts")
    declared = [token.content for token in tokenizer.spec.added_tokens]
    special = sorted({*tokenizer.special_tokens, *declared}, key=tokenizer.tokens.index)
    spec = induce(counts, vocab_size=vocab_size or tokenizer.vocab_size, special_tokens=special, **options).spec
    target = type(tokenizer)(spec)
    return ResizePlan.from_tokens(
        tokenizer.tokens,
        target.tokens,
        added=_spelled(tokenizer, [token for token in target.tokens if token not in tokenizer.vocab]),
        dropped=_spelled(target, [token for token in tokenizer.tokens if token not in target.vocab]),
        source_fingerprint=tokenizer.fingerprint,
        target_fingerprint=fingerprint(target.tokens, tokenizer.scheme.to_json()),
    )


def extend(tokenizer: "Tokenizer", counts: WordCounts, count: int) -> ResizePlan:
    """Adds the `count` tokens that shorten the counted text most; all ids stay.

    Raises:
        InvalidInputError: If `count` is below 1.
        MismatchError: If the words were counted with another scheme.
        SizeError: If fewer new tokens would shorten the text.

    Example:
        >>> from tei import Tokenizer, count_words
        >>> tok = Tokenizer.train(["low lower lowest"], vocab_size=20, min_count=1)
        >>> extend(tok, count_words(["slow slow slow"]), 1).target[20:]
        ('slow',)
    """
    _check_count(count)
    return _extended(Evidence.gather(tokenizer, counts, most=0), count)


def refresh(tokenizer: "Tokenizer", counts: WordCounts, count: int, weights: Any = None) -> ResizePlan:
    """Replaces the `count` tokens that the counted text needs least by those that shorten it most; the size stays.

    Where fewer new tokens are worth more than those that would go, fewer are exchanged.

    Args:
        tokenizer: Whose vocabulary to change.
        counts: Words of the text it is used on now.
        count: Number of tokens that go at most, and as many come.
        weights: Embedding rows, by which the cost of a token is judged; see `Tokenizer.plan`.

    Raises:
        InvalidInputError: If `count` is below 1.
        MismatchError: If the words were counted with another scheme.
        SizeError: If fewer tokens may go.
    """
    _check_count(count)
    return _refreshed(Evidence.gather(tokenizer, counts, weights=weights, most=count), count)


class Tracker:
    """A vocabulary and all words it is used on, segmented once: each step takes time for what is new, not for what is known.

    Plans are those of `extend` and `refresh` on the sum of all counts. Making one takes some milliseconds for a vocabulary of
    30,000 tokens, however many words are known. A tracker takes about 400 bytes a word; it can be pickled.

    Example:
        >>> from tei import Tokenizer
        >>> tok = Tokenizer.train(["low lower lowest"], vocab_size=20, min_count=1)
        >>> tracker = Tracker(tok, ["low lower lowest"])
        >>> tracker.add(["slow slow slow"])
        >>> tracker.apply(tracker.extend(1)).encode("slow").tokens
        ['slow']
        >>> tracker.counts.most_common(1), tracker.usage().fertility < tok.usage(tracker.counts).fertility
        ([('slow', 3)], True)
    """

    def __init__(self, tokenizer: "Tokenizer", source: "Source | WordCounts | None" = None) -> None:
        """Segments the words of a source.

        Args:
            tokenizer: Whose vocabulary to go on with.
            source: Texts, files of texts, or word counts; nothing yet if None.

        Raises:
            EmptySourceError: If there is no word in the source.
            MismatchError: If the words were counted with another scheme.
        """
        self._tokenizer = tokenizer
        self._segment(WordCounts.from_mapping({}, tokenizer.scheme) if source is None else self._counted(source))

    @property
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer as it is now."""
        return self._tokenizer

    @property
    def counts(self) -> WordCounts:
        """All words so far; sorting them takes time for each."""
        return WordCounts(self._core.counts(), self._tokenizer.scheme)

    def usage(self) -> Usage:
        """What all words emit, see [`Usage`][tei.usage.Usage]."""
        return usage_of(self._tokenizer, self._core.usage())

    def add(self, source: "Source | WordCounts") -> None:
        """Adds the words of new text.

        Raises:
            EmptySourceError: If there is no word in the source.
            MismatchError: If the words were counted with another scheme.
        """
        self._core.add(self._tokenizer.encoder, self._counted(source).core)

    def decay(self, factor: float) -> None:
        """Lets all words so far count less, as [`WordCounts.decay`][tei.counts.WordCounts.decay]; segments all that are left.

        Raises:
            InvalidInputError: If the factor is not between 0 and 1.
        """
        self._segment(self.counts.decay(factor))

    def extend(self, count: int) -> ResizePlan:
        """As [`extend`][tei.continuation.extend] by all words so far.

        Raises:
            EmptySourceError: If there is no word yet.
            InvalidInputError: If `count` is below 1.
            SizeError: If fewer new tokens would shorten the text.
        """
        _check_count(count)
        return _extended(self._evidence(None, 0), count)

    def refresh(self, count: int, weights: Any = None) -> ResizePlan:
        """As [`refresh`][tei.continuation.refresh] by all words so far.

        Raises:
            EmptySourceError: If there is no word yet.
            InvalidInputError: If `count` is below 1.
            MismatchError: If there are no weights for a token.
            SizeError: If fewer tokens may go.
        """
        _check_count(count)
        return _refreshed(self._evidence(weights, count), count)

    def apply(self, plan: ResizePlan, *, reason: str = "", archive: "Archive | None" = None) -> "Tokenizer":
        """Goes on with the tokenizer after a plan, see [`Tokenizer.apply`][tei.tokenizer.Tokenizer.apply].

        Segments the words that the plan changes; where kept tokens do not come first and in their order, as after
        `retrain` or an inverse, all of them.

        Raises:
            MismatchError: If the plan was made for another vocabulary, or drops a special token.
        """
        before, self._tokenizer = self._tokenizer, self._tokenizer.apply(plan, reason=reason, archive=archive)
        self._core.apply(before.encoder, self._tokenizer.encoder, plan.id_map)
        return self._tokenizer

    def _counted(self, source: "Source | WordCounts") -> WordCounts:
        counts = self._tokenizer.count(source)
        check_counts(self._tokenizer, counts)
        return counts

    def _segment(self, counts: WordCounts) -> None:
        self._core = _core.Tracker(self._tokenizer.encoder, counts.core, Bounds().max_pieces)

    def _evidence(self, weights: Any, most: int) -> Evidence:
        evidence = _Tracked(self._tokenizer, self._core, checked_rows(self._tokenizer, weights), most)
        if not evidence.usage.words:
            check_counts(self._tokenizer, self.counts)
        return evidence

    def __repr__(self) -> str:
        return f"Tracker({self._tokenizer!r}, {self.usage().words} occurrences)"

    def __reduce__(self) -> tuple[Any, ...]:
        counts = self.counts
        return type(self), (self._tokenizer, counts if len(counts) else None)


class _Tracked(Evidence):
    """What a policy decides by, asked of words that are segmented already; their counts are sorted only if asked for."""

    core: _core.Tracker

    def __init__(
        self, tokenizer: "Tokenizer", core: _core.Tracker, rows: NDArray[np.float32] | None, most: int
    ) -> None:
        protected = protected_tokens(tokenizer, core.alphabet(tokenizer.encoder), ())
        known = {"tokenizer": tokenizer, "protected": protected, "rows": rows, "most": most}
        vars(self).update(known, held_out=None, base=None, bounds=Bounds(), core=core)

    @cached_property
    def counts(self) -> WordCounts:
        return WordCounts(self.core.counts(), self.tokenizer.scheme)

    @cached_property
    def usage(self) -> Usage:
        return usage_of(self.tokenizer, self.core.usage())

    @cached_property
    def trim(self) -> TrimOrder:
        found = self.core.trim_order(self.tokenizer.encoder, self.mask, self.rows, self.most)
        return TrimOrder(*found).after(self.tokenizer.retired, self.usage)

    def grown(self, dropped: Ids, count: int, *, min_gain: int = MIN_GAIN) -> Mapping[str, int]:
        return dict(self.core.grow(self.tokenizer.encoder, dropped, count=count, min_gain=min_gain))


def _extended(evidence: Evidence, count: int) -> ResizePlan:
    plan = planned(evidence, Auto(evidence.tokenizer.vocab_size, count))
    if len(plan.added) < count:
        msg = f"{count} new tokens are too many: only {len(plan.added)} would shorten the text; ask for as many, or give more"
        raise SizeError(msg)
    return plan


def _refreshed(evidence: Evidence, count: int) -> ResizePlan:
    return planned(evidence, Replace(None, count))


def _check_count(count: int) -> None:
    if count < 1:
        msg = f"count is {count}, must be at least 1"
        raise InvalidInputError(msg)


def _spelled(tokenizer: "Tokenizer", tokens: Sequence[str]) -> Rows:
    """Ids that spell each token, weighted by the characters they spell."""
    prefix = tokenizer.scheme.continuation_prefix
    lengths = np.array([len(token.removeprefix(prefix)) or len(token) for token in tokenizer.tokens], dtype=np.float64)
    pieces, ends = _core.spell(tokenizer.encoder, np.zeros(0, np.uint32), [], list(tokens))
    rows = {}
    for token, (start, end) in zip(tokens, itertools.pairwise(ends.tolist()), strict=True):
        weights = lengths[pieces[start:end]]
        rows[token] = (pieces[start:end], weights / weights.sum())
    return rows
