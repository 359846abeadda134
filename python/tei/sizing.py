"""How many tokens a vocabulary should have: the smallest within bounds, or what a budget allows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.counts import WordCounts
from tei.errors import InvalidInputError, SizeError
from tei.evidence import Evidence, Ids, TrimOrder, explain_protected, is_number
from tei.usage import Usage, count_usage

__all__ = ["Budget", "Size", "chosen_size", "chosen_to_drop", "diagnose"]

# A character of Latin-1 or general punctuation.
COMMON = re.compile("[\xa1-\xff\u2010-\u2027\u2030-\u205e]")

# `auto` goes so far into the bound on growth whatever it takes. The rest of it must buy something: this much growth for all
# that is left, in proportion. Tokens that the text never uses are many and save nearly nothing; on tweets 2,300 of them
# saved .04 % of new text. Where used tokens go, a tenth fewer cost four times as much.
FIRM = 5 / 6
WORTH = 0.0125

# What Zouhar et al. 2023 found to follow translation quality best.
RENYI_ORDER = 2.5


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a vocabulary may cost, to be given instead of its size; immutable.

    Attributes:
        parameters: Greatest number of parameters in rows of tokens, embedding and head together.
        bytes: The same in bytes.
        latency: Greatest time for text, as a share of what it takes now; a Transformer's time is proportional to the
            number of tokens. This asks for the smallest vocabulary, the others for the largest.
        row_parameters: Parameters that one token costs; the length of an embedding row if None.
        parameter_bytes: Bytes of a parameter.

    Example:
        >>> from tei import Tokenizer
        >>> tok = Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
        >>> budget = Budget(parameters=31 * 8)
        >>> len(tok.plan(["low lower newest"], size=budget, weights=np.ones((33, 8))).target)
        31
    """

    parameters: int | None = None
    bytes: int | None = None
    latency: float | None = None
    row_parameters: int | None = None
    parameter_bytes: int = 4

    def __post_init__(self) -> None:
        """Checks that all are numbers that can bound something."""
        for name, value in vars(self).items():
            whole = name != "latency"
            if value is not None and not (is_number(value, whole=whole) and value > 0):
                kind = "a whole number" if whole else "a number"
                msg = f"budget's {name} is {value!r}, must be {kind} greater than 0"
                raise InvalidInputError(msg)

    @property
    def bounds_rows(self) -> bool:
        """Whether there is room for so many tokens only."""
        return self.parameters is not None or self.bytes is not None

    def rows(self, dim: int | None) -> int | None:
        """Greatest number of tokens; None if only latency is bounded."""
        limits = [self.parameters, None if self.bytes is None else self.bytes // self.parameter_bytes]
        given = [limit for limit in limits if limit is not None]
        if not given and self.latency is None:
            msg = "the budget is empty: give parameters, bytes or latency"
            raise InvalidInputError(msg)
        each = self.row_parameters or dim
        if given and not each:
            msg = "the budget does not say what a token costs: give weights, or row_parameters"
            raise InvalidInputError(msg)
        return min(given) // int(each or 1) if given else None


Size = int | Literal["auto"] | Budget


def chosen_to_drop(evidence: Evidence, size: Any, *, room: int = 0) -> Ids:
    """Ids of the tokens to drop, the cheapest first.

    `auto` keeps characters that any text may hold: the data lack them, so they cost nothing, but a word with one of them
    would be unknown. A number is kept as it is.

    Args:
        evidence: What is known of the data.
        size: As of `chosen_size`.
        room: As of `chosen_size`.
    """
    dropped = evidence.cheapest(chosen_size(evidence, size, room=room))
    if isinstance(size, str):
        prefix, names = evidence.tokenizer.scheme.continuation_prefix, evidence.names(dropped)
        common = [i for i, token in enumerate(names) if COMMON.fullmatch(token.removeprefix(prefix))]
        dropped = np.delete(dropped, common)
    return dropped


def chosen_size(evidence: Evidence, size: Any, *, room: int = 0) -> int:
    """The number of tokens to keep.

    Args:
        evidence: What is known of the data.
        size: A number, `auto`, or a budget.
        room: Tokens that will be added and must fit into a budget too.

    Raises:
        InvalidInputError: If the size is of another kind.
        SizeError: If it is below what is protected, or above the vocabulary, or a budget cannot be met.
    """
    if isinstance(size, Budget):
        return _size_within(evidence, size, room)
    if isinstance(size, str) and size == "auto":
        return _auto_size(evidence)
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        msg = f"size is {size!r}, must be a number of tokens, 'auto' or a Budget"
        raise InvalidInputError(msg)
    least, most = len(evidence.protected), evidence.tokenizer.vocab_size
    if not least <= size <= most:
        msg = (
            f"size is {size}, must be from {least}, the tokens that are protected, to {most}, all there are; "
            f"use grow to add tokens. Protected are {explain_protected(evidence.protected)}"
        )
        raise SizeError(msg)
    return int(size)


def _size_within(evidence: Evidence, budget: Budget, room: int) -> int:
    """The most tokens the budget has rows for, or if only time is bounded the fewest."""
    rows = budget.rows(None if evidence.rows is None else evidence.rows.shape[1])
    least = 0 if budget.latency is None else _size_for_latency(evidence, budget.latency)
    if rows is None:
        return max(least, len(evidence.protected))
    size = min(rows - room, evidence.tokenizer.vocab_size)
    if budget.latency is not None and size < least:
        msg = f"{budget} has room for {size} tokens, but its latency needs {least}: raise one of the limits"
        raise SizeError(msg)
    return chosen_size(evidence, size)


def _size_for_latency(evidence: Evidence, latency: float) -> int:
    trim, usage = _held_out(evidence)
    return _smallest(evidence, trim.tokens <= usage.tokens * latency)


def _auto_size(evidence: Evidence) -> int:
    """The smallest size at which held-out words stay within the bounds, and the last of the growth is worth it."""
    (trim, usage), bounds = _held_out(evidence), evidence.bounds
    good = trim.unknown_words <= usage.unknown_words + bounds.unknown_words * usage.words
    if evidence.rows is not None:
        far = np.where(trim.costs > bounds.far * trim.uses, trim.uses, 0)
        good &= np.cumsum(trim.costs) <= bounds.drift * usage.tokens
        good &= np.cumsum(far) <= bounds.far_share * usage.tokens
    firm = FIRM * bounds.token_growth
    first = _smallest(evidence, good & (trim.tokens <= usage.tokens * (1 + firm)))
    sizes = evidence.tokenizer.vocab_size - 1 - np.arange(len(good))
    growth = np.minimum(bounds.token_growth, firm + WORTH * (1 - sizes / first))
    worth = sizes[(sizes < first) & good & (trim.tokens <= usage.tokens * (1 + growth))]
    return int(worth[-1]) if len(worth) else first


def _smallest(evidence: Evidence, good: NDArray[np.bool_]) -> int:
    return evidence.tokenizer.vocab_size - int(np.argmin(np.append(good, False)))


def _held_out(evidence: Evidence) -> tuple[TrimOrder, Usage]:
    """What trimming by one part of the words does to the other, and how that is spelled now."""
    tok, counts = evidence.tokenizer, evidence.counts
    if evidence.held_out is not None:
        kept, held = counts.core, evidence.held_out.core
    else:
        kept, held = _core.hold_out(counts.core, evidence.bounds.held_out_share, 0)
    if not len(kept) or not len(held):
        return TrimOrder.empty(), evidence.usage
    order = _core.trim_order(tok.encoder, kept, evidence.mask, evidence.rows)[0]
    usage = count_usage(tok, WordCounts(held, counts.scheme))
    found = TrimOrder(*_core.trim_along(tok.encoder, held, order, evidence.rows))
    return found.after(tok.retired, usage), usage


def diagnose(evidence: Evidence, sizes: int | Sequence[int] = 12) -> dict[str, NDArray[Any]]:
    """How the distribution of tokens changes as tokens are given up; for people to look at, not to decide by.

    Args:
        evidence: What is known of the data.
        sizes: Sizes to look at, or how many of them, evenly spread by ratio.

    Returns:
        Columns, the largest size first: `size`; `fertility`, tokens a word; `entropy`, nats of a token for each character
        it spells on average; `marginal_utility`, the entropy lost for each token more (VOLT, Xu et al. 2021; NaN in the
        first row); `renyi_efficiency` of order 2.5 (Zouhar et al. 2023; Cognetta et al. 2024 show where it misleads).

    Example:
        >>> from tei import Tokenizer
        >>> tok = Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
        >>> found = diagnose(Evidence.gather(tok, tok.count(["low newer lower"])), sizes=[33, 28])
        >>> found["size"], found["fertility"]
        (array([33, 28]), array([1., 1.]))
    """
    tok, order = evidence.tokenizer, evidence.trim.order
    most, least = tok.vocab_size, tok.vocab_size - len(order)
    given = np.geomspace(most, max(least, 1), sizes).round() if isinstance(sizes, int) else np.array(sizes)
    size = np.unique(np.clip(given.astype(np.int64), least, most))[::-1]
    usages = [count_usage(tok, evidence.counts, without=order[: most - n]) for n in size.tolist()]
    entropy = np.array([_entropy(usage) for usage in usages])
    utility = np.full(len(size), np.nan)
    utility[1:] = (entropy[1:] - entropy[:-1]) / (size[:-1] - size[1:])
    return {
        "size": size,
        "fertility": np.array([usage.fertility for usage in usages]),
        "entropy": entropy,
        "marginal_utility": utility,
        "renyi_efficiency": np.array([_renyi(usage, n) for usage, n in zip(usages, size.tolist(), strict=True)]),
    }


def _shares(usage: Usage) -> NDArray[np.float64]:
    return np.asarray(usage.token_counts[usage.used] / usage.tokens)


def _entropy(usage: Usage) -> float:
    shares = _shares(usage)
    return float(-(shares * np.log(shares)).sum() / (usage.characters / usage.tokens))


def _renyi(usage: Usage, size: int) -> float:
    entropy = np.log((_shares(usage) ** RENYI_ORDER).sum()) / (1 - RENYI_ORDER)
    return float(entropy / np.log(size)) if size > 1 else float("nan")
