"""From what a policy decided to a `ResizePlan`: rows of new tokens, the way back, reasons, curve."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.counts import WordCounts
from tei.errors import InvalidInputError, MismatchError, SizeError
from tei.evidence import Bounds, Decision, Evidence, Ids
from tei.plan import Pieces, ResizePlan
from tei.policy import Auto, Policy
from tei.reasons import reasons_to_drop
from tei.sizing import Budget, Size
from tei.vocabulary import digest

if TYPE_CHECKING:
    from tei.tokenizer import Tokenizer

__all__ = ["either", "plan_resize", "planned"]

# Smooth inverse frequency (Arora et al. 2017): pieces that occur everywhere say little about a new token.
INVERSE_FREQUENCY = 1e-3

# Text with no lone surrogate, which no text is cut into.
TOKEN = re.compile("[^\ud800-\udfff]+", re.DOTALL)


def plan_resize(
    tokenizer: "Tokenizer",
    counts: WordCounts,
    *,
    size: Size = "auto",
    grow: Any = 0,
    policy: Policy | None = None,
    weights: Any = None,
    protect: Iterable[str] = (),
    held_out: WordCounts | None = None,
    base: WordCounts | None = None,
    bounds: Bounds | None = None,
    pad_to_multiple_of: int | None = None,
) -> ResizePlan:
    """Plans which tokens go, and which come, so that a vocabulary fits words.

    Never dropped: special tokens, declared added tokens, `protect`, and tokens of one character that occurs in the counts
    or is ASCII. A token costs its count times the square of the distance of its row to the length-weighted mean of the
    rows that replace it (.62 of that for a continuation), plus a fifth for each token that text gets longer, counted
    again after each removal; uses taken over from dropped tokens move a tenth as much. Without weights it costs the
    tokens it saves. The place of a word in the vocabulary counts as much as 20,000 words of general text would. With
    weights, what counts is how often a token is expected in more text of the kind: tokens that the counts lack, but whose
    rows lie where those of the counts lie, stay in place of others that have come once.

    Args:
        tokenizer: Whose vocabulary to change.
        counts: Words of the data, counted by the tokenizer's scheme.
        size: Number of tokens to keep, `auto`: as few as the bounds allow on held-out words, or a `Budget`.
        grow: Number of tokens to add after that, or `auto`: as many as pay. Where a dropped token is worth more than
            another new one, it comes back.
        policy: Decides instead of `size` and `grow`.
        weights: Embedding rows in id order, `[n, dim]` with `n` at least the number of tokens; any array of numbers.
        protect: Tokens to keep in any case.
        held_out: Words of other text of the same kind; a part of `counts` is set aside if None.
        base: Words of text that new tokens must leave as it is, see `Bounds`.
        bounds: How far `auto` may go.
        pad_to_multiple_of: The new size is a multiple of this, if the vocabulary has tokens enough: the dearest of the
            dropped ones stay, or where a budget has no room for them, more are dropped.

    Returns:
        The plan. Its curve has a row for each possible size: `size`, `tokens`, `unknown_words` and, with weights, `drift`
        (mean cost of a token so far) and `parameters` (of the embedding).

    Raises:
        EmptySourceError: If there is no word in the counts.
        InvalidInputError: If an option cannot be used.
        MismatchError: If counts, weights or protected tokens do not belong to the tokenizer, or a policy drops a
            protected or unknown token.
        SizeError: If the size is below what is protected or above the vocabulary, or a budget cannot be met.
    """
    evidence = Evidence.gather(
        tokenizer, counts, weights=weights, protect=protect, held_out=held_out, base=base, bounds=bounds
    )
    return planned(evidence, either(policy, size, grow, usual=0), pad_to_multiple_of)


def either(policy: Policy | None, size: Size, grow: Any, *, usual: Any) -> Policy:
    """The policy, or if there is none that of size and growth; `usual` is the growth of those who did not ask for any.

    Raises:
        InvalidInputError: If there is both.
    """
    if policy is not None and (size, grow) != ("auto", usual):
        msg = f"size {size!r} and grow {grow!r} are given beside a policy: give them to the policy, as Auto(size, grow)"
        raise InvalidInputError(msg)
    return policy or Auto(size, grow)


def planned(evidence: Evidence, policy: Policy, pad_to_multiple_of: int | None = None) -> ResizePlan:
    """The plan that a policy comes to; see `plan_resize`."""
    decision, tokenizer = _decided(policy, evidence), evidence.tokenizer
    evidence = decision.evidence or evidence
    _check_drop(evidence, decision.drop)
    retired = dict.fromkeys((tokenizer.tokens[i] for i in tokenizer.retired), "retired")
    drop: Mapping[str, str] = {t: why for t, why in decision.drop.items() if t not in decision.add} | retired
    add = {token: why for token, why in decision.add.items() if token not in tokenizer.vocab}
    budget = getattr(policy, "size", None)
    if pad_to_multiple_of is not None:
        down = isinstance(budget, Budget) and budget.bounds_rows
        drop = _rounded(evidence, drop, len(add), pad_to_multiple_of, down=down)
    plan = _Draft(evidence, drop, add).plan()
    if isinstance(budget, Budget) and budget.latency is not None:
        _check_latency(evidence, budget.latency, plan)
    return plan


def _decided(policy: Policy, evidence: Evidence) -> Decision:
    """What a policy, which may be anybody's, decides."""
    if isinstance(policy, type) or not hasattr(policy, "decide"):
        msg = f"policy is {policy!r}, must be an object with decide(evidence), such as tei.policy.Grow(100)"
        raise InvalidInputError(msg)
    decision = policy.decide(evidence)
    if not isinstance(decision, Decision):
        msg = f"{type(policy).__name__}.decide gave {type(decision).__name__}, must give Decision.of(drop, add)"
        raise InvalidInputError(msg)
    strange = [
        pair
        for part in (decision.drop, decision.add)
        for pair in part.items()
        if not all(isinstance(given, str) for given in pair)
    ]
    strange += [pair for pair in decision.add.items() if not strange and not TOKEN.fullmatch(pair[0])]
    if strange:
        msg = (
            f"{type(policy).__name__} decides on {strange[0]!r}, must be a token and the reason for it, both valid str"
        )
        raise InvalidInputError(msg)
    return decision


