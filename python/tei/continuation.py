"""Going on with a vocabulary when there is new text: induced anew, longer, or with its worst tokens replaced.

Each gives a plan for [`Tokenizer.apply`][tei.tokenizer.Tokenizer.apply] and for the model's rows. Counts of old and new
text are added, and the old ones may be decayed, before: `tei.WordCounts.load(path).decay(0.5) + new`.

No text is read again. `extend` may be given the words of new text alone, and takes time in proportion to those; `refresh`
spells each word it is given once, and orders as many tokens as it replaces. So their plans have a curve of that length.
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.counts import WordCounts
from tei.errors import InvalidInputError, SizeError
from tei.evidence import Evidence
from tei.plan import ResizePlan
from tei.planning import planned
from tei.policy import Auto
from tei.training import induce
from tei.usage import check_counts
from tei.vocabulary import fingerprint

if TYPE_CHECKING:
    from tei.tokenizer import Tokenizer

__all__ = ["extend", "refresh", "retrain"]

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
    plan = _changed(tokenizer, counts, 0, count)
    if len(plan.added) < count:
        msg = f"{count} new tokens are too many: only {len(plan.added)} would shorten the text; ask for as many, or give more"
        raise SizeError(msg)
    return plan


def refresh(tokenizer: "Tokenizer", counts: WordCounts, count: int, weights: Any = None) -> ResizePlan:
    """Replaces the `count` tokens that the counted text needs least by those that shorten it most.

    Args:
        tokenizer: Whose vocabulary to change.
        counts: Words of the text it is used on now.
        count: Number of tokens that go, and that come.
        weights: Embedding rows, by which the cost of a token is judged; see `Tokenizer.plan`.

    Raises:
        InvalidInputError: If `count` is below 1.
        MismatchError: If the words were counted with another scheme.
        SizeError: If fewer tokens may go, or fewer would shorten the text.
    """
    _check_count(count)
    return _changed(tokenizer, counts, count, count, weights)


def _changed(tokenizer: "Tokenizer", counts: WordCounts, drop: int, grow: int, weights: Any = None) -> ResizePlan:
    evidence = Evidence.gather(tokenizer, counts, weights=weights, most=drop)
    return planned(evidence, Auto(tokenizer.vocab_size - drop, grow))


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
