"""The optimizer's memory of a parameter, row by row."""

from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tei.errors import MismatchError, UnsupportedError
from tei.torch.embedding import VocabularyTensor

__all__ = ["StateTensor", "state_tensors"]

# Running means and sums that start at zero, so that zero is right for a new row: Adam, AdamW, AMSGrad, NAdam, RAdam,
# Adamax, SGD, RMSprop, Adadelta, Adagrad, Lion, and both Adafactors (torch and transformers).
BY_ROW = frozenset(
    {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "acc_delta"}
    | {"sum", "exp_avg_sq_row", "row_var", "variance"}
)
BY_COLUMN = frozenset({"exp_avg_sq_col", "col_var"})


@dataclass(frozen=True, eq=False)
class StateTensor:
    """One tensor of an optimizer's state that has one row per token.

    Attributes:
        name: `optimizer/<parameter>/<key>`.
        owner: The optimizer's state of the parameter, a dictionary that holds the tensor.
        key: Its key there.
        axis: The dimension that counts tokens.
    """

    name: str
    owner: MutableMapping[str, Any]
    key: str
    axis: int

    @property
    def rows(self) -> Tensor:
        """The data with tokens as the first dimension."""
        tensor: Tensor = self.owner[self.key]
        return tensor.movedim(self.axis, 0)


def state_tensors(
    optimizer: torch.optim.Optimizer, model: nn.Module, found: Iterable[VocabularyTensor]
) -> Iterator[StateTensor]:
    """The state tensors that must move with the rows of `found`.

    Args:
        optimizer: Any optimizer whose state of these parameters is a running mean or sum, or scalar.
        model: The model it trains.
        found: The model's tensors with one row per token.

    Raises:
        MismatchError: The optimizer trains no parameter of the model.
        UnsupportedError: State of an unknown kind, for example of an 8-bit optimizer.
    """
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if trained.isdisjoint(map(id, model.parameters())):
        raise MismatchError("the optimizer trains no parameter of this model; pass the one that does")
    for tensor in found:
        if tensor.tensor in optimizer.state:
            yield from _states(optimizer, tensor)


def _states(optimizer: torch.optim.Optimizer, found: VocabularyTensor) -> Iterator[StateTensor]:
    state = optimizer.state[found.tensor]
    for key, value in state.items():
        if not isinstance(value, Tensor) or key in BY_COLUMN or (value.numel() == 1 and key not in BY_ROW):
            continue
        if key not in BY_ROW or value.dim() == 0 or value.shape[found.axis] != len(found.rows):
            kind, shape = type(optimizer).__name__, tuple(value.shape)
            raise UnsupportedError(
                f"{kind} keeps {key!r} of shape {shape} for {found.name!r}, which cannot be resized; "
                f"supported are torch's Adam family, SGD, RMSprop, Adadelta, Adagrad and Adafactor"
            )
        yield StateTensor(f"optimizer/{found.name}/{key}", state, key, found.axis)