def _check_latency(evidence: Evidence, latency: float, plan: ResizePlan) -> None:
    tokenizer, words = evidence.tokenizer, evidence.counts if evidence.held_out is None else evidence.held_out
    share = tokenizer.apply(plan).usage(words).tokens / tokenizer.usage(words).tokens
    if share > latency:
        msg = f"latency {latency} cannot be met: text takes {share:.4f} of the time after {plan.headline}; let more tokens grow"
        raise SizeError(msg)


def _check_drop(evidence: Evidence, drop: Mapping[str, str]) -> None:
    for token in drop:
        if token not in evidence.tokenizer.vocab:
            msg = f"the policy drops {token!r}, which is not in the vocabulary: give tokens as they stand there"
            raise MismatchError(msg)
        if token in evidence.protected:
            msg = f"the policy drops {token!r}, which is protected ({evidence.protected[token]}): leave it out"
            raise MismatchError(msg)


def _rounded(
    evidence: Evidence, drop: Mapping[str, str], added: int, multiple: Any, *, down: bool
) -> Mapping[str, str]:
    """Fewer tokens to drop, or more of them, so that the size is a multiple."""
    if isinstance(multiple, bool) or not isinstance(multiple, int | np.integer) or multiple < 1:
        msg = f"pad_to_multiple_of is {multiple!r}, must be a whole number from 1 on"
        raise InvalidInputError(msg)
    size, order = evidence.tokenizer.vocab_size - len(drop) + added, evidence.names(evidence.trim.order)
    if down:
        cheapest = (token for token in order if token not in drop)
        return {**drop, **dict.fromkeys(itertools.islice(cheapest, size % int(multiple)), "")}
    lacking = -size % int(multiple)
    dearest = (token for token in reversed(order) if token in drop)
    stay = set(itertools.islice(dearest, lacking))
    return {token: why for token, why in drop.items() if token not in stay}


