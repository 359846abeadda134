"""Arrays → tensors that share their memory."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

__all__ = ["from_numpy"]


def from_numpy(arrays: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    """Tensors over the same memory as the arrays, not copies."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
