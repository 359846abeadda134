"""Random resize plans, shared by the tests of plans and of models."""

import numpy as np

from tei.plan import ResizePlan


def random_weights(generator: np.random.Generator, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Convex weights over 1 to 4 random ids below `limit`; an id may repeat."""
    weights = generator.random(generator.integers(1, 5)) + 0.01
    return generator.integers(0, limit, len(weights)), weights / weights.sum()


def plan_between(source: list[str], target: list[str], seed: int) -> ResizePlan:
    """A plan with random weights; tokens in both lists are kept."""
    generator = np.random.default_rng(seed)
    added = [token for token in target if token not in source]
    dropped = [token for token in source if token not in target]
    return ResizePlan.from_tokens(
        source,
        target,
        added={token: random_weights(generator, len(source)) for token in added},
        dropped={token: random_weights(generator, len(target)) for token in dropped},
        source_fingerprint=str(hash(tuple(source))),
        target_fingerprint=str(hash(tuple(target))),
        reasons=dict.fromkeys(added, "grown: gain 3") | dict.fromkeys(dropped, "unused"),
        curve={"size": np.arange(3), "drift": np.array([0.5, np.nan, np.inf])},
    )


def random_plan(source: list[str], seed: int, *, keep: int = 1, share: float = 0.6) -> ResizePlan:
    """Keeps the first `keep` tokens and about `share` of the others, then adds a few new ones."""
    generator = np.random.default_rng(seed)
    chosen = [token for i, token in enumerate(source) if i < keep or generator.random() < share]
    added = [f"new{seed}_{i}" for i in range(generator.integers(0, 6))]
    return plan_between(source, chosen + added, seed)
