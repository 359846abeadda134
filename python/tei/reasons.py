"""Why a token may go: one reason each, the most telling first."""

from collections.abc import Mapping

import numpy as np

from tei import _core
from tei.evidence import Evidence
from tei.usage import unreachable

__all__ = ["reasons_to_drop"]

# A token of which so little is left once longer ones are taken served to build them (the 0.9 of PickyBPE, Chizhov et al.
# 2024, who ask the same question while merging).
INTERMEDIATE = 0.1


def reasons_to_drop(evidence: Evidence, tokens: list[str]) -> Mapping[str, str]:
    """The reason why each of some tokens is redundant for the words.

    - `duplicate: of TOKEN`: text that spells it is normalized, and TOKEN is what is left.
    - `unreachable`: normalized and cut into words, no text gives what it spells.
    - `dead`: it never occurs; as it stands at the time it is dropped, after cheaper ones are gone.
    - `harmful`: without it the words have no more tokens than with it.
    - `intermediate`: nearly all its occurrences are inside of longer tokens.
    - `cheap`: what its uses cost is the least.

    Args:
        evidence: What is known of the data.
        tokens: Tokens, none of them protected.
    """
    if not tokens:
        return {}
    reached = unreachable(evidence.tokenizer, tokens)
    usual = _by_order(evidence, set(tokens) - reached.keys())
    return {token: reached.get(token) or usual.get(token, "cheap") for token in tokens}


def _by_order(evidence: Evidence, tokens: set[str]) -> dict[str, str]:
    trim, inside = evidence.trim, _uses_inside(evidence)
    tokens_after = trim.column("tokens", evidence.usage.tokens).astype(np.int64)
    columns = trim.order.tolist(), trim.uses.tolist(), np.diff(tokens_after).tolist()
    found, emitted = {}, evidence.usage.token_counts
    for i, uses, longer in zip(*columns, strict=True):
        token = evidence.tokenizer.tokens[i]
        if token not in tokens:
            continue
        if not uses:
            found[token] = "dead: never used"
        elif longer <= 0:
            found[token] = f"harmful: {-longer} fewer tokens without it"
        elif emitted[i] < INTERMEDIATE * (emitted[i] + inside[i]):
            found[token] = f"intermediate: {emitted[i]} uses, {inside[i]} inside of longer tokens"
        else:
            found[token] = f"cheap: {uses} uses to spell otherwise"
    return found


def _uses_inside(evidence: Evidence) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """How often each token would spell part of a longer one that is emitted."""
    tok, counts = evidence.tokenizer, evidence.usage.token_counts
    used = evidence.usage.used
    pieces, ends = _core.spell(tok.encoder, evidence.trim.order[:0], [], evidence.names(used))
    weights = np.repeat(counts[used], np.diff(ends))
    return np.bincount(pieces, weights=weights, minlength=tok.vocab_size).astype(np.int64)