@dataclass(frozen=True)
class _Draft:
    """What has been decided, on its way to a plan."""

    evidence: Evidence
    drop: Mapping[str, str]
    add: Mapping[str, str]

    def plan(self) -> ResizePlan:
        tok, added = self.evidence.tokenizer, list(self.add)
        dropped = np.array(sorted(tok.vocab[token] for token in self.drop), dtype=np.uint32)
        keeps = np.ones(tok.vocab_size + len(added), bool)
        keeps[dropped] = False
        new_ids = np.where(keeps, np.cumsum(keeps) - 1, -1)
        lengths = _core.lengths(tok.encoder, added).astype(np.float64)
        return ResizePlan(
            source=tok.tokens,
            target=(*itertools.compress(tok.tokens, keeps.tolist()), *added),
            source_fingerprint=tok.fingerprint,
            target_fingerprint=digest(_core.framed(tok.encoder, dropped.tolist(), added), tok.scheme.to_json()),
            id_map=new_ids[: tok.vocab_size],
            added=self._added(new_ids[tok.vocab_size :], lengths[: tok.vocab_size]),
            dropped=self._dropped(dropped, new_ids, lengths[keeps]),
            reasons=self._reasons(),
            curve=self._curve(),
        )

    def _added(self, ids: NDArray[Any], lengths: NDArray[np.float64]) -> Pieces:
        """Pieces of the vocabulary before, by length and smooth inverse frequency."""
        usage = self.evidence.usage
        share = usage.token_counts / usage.tokens
        importance = lengths * (INVERSE_FREQUENCY / (INVERSE_FREQUENCY + share))
        pieces, ends = _core.spell(self.evidence.tokenizer.encoder, np.zeros(0, np.uint32), [], list(self.add))
        return _weighted(ids, pieces, ends, importance)

    def _dropped(self, dropped: Ids, new_ids: NDArray[Any], lengths: NDArray[np.float64]) -> Pieces:
        """Pieces of the vocabulary after, by length."""
        encoder, names = self.evidence.tokenizer.encoder, self.evidence.names(dropped)
        pieces, ends = _core.spell(encoder, dropped, list(self.add), names)
        return _weighted(dropped, new_ids[pieces], ends, lengths)

    def _reasons(self) -> Mapping[str, str]:
        found = reasons_to_drop(self.evidence, [token for token, why in self.drop.items() if not why])
        return {**self.drop, **found, **{token: why or "added" for token, why in self.add.items()}}

    def _curve(self) -> Mapping[str, NDArray[Any]]:
        usage, trim, rows = self.evidence.usage, self.evidence.trim, self.evidence.rows
        size = self.evidence.tokenizer.vocab_size - np.arange(len(trim.order) + 1)
        curve: dict[str, NDArray[Any]] = {
            "size": size,
            "tokens": trim.column("tokens", usage.tokens).astype(np.int64),
            "unknown_words": trim.column("unknown_words", usage.unknown_words).astype(np.int64),
        }
        if rows is not None:
            curve["drift"] = np.cumsum(trim.column("costs", 0.0)) / usage.tokens
            curve["parameters"] = size * rows.shape[1]
        return curve


def _weighted(ids: NDArray[Any], pieces: NDArray[Any], ends: NDArray[Any], importance: NDArray[np.float64]) -> Pieces:
    """Convex weights of each token's pieces, in the order of its spelling."""
    weights = importance[pieces]
    if len(ids):
        weights /= np.repeat(np.add.reduceat(weights, ends[:-1]), np.diff(ends))
    return Pieces(ids, ends, pieces, weights)
