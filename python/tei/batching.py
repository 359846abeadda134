"""Rows of ids → model inputs: truncation, special tokens around texts, padding; in whole arrays, never row by row.

Arguments and results follow transformers, whose users know them; see `Tokenizer.__call__`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tei.encoding import Ragged
from tei.errors import InvalidInputError
from tei.special_tokens import Part

__all__ = ["Layout", "assemble", "layout", "row_widths", "truncated_lengths"]

STRATEGIES = ("longest_first", "only_first", "only_second", "do_not_truncate")


@dataclass(frozen=True)
class Layout:
    """Where everything of a batch goes; all arrays have a row for each text or pair.

    Attributes:
        starts: First column of each part, int64 `[n_rows, n_parts]`.
        lengths: Length of each part, int64 `[n_rows, n_parts]`.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def totals(self) -> NDArray[np.int64]:
        """Length of each whole row, int64 `[n_rows]`."""
        return np.asarray(self.lengths.sum(axis=1), np.int64)


def truncated_lengths(rows: Sequence[Ragged], room: int | None, strategy: str) -> list[NDArray[np.int64]]:
    """How many ids of each row are kept, so that a text, or a pair together, fits into `room`.

    Args:
        rows: One ragged array for each text of a pair, or just one.
        room: Number of ids a row may have, special tokens not counted; None for any.
        strategy: `longest_first`, `only_first`, `only_second` or `do_not_truncate`.

    Raises:
        InvalidInputError: If the strategy is unknown or leaves nothing.
    """
    if strategy not in STRATEGIES:
        msg = f"truncation is {strategy!r}, must be one of {', '.join(STRATEGIES)}"
        raise InvalidInputError(msg)
    lengths = [row.lengths for row in rows]
    if room is None or strategy == "do_not_truncate":
        return lengths
    if room < 0:
        msg = f"max_length leaves {room} places for text: it must be larger than the number of special tokens"
        raise InvalidInputError(msg)
    if len(lengths) == 1:
        return [np.minimum(lengths[0], room)]
    if strategy == "longest_first":
        return _longest_first(lengths[0], lengths[1], room)
    cut = 0 if strategy == "only_first" else 1
    kept = list(lengths)
    kept[cut] = np.minimum(room - lengths[1 - cut], lengths[cut])
    _check_something_left(kept[cut], lengths[cut], strategy)
    return kept


def _check_something_left(kept: NDArray[np.int64], lengths: NDArray[np.int64], strategy: str) -> None:
    empty = np.flatnonzero((kept < lengths) & (kept < 1))
    if len(empty):
        msg = (
            f"truncation={strategy!r} leaves nothing of a text of {lengths[empty[0]]} tokens in row {empty[0]}: "
            "raise max_length, or use 'longest_first'"
        )
        raise InvalidInputError(msg)


def _longest_first(a: NDArray[np.int64], b: NDArray[np.int64], room: int) -> list[NDArray[np.int64]]:
    """Cuts the longer text down to the shorter one, then both: the rule of `tokenizers`."""
    short = np.minimum(a, b)
    long_kept = np.where(short > room, short, np.maximum(short, room - short))
    over = short + long_kept > room
    short_kept = np.where(over, room // 2, short)
    long_kept = np.where(over, room // 2 + room % 2, long_kept)
    swapped = a > b
    kept = np.where(swapped, long_kept, short_kept), np.where(swapped, short_kept, long_kept)
    return [np.minimum(kept[0], a), np.minimum(kept[1], b)]


def layout(parts: Sequence[Part], kept: Sequence[NDArray[np.int64]]) -> Layout:
    """Places the parts of a template one after the other."""
    one = np.ones_like(kept[0])
    lengths = np.stack([one if part.text is None else kept[part.text] for part in parts], axis=1)
    return Layout(np.cumsum(lengths, axis=1) - lengths, lengths)


def row_widths(
    totals: NDArray[np.int64], *, padding: bool | str, max_length: int | None, multiple: int | None
) -> NDArray[np.int64]:
    """How many columns each row gets, int64 `[n_rows]`; a row is never cut.

    Raises:
        InvalidInputError: If padding is unknown, or `max_length` without a length.
    """
    if padding is False or padding == "do_not_pad":
        return totals
    if padding is not True and padding not in ("longest", "max_length"):
        msg = f"padding is {padding!r}, must be a bool, 'longest', 'max_length' or 'do_not_pad'"
        raise InvalidInputError(msg)
    if padding == "max_length" and max_length is None:
        msg = "padding='max_length' needs max_length: give it, or pad to the longest row"
        raise InvalidInputError(msg)
    width = max_length if padding == "max_length" and max_length is not None else int(totals.max(initial=0))
    return np.maximum(totals, -(-width // multiple) * multiple if multiple else width)


def assemble(
    parts: Sequence[Part],
    rows: Sequence[Ragged],
    where: Layout,
    special_ids: Sequence[int],
    *,
    width: int,
    pad_id: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Writes all parts into padded matrices.

    Args:
        parts: Parts of the template.
        rows: One ragged array for each text.
        where: Places of the parts.
        special_ids: Id of each part's special token; anything for texts.
        width: Number of columns.
        pad_id: Id of the padding.

    Returns:
        Ids and token type ids, int64 `[n_rows, width]`.
    """
    count = len(where.starts)
    ids = np.full((count, width), pad_id, np.int64)
    types = np.zeros((count, width), np.int64)
    row_numbers = np.arange(count)
    for i, part in enumerate(parts):
        starts, lengths = where.starts[:, i], where.lengths[:, i]
        if part.text is None:
            ids[row_numbers, starts] = special_ids[i]
            types[row_numbers, starts] = part.type_id
            continue
        flat = np.repeat(row_numbers * width + starts, lengths) + _within(lengths)
        source = np.repeat(rows[part.text].row_offsets[:-1], lengths) + _within(lengths)
        ids.reshape(-1)[flat] = rows[part.text].ids[source]
        types.reshape(-1)[flat] = part.type_id
    return ids, types


def _within(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, … within each row, one row after the other."""
    ends = np.cumsum(lengths)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)
