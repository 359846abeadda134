"""Ids that only ever come behind the last one: how a plan changes a vocabulary while batches of it are under way.

A run has two tokenizers. The *live* one has the vocabulary in use, with dense ids; plans are made for it. The *run's* one
has every token that ever had an id in the run: ids are appended and never reused, a dropped token is retired (its row
stays, nothing emits it any more) and restored when it comes back. Compaction makes the run's tokenizer the live one.
"""

from dataclasses import dataclass

import numpy as np

from tei.plan import ResizePlan
from tei.tokenizer import Tokenizer

__all__ = ["Revision", "moved", "revise"]


@dataclass(frozen=True)
class Revision:
    """What a plan for the live tokenizer comes to for the run.

    Attributes:
        live: The live tokenizer after it.
        run: The run's tokenizer after it.
        plan: The plan for the model's rows, which are those of the run's tokenizer; it drops nothing.
        added: New tokens, in id order.
        restored: Ids of tokens that come back.
        retired: Ids of tokens that go.
    """

    live: Tokenizer
    run: Tokenizer
    plan: ResizePlan
    added: tuple[str, ...]
    restored: tuple[int, ...]
    retired: tuple[int, ...]


def revise(live: Tokenizer, run: Tokenizer, plan: ResizePlan) -> Revision:
    """Carries a plan over to a run.

    Args:
        live: The tokenizer the plan was made for.
        run: The run's tokenizer.
        plan: The plan.

    Raises:
        MismatchError: The plan was made for another vocabulary, or drops a special token.
    """
    after = live.apply(plan)
    if run is live and after.tokens[: live.vocab_size] == live.tokens:
        return Revision(after, after, plan, after.tokens[live.vocab_size :], (), ())
    added = tuple(token for token in (plan.target[i] for i in plan.added) if token not in run.vocab)
    restored = tuple(run.vocab[token] for token in (plan.target[i] for i in plan.added) if token in run.vocab)
    retired = tuple(run.vocab[plan.source[i]] for i in plan.dropped)
    changed = run.revised(added, restored=restored, retired=retired)
    return Revision(after, changed, _row_plan(live, run, plan, changed, added), added, restored, retired)


def _row_plan(
    live: Tokenizer, run: Tokenizer, plan: ResizePlan, changed: Tokenizer, added: tuple[str, ...]
) -> ResizePlan:
    places = np.array([run.vocab[token] for token in live.tokens])
    rows = {plan.target[i]: plan.added[i] for i in plan.added}
    return ResizePlan.from_tokens(
        run.tokens,
        changed.tokens,
        added={token: (places[rows[token][0]], rows[token][1]) for token in added},
        dropped={},
        source_fingerprint=run.fingerprint,
        target_fingerprint=changed.fingerprint,
        reasons={token: why for token, why in plan.reasons.items() if token in added},
    )


def moved(before: Tokenizer, after: Tokenizer) -> ResizePlan:
    """The plan between two tokenizers of a run, for rows that are archived or loaded and need no pieces."""
    known, left = set(before.tokens), set(after.tokens)
    unknown = before.scheme.unknown_token
    return ResizePlan.from_tokens(
        before.tokens,
        after.tokens,
        added={token: ([before.vocab[unknown]], [1.0]) for token in after.tokens if token not in known},
        dropped={token: ([after.vocab[unknown]], [1.0]) for token in before.tokens if token not in left},
        source_fingerprint=before.fingerprint,
        target_fingerprint=after.fingerprint,
    )
