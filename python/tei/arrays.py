"""Arrays that numpy would take without a word: texts that are masked, ids that are no integers."""

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tei.errors import InvalidInputError

__all__ = ["as_ids", "unmasked"]


def unmasked(items: Any, name: str = "texts") -> Any:
    """The items as they are, whatever they are, but for a masked array.

    Args:
        items: What to look at.
        name: What to call it in a message.

    Raises:
        InvalidInputError: If an item is masked; the message gives the index of the first.

    Example:
        >>> unmasked(["a"])
        ['a']
    """
    # Who has a masked array has loaded its module; nobody else should wait for it.
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(items, masked.MaskedArray):
        places = np.argwhere(masked.getmaskarray(items).astype(bool))
        if len(places):
            index = "".join(f"[{i}]" for i in places[0])
            msg = f"{name}{index} is masked: fill it (numpy.ma.filled), or leave it out (compressed)"
            raise InvalidInputError(msg)
    return items


def as_ids(ids: ArrayLike, size: int, name: str = "ids") -> NDArray[np.uint32]:
    """A row of ids as the core takes it; what is no id of a vocabulary of `size` becomes a number that no token has.

    Floats pass where they are whole numbers.

    Raises:
        InvalidInputError: If there is something else than integers; the message names the first.

    Example:
        >>> as_ids([3, -1, 2**40], 4).astype(np.int32).tolist()
        [3, -1, -1]
    """
    try:
        row = np.ascontiguousarray(unmasked(ids, name)).reshape(-1)
    except ValueError as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"{name} is no row of integers ({error}): decode several rows by decode_batch"
        ) from error
    if row.dtype == np.int32:
        return row.view(np.uint32)
    if not _are_integers(row):
        # One by one, to name the first that is none; Python's own may be larger than any of numpy.
        row = np.array([_id(item, size, f"{name}[{i}]") for i, item in enumerate(row.tolist())])
    return np.where((row >= 0) & (row < size), row, np.int64(-1)).astype(np.int64).astype(np.uint32)


def _are_integers(row: NDArray[Any]) -> bool:
    if row.dtype.kind == "f":
        return bool(np.all(np.isfinite(row) & (row == np.floor(row))))
    return row.dtype.kind in "iu" or not len(row)


def _id(item: Any, size: int, name: str) -> int:
    is_whole = item.is_integer() if isinstance(item, float) else isinstance(item, int | np.integer)
    if not is_whole or isinstance(item, bool):
        raise InvalidInputError(f"{name} is {item!r} ({type(item).__name__}), not an integer: give ids of tokens")
    return int(item) if 0 <= item < size else -1
