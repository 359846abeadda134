"""Policies: which tokens to drop and which to add.

A policy is any object with a method `decide` that turns evidence into a decision; what follows from a decision (rows,
reasons, the way back) is the same for all. Trimming gives up tokens one at a time, the cheapest first; growing adds tokens
for what the rest spells with many pieces. Python decides here; the compiled core counts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from tei.counts import WordCounts
from tei.errors import InvalidInputError
from tei.evidence import Bounds, Decision, Evidence, Ids, is_number
from tei.sizing import Budget, Size, chosen_size, chosen_to_drop

__all__ = ["Auto", "Bounds", "Budget", "Decision", "Evidence", "Grow", "Policy", "Refresh", "Replace", "Trim"]

# Standard deviations of a count below which the next one lies in 1 of 100 cases: what grows on a few uses saves less in new
# text, and the model does not know it yet. On 3,000 film reviews most of such tokens cost accuracy; 6,000 tokens of kernel
# documentation move sentence vectors 14 % less with it, and save .3 % fewer tokens.
CERTAIN = 2.33


# Ids are int32.
MOST = 2**31 - 1


class Policy(Protocol):
    """Decides how a vocabulary changes.

    Example:
        >>> from tei import Tokenizer
        >>> class NoRare:
        ...     '''Drops what occurs less often than once in a thousand tokens.'''
        ...
        ...     def decide(self, evidence):
        ...         usage, tok = evidence.usage, evidence.tokenizer
        ...         rare = usage.token_counts < usage.tokens / 1_000
        ...         drop = [t for t, gone in zip(tok.tokens, rare) if gone and t not in evidence.protected]
        ...         return Decision.of(drop=dict.fromkeys(drop, "rare"))
        >>> tok = Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
        >>> plan = tok.plan(["low lower"], policy=NoRare())
        >>> len(plan.target), plan.reasons["newest"]
        (23, 'rare')
    """

    def decide(self, evidence: Evidence) -> Decision:
        """Chooses tokens to drop, none of them protected, and tokens to add."""
        ...


@dataclass(frozen=True)
class Trim:
    """Drops the cheapest tokens.

    Attributes:
        size: Number of tokens to keep, `auto` (as few as the bounds allow on held-out words), or a budget.
    """

    size: Size = "auto"

    def decide(self, evidence: Evidence) -> Decision:
        """Drops in the order of cost."""
        return Decision.of(drop=evidence.names(chosen_to_drop(evidence, self.size)))


@dataclass(frozen=True)
class Grow:
    """Adds the tokens that save most, and drops nothing.

    Attributes:
        count: Number of tokens to add, or `auto`: as many as pay.
    """

    count: Any = "auto"

    def decide(self, evidence: Evidence) -> Decision:
        """Adds by true gain."""
        return Decision.of(add=_explained(evidence, _grown(evidence, np.zeros(0, np.uint32), self.count)))


@dataclass(frozen=True)
class Auto:
    """Drops the cheapest tokens, then adds those that save most.

    Attributes:
        size: As of `Trim`.
        grow: Number of tokens to add after that, or `auto`: as many as pay. Where a dropped token is worth more than
            another new one, it comes back.
    """

    size: Size = "auto"
    grow: Any = "auto"

    def decide(self, evidence: Evidence) -> Decision:
        """Trims, then grows."""
        if isinstance(self.size, Budget) and self.grow == "auto":
            rows = chosen_size(evidence, self.size)
            return Replace(rows).decide(evidence)
        room = 0 if self.grow == "auto" else _checked(self.grow)
        dropped = chosen_to_drop(evidence, self.size, room=room)
        grown = _grown(evidence, dropped, self.grow)
        add = _explained(evidence, grown) if self.grow == "auto" else _dearest(evidence, dropped, grown, room)
        return Decision.of(evidence.names(dropped), add)


@dataclass(frozen=True)
class Replace:
    """Exchanges tokens for better ones; the size is fixed.

    Attributes:
        size: Number of tokens afterwards; as many as there are if None.
        grow: How many of them are new; `auto`: as long as a new token saves more than the next one to drop costs, both
            in tokens, and within the bounds.
    """

    size: int | None = None
    grow: Any = "auto"

    def decide(self, evidence: Evidence) -> Decision:
        """Drops as many more as will be added."""
        size = chosen_size(evidence, evidence.tokenizer.vocab_size if self.size is None else self.size)
        count = self._paying(evidence, size) if self.grow == "auto" else _checked(self.grow)
        decision = Auto(size - count, count).decide(evidence)
        # What growth leaves of the size, the dearest of the dropped tokens fill, last of all those that nothing uses.
        lacking = max(0, count - len(decision.add))
        back = [token for token in reversed([*decision.drop]) if token not in decision.add][:lacking]
        return Decision.of([token for token in decision.drop if token not in set(back)], decision.add)

    def _paying(self, evidence: Evidence, size: int) -> int:
        dropped, trim = evidence.cheapest(size), evidence.trim
        gains = np.array([*evidence.worthwhile(dropped).values()])
        lost = np.diff(trim.column("tokens", evidence.usage.tokens).astype(np.int64))[len(dropped) :]
        most = min(len(gains), len(lost))
        pays = gains[:most] > np.maximum.accumulate(lost[:most])
        return int(np.argmin(np.append(pays, False)))


@dataclass(frozen=True)
class Refresh:
    """Fits again while data come in: older words count less and less.

    Attributes:
        past: Words so far, without those of the evidence.
        decay: What a word of the past still counts, 0 to 1; applied each time, it falls off exponentially.
        policy: What decides by the mixed words.
    """

    past: WordCounts
    decay: float = 0.5
    policy: Policy = field(default_factory=Replace)

    def counts(self, now: WordCounts) -> WordCounts:
        """Words of now and of the past; the `past` of the next time."""
        if not is_number(self.decay) or self.decay > 1:
            msg = f"decay is {self.decay!r}, must be from 0, nothing of the past counts, to 1, all of it does"
            raise InvalidInputError(msg)
        if not isinstance(self.past, WordCounts):
            msg = f"past is {self.past!r}, must be WordCounts; tokenizer.count(texts) counts words"
            raise InvalidInputError(msg)
        return self.past.decay(self.decay) + now

    def decide(self, evidence: Evidence) -> Decision:
        """Decides by the mixed words."""
        mixed = evidence.with_counts(self.counts(evidence.counts))
        return replace(self.policy.decide(mixed), evidence=mixed)


def _checked(count: Any) -> int:
    if not is_number(count, whole=True) or count > MOST:
        msg = f"grow is {count!r}, must be a number of tokens from 0 to {MOST}, or 'auto'"
        raise InvalidInputError(msg)
    return int(count)


def _grown(evidence: Evidence, dropped: Ids, count: Any) -> Mapping[str, int]:
    if isinstance(count, str) and count == "auto":
        return evidence.worthwhile(dropped)
    return evidence.grown(dropped, _checked(count))


def _is_character(evidence: Evidence, token: str) -> bool:
    return len(token.removeprefix(evidence.tokenizer.scheme.continuation_prefix)) == 1


def _explained(evidence: Evidence, grown: Mapping[str, int]) -> dict[str, str]:
    forms = {token: "unseen: in {} unknown words" for token in grown if _is_character(evidence, token)}
    return {token: forms.get(token, "grown: saves {} tokens").format(gain) for token, gain in grown.items()}


def _dearest(evidence: Evidence, dropped: Ids, grown: Mapping[str, int], room: int) -> dict[str, str]:
    """The `room` tokens that are worth most, of those that grow and of those dropped, with the reason for each.

    A new token is worth the tokens it saves for certain, a dropped one what it cost to drop it. Characters of unknown
    words come first.
    """
    trim, count = evidence.trim, len(dropped)
    costs = zip(evidence.names(dropped), trim.costs[:count].tolist(), trim.uses[:count].tolist(), strict=True)
    known = {token: cost for token, cost, uses in costs if uses}
    reasons = _explained(evidence, grown)
    worth = {token: gain - CERTAIN * math.sqrt(gain) for token, gain in grown.items()}
    worth |= {token: math.inf for token in grown if _is_character(evidence, token)}
    worth |= {token: max(cost, worth.get(token, 0.0)) for token, cost in known.items()}
    best = sorted(worth, key=worth.__getitem__, reverse=True)[:room]
    return {token: "" if token in known else reasons[token] for token in best}
