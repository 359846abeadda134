"""What the rows of new tokens start from."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tei.errors import InvalidInputError
from tei.plan import ResizePlan
from tei.torch.embedding import VocabularyTensor

__all__ = ["Init", "added_rows", "check_finite", "mixed_rows"]

Init = Literal["weighted", "mean", "sum"] | Callable[[ResizePlan, Tensor], Tensor]

# Rows are mixed in float64; this many at a time, so that a large growth needs little extra memory.
BLOCK = 4096

# No bias is learned to be this low: it was set, -1e4 or minus infinity, so that a token is never said.
NEVER = -1e3


def added_rows(plan: ResizePlan, found: VocabularyTensor, init: Init) -> Tensor:
    """The rows of the plan's added tokens, `[len(plan.added), …]` on the CPU, in the tensor's dtype.

    Embedding rows follow `init`; an untied head and a bias always start from the mean of the pieces, because a row
    copied mostly from one piece would take that piece's probability. A bias that forbids a piece (-1e4, minus infinity)
    is left out of the mean; only a token of nothing but forbidden pieces is forbidden.

    Args:
        plan: The plan, whose `added` names pieces and weights.
        found: The tensor with the old rows.
        init: `weighted` (the plan's weights), `mean` of the pieces, `sum` of the pieces (exact for models that
            add up rows), or a function of plan and old weight that returns the rows.

    Raises:
        InvalidInputError: An unknown `init`, or a function's result of wrong shape or with NaN.
    """
    if not len(plan.added):
        return torch.empty((0, *found.rows.shape[1:]), dtype=found.tensor.dtype)
    if found.role == "bias":
        return _biases(plan, found.rows)
    if found.role == "head":
        return mixed_rows(plan, found.rows, "mean")
    if callable(init):
        return _checked(init(plan, found.rows), (len(plan.added), *found.rows.shape[1:])).to("cpu", found.rows.dtype)
    if init not in ("weighted", "mean", "sum"):
        raise InvalidInputError(f"init is {init!r}; expected 'weighted', 'mean', 'sum' or a function")
    return mixed_rows(plan, found.rows, init)


def check_finite(plan: ResizePlan, found: VocabularyTensor) -> None:
    """Refuses a matrix with rows that are not numbers.

    Raises:
        InvalidInputError: A row holds NaN or infinity; the message names its token.
    """
    # A sum is one quick pass; only where it overflows, or is not finite for a reason, the elements are looked at.
    if found.role == "bias" or found.rows.sum().isfinite():
        return
    broken = (~found.rows.isfinite()).any(dim=1).nonzero().flatten().tolist()
    if broken:
        token = repr(plan.source[broken[0]]) if broken[0] < len(plan.source) else "no token"
        raise InvalidInputError(
            f"{found.name!r} has {len(broken)} rows that are not finite, the first {broken[0]} of {token}; "
            "the model is broken, load it again"
        )


def _biases(plan: ResizePlan, rows: Tensor) -> Tensor:
    starts = plan.added.indptr[:-1]
    values = rows.flatten().double().cpu().numpy()[plan.added.pieces]
    said = values > NEVER
    counts, sums = (np.add.reduceat(column, starts) for column in (said.astype(np.int64), np.where(said, values, 0)))
    mean = np.where(counts, sums / np.maximum(counts, 1), np.maximum.reduceat(values, starts))
    return torch.from_numpy(mean).to(rows.dtype).reshape(-1, *rows.shape[1:])


def mixed_rows(plan: ResizePlan, rows: Tensor, init: str) -> Tensor:
    """Rows of the added tokens as `weighted`, `mean` or `sum` of their pieces' `rows`, on the CPU, in their dtype."""
    pieces = plan.added
    sizes = np.diff(pieces.indptr)
    shares = {"weighted": pieces.weights, "mean": np.repeat(1 / sizes, sizes), "sum": np.ones(len(pieces.pieces))}
    result = torch.empty((len(pieces), *rows.shape[1:]), dtype=rows.dtype)
    for start in range(0, len(pieces), BLOCK):
        stop = min(start + BLOCK, len(pieces))
        part = slice(pieces.indptr[start], pieces.indptr[stop])
        ids = torch.from_numpy(pieces.pieces[part].astype(np.int64)).to(rows.device)
        values = rows[ids].to("cpu", torch.float64).flatten(1) if rows.dim() > 1 else rows[ids].double().cpu()[:, None]
        values *= torch.from_numpy(shares[init][part].copy())[:, None]
        group = torch.from_numpy(np.repeat(np.arange(stop - start), sizes[start:stop]))
        mixed = torch.zeros((stop - start, values.shape[1]), dtype=torch.float64).index_add_(0, group, values)
        result[start:stop] = mixed.reshape(result[start:stop].shape).to(rows.dtype)
    return result


def _checked(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(rows.shape) != shape:
        raise InvalidInputError(f"init returned rows of shape {tuple(rows.shape)}, expected {shape}")
    if not torch.isfinite(rows).all():
        raise InvalidInputError("init returned rows that are not finite")
    return rows.detach()
