"""Sparse matrices between two vocabularies, in plain numpy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tei.errors import InvalidInputError

__all__ = ["Pieces", "SparseRows"]

TOLERANCE = 1e-9

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float64]


class SparseRows(NamedTuple):
    """A matrix in compressed sparse row form: the arguments of `scipy.sparse.csr_array`, without needing scipy.

    Every row holds at least one value.

    Attributes:
        data: float64 `[n]`, the values.
        indices: int32 `[n]`, their columns.
        indptr: int64 `[rows + 1]`, row `i` owns `data[indptr[i]:indptr[i + 1]]`.
        shape: `(rows, columns)`.
    """

    data: FloatArray
    indices: IntArray
    indptr: NDArray[np.int64]
    shape: tuple[int, int]

    def dot(self, dense: NDArray[Any]) -> FloatArray:
        """Multiplies by a dense vector `[columns]` or matrix `[columns, d]`; the result is float64."""
        if not len(self.data):
            return np.zeros((self.shape[0], *dense.shape[1:]))
        products = (self.data * np.asarray(dense, dtype=np.float64)[self.indices].T).T
        return np.asarray(np.add.reduceat(products, self.indptr[:-1]))

    def row_numbers(self) -> NDArray[np.int64]:
        """The row of each value, int64 `[n]`."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def toarray(self) -> FloatArray:
        """The dense matrix; for small vocabularies and tests."""
        return self.dot(np.eye(self.shape[1]))


@dataclass(frozen=True, eq=False)
class Pieces:
    """Convex weights over one vocabulary for some tokens of another, in compressed sparse row form.

    Attributes:
        ids: int32 `[n]`, the tokens described, ascending.
        indptr: int64 `[n + 1]`, token `ids[i]` owns the slice `indptr[i]:indptr[i + 1]` of the next two.
        pieces: int32 `[m]`, ids over the other vocabulary in spelling order; one may repeat.
        weights: float64 `[m]`, not negative, summing to 1 within 1e-9 for each token.
    """

    ids: IntArray
    indptr: NDArray[np.int64]
    pieces: IntArray
    weights: FloatArray

    def __post_init__(self) -> None:
        """Checks the form and makes the arrays read-only."""
        for name, kind in (("ids", np.int32), ("indptr", np.int64), ("pieces", np.int32), ("weights", np.float64)):
            object.__setattr__(self, name, frozen(getattr(self, name), kind))
        sizes = np.diff(self.indptr)
        if len(self.indptr) != len(self.ids) + 1 or self.indptr[0] != 0 or (sizes < 1).any():
            raise InvalidInputError("every token described by pieces needs at least one piece")
        if not len(self.pieces) == len(self.weights) == self.indptr[-1]:
            raise InvalidInputError(f"{len(self.pieces)} pieces have {len(self.weights)} weights, expected as many")
        if (np.diff(self.ids) <= 0).any():
            raise InvalidInputError("tokens described by pieces must be in ascending order of id, each once")
        self._check_convex()

    def _check_convex(self) -> None:
        sums = np.add.reduceat(self.weights, self.indptr[:-1]) if len(self.ids) else self.weights
        wrong = np.flatnonzero(~(np.abs(sums - 1) <= TOLERANCE))
        if len(wrong):
            token, total = self.ids[wrong[0]], sums[wrong[0]]
            raise InvalidInputError(
                f"weights of token id {token} sum to {total}, expected 1 within {TOLERANCE}; divide by their sum"
            )
        if (self.weights < 0).any():
            raise InvalidInputError(f"weight {self.weights.min()} is negative; weights must be 0 or more")

    @classmethod
    def from_rows(cls, rows: Mapping[int, tuple[ArrayLike, ArrayLike]]) -> Self:
        """Builds from `{id: (pieces, weights)}`, in any order.

        Example:
            >>> Pieces.from_rows({7: ([2, 3], [0.25, 0.75])})[7]
            (array([2, 3], dtype=int32), array([0.25, 0.75]))
        """
        ids = sorted(rows)
        pieces = [np.asarray(rows[i][0], dtype=np.int32).ravel() for i in ids]
        weights = [np.asarray(rows[i][1], dtype=np.float64).ravel() for i in ids]
        for i, row, values in zip(ids, pieces, weights, strict=True):
            if len(row) != len(values):
                raise InvalidInputError(f"token id {i} has {len(row)} pieces but {len(values)} weights")
        indptr = np.cumsum([0, *map(len, pieces)])
        return cls(np.array(ids), indptr, np.concatenate([[], *pieces]), np.concatenate([[], *weights]))

    def __len__(self) -> int:
        """Number of tokens described."""
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        """The ids described, ascending."""
        return iter(self.ids.tolist())

    def __getitem__(self, token_id: int) -> tuple[IntArray, FloatArray]:
        """Pieces and weights of one token.

        Raises:
            KeyError: The token is not described.
        """
        row = int(np.searchsorted(self.ids, token_id))
        if row == len(self.ids) or self.ids[row] != token_id:
            raise KeyError(token_id)
        part = slice(self.indptr[row], self.indptr[row + 1])
        return self.pieces[part], self.weights[part]

    def __eq__(self, other: object) -> bool:
        """Equal arrays."""
        return isinstance(other, Pieces) and all(map(np.array_equal, self._arrays(), other._arrays()))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles by value."""
        return type(self), self._arrays()

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.ids, self.indptr, self.pieces, self.weights


def frozen(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    """A read-only copy."""
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def resize_matrix(new: IntArray, old: IntArray, added: Pieces, shape: tuple[int, int]) -> SparseRows:
    """Unit rows `new` -> `old` for kept tokens and the rows of `added` for the others."""
    sizes = np.ones(shape[0], dtype=np.int64)
    sizes[added.ids] = np.diff(added.indptr)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    data, indices = np.ones(indptr[-1]), np.zeros(indptr[-1], dtype=np.int32)
    indices[indptr[new]] = old
    places = np.repeat(indptr[added.ids] - added.indptr[:-1], np.diff(added.indptr)) + np.arange(len(added.pieces))
    data[places], indices[places] = added.weights, added.pieces
    return SparseRows(data, indices, indptr, shape)


def product(left: SparseRows, right: SparseRows) -> SparseRows:
    """Multiplies two sparse matrices by expanding each value of `left` into the row of `right` it selects."""
    sizes = np.diff(right.indptr)[left.indices]
    starts = np.cumsum(sizes) - sizes
    places = np.repeat(right.indptr[left.indices] - starts, sizes) + np.arange(sizes.sum())
    keys = np.repeat(left.row_numbers(), sizes) * right.shape[1] + right.indices[places]
    unique, group = np.unique(keys, return_inverse=True)
    data = np.bincount(group, np.repeat(left.data, sizes) * right.data[places], minlength=len(unique)).astype(
        np.float64, copy=False
    )
    rows, columns = np.divmod(unique, right.shape[1])
    indptr = np.searchsorted(rows, np.arange(left.shape[0] + 1))
    return SparseRows(data, columns.astype(np.int32), indptr, (left.shape[0], right.shape[1]))


def select(matrix: SparseRows, rows: NDArray[Any]) -> Pieces:
    """Some rows of a matrix, brought to a sum of 1."""
    chosen = {}
    for row in rows.tolist():
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        # Rounding must not add up over many compositions, so each row is brought back to a sum of 1.
        chosen[row] = matrix.indices[part], matrix.data[part] / matrix.data[part].sum()
    return Pieces.from_rows(chosen)
