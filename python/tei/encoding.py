"""What encoding returns: one text in full, many texts as one array, or a padded batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tei.errors import UnsupportedError

__all__ = ["Batch", "Encoding", "Ragged"]


@dataclass(frozen=True)
class Encoding:
    """One text encoded, without special tokens around it.

    Attributes:
        ids: Token ids.
        tokens: Tokens.
        offsets: Start and end of each token in the text, in characters.
        word_ids: Number of the word each token belongs to.
    """

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    word_ids: list[int]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths in one array.

    Attributes:
        ids: All rows one after the other, int32 `[n_tokens]`.
        row_offsets: Where each row begins, and the end, int64 `[n_rows + 1]`.

    Example:
        >>> rows = Ragged(np.array([5, 6, 7], np.int32), np.array([0, 2, 3], np.int64))
        >>> len(rows), rows[0].tolist(), rows.to_list()
        (2, [5, 6], [[5, 6], [7]])
    """

    ids: NDArray[np.int32]
    row_offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row_offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        index = range(len(self))[row]
        return self.ids[self.row_offsets[index] : self.row_offsets[index + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each row, int64 `[n_rows]`."""
        return np.diff(self.row_offsets)

    def to_list(self) -> list[list[int]]:
        """The rows as lists."""
        return [row.tolist() for row in self]


class Batch(dict[str, Any]):
    """A dict of model inputs whose items are attributes too, as in transformers.

    Example:
        >>> Batch(input_ids=[[1]]).input_ids
        [[1]]
    """

    # Tells the word of each id of each row; computed when it is first asked for.
    find_word_ids: Callable[[], list[list[int | None]]] | None = None

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __reduce__(self) -> tuple[Any, ...]:
        # A batch may travel between processes; the tokenizer and the texts behind it stay where they are.
        return Batch, (dict(self),)

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Number of the word each id of a row belongs to; None for special tokens and padding.

        In a text that was given as a list of words, these are the words; in a pair, each text counts its own.

        Args:
            batch_index: Number of the row.

        Raises:
            UnsupportedError: If the batch was made by hand, or has come from another process.
        """
        if self.find_word_ids is None:
            raise UnsupportedError("this batch does not know its texts any more: ask for word_ids where it was made")
        rows = self.find_word_ids()
        self.find_word_ids = lambda: rows
        return rows[batch_index]

    def to(self, device: Any) -> "Batch":
        """The batch with every tensor moved to a device."""
        moved = Batch({key: value.to(device) if hasattr(value, "to") else value for key, value in self.items()})
        moved.find_word_ids = self.find_word_ids
        return moved
