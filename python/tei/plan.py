"""A change of vocabulary as one object: a sparse matrix from old embedding rows to new ones, and the way back.

`S` has a row for each target token and a column for each source token. A kept token's row is a unit vector; an added
token's row holds convex weights over the source tokens that used to spell it. Rows of embedding, head and bias become
`S @ rows`, ids go through `id_map`, and plans compose by multiplying their matrices.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tei.errors import FileFormatError, InvalidInputError, MismatchError, TeiError, VocabularyError
from tei.files import dump_document, load_document, parse_document, write_atomic
from tei.sparse import FloatArray, IntArray, Pieces, SparseRows, frozen, product, resize_matrix, select

__all__ = ["Pieces", "ResizePlan", "SparseRows"]

KIND, VERSION = "resize-plan", 1
Weighted = Mapping[str, tuple[Sequence[int] | IntArray, Sequence[float] | FloatArray]]


@dataclass(frozen=True, eq=False)
class ResizePlan:
    """What happens to every token when a vocabulary changes; immutable, plain numpy, independent of any model.

    Attributes:
        source: Tokens before, in id order.
        target: Tokens after, in id order.
        source_fingerprint: Fingerprint of the tokenizer before.
        target_fingerprint: Fingerprint of the tokenizer after.
        id_map: int32 `[len(source)]`, the new id of each old one, or -1.
        added: For every target id without a source: convex weights over source ids.
        dropped: The way back; for every source id without a target: convex weights over target ids.
        reasons: Why a token was dropped or added.
        curve: Columns of equal length, for example size, tokens, unknown, drift; may be empty.

    Example:
        >>> plan = ResizePlan.from_tokens(
        ...     ["[UNK]", "play", "##ing", "zeal"], ["[UNK]", "play", "##ing", "playing"],
        ...     added={"playing": ([1, 2], [0.5, 0.5])}, dropped={"zeal": ([0], [1.0])},
        ...     source_fingerprint="a", target_fingerprint="b",
        ... )
        >>> plan.id_map
        array([ 0,  1,  2, -1], dtype=int32)
        >>> plan.matrix().dot(np.array([0.0, 4.0, 6.0, 1.0]))
        array([0., 4., 6., 5.])
        >>> plan.inverse().inverse() == plan
        True
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    source_fingerprint: str
    target_fingerprint: str
    id_map: IntArray
    added: Pieces
    dropped: Pieces
    reasons: Mapping[str, str] = field(default_factory=dict)
    curve: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks that both directions are complete and makes everything read-only."""
        object.__setattr__(self, "source", tuple(self.source))
        object.__setattr__(self, "target", tuple(self.target))
        object.__setattr__(self, "id_map", frozen(self.id_map, np.int32))
        object.__setattr__(self, "reasons", MappingProxyType(dict(self.reasons)))
        curve = {name: frozen(column, None) for name, column in self.curve.items()}
        object.__setattr__(self, "curve", MappingProxyType(curve))
        _check_plan(self)

    @classmethod
    def from_tokens(
        cls,
        source: Sequence[str],
        target: Sequence[str],
        *,
        added: Weighted,
        dropped: Weighted,
        source_fingerprint: str,
        target_fingerprint: str,
        reasons: Mapping[str, str] | None = None,
        curve: Mapping[str, NDArray[Any]] | None = None,
    ) -> Self:
        """Builds a plan from two token lists; a token in both is kept.

        Args:
            source: Tokens before, in id order.
            target: Tokens after, in id order.
            added: For each token only in `target`: source ids and their convex weights.
            dropped: For each token only in `source`: target ids and their convex weights; the unknown token's id
                with weight 1 when the new vocabulary cannot spell it.
            source_fingerprint: Fingerprint of the tokenizer before.
            target_fingerprint: Fingerprint of the tokenizer after.
            reasons: Why a token was dropped or added.
            curve: Columns of equal length.

        Raises:
            VocabularyError: A token repeats.
            MismatchError: `added` or `dropped` lacks a token, or names one that is kept or unknown.
            InvalidInputError: Weights that are not convex, or ids out of range.
        """
        before, after = _positions(source, "source"), _positions(target, "target")
        _check_names("added", added, [token for token in target if token not in before])
        _check_names("dropped", dropped, [token for token in source if token not in after])
        return cls(
            source=tuple(source),
            target=tuple(target),
            source_fingerprint=source_fingerprint,
            target_fingerprint=target_fingerprint,
            id_map=np.array([after.get(token, -1) for token in source], dtype=np.int32),
            added=Pieces.from_rows({after[token]: row for token, row in added.items()}),
            dropped=Pieces.from_rows({before[token]: row for token, row in dropped.items()}),
            reasons=reasons or {},
            curve=curve or {},
        )

    @classmethod
    def identity(cls, tokens: Sequence[str], fingerprint: str) -> Self:
        """The plan that changes nothing.

        Example:
            >>> ResizePlan.identity(["[UNK]", "a"], "f").id_map
            array([0, 1], dtype=int32)
        """
        return cls.from_tokens(
            tokens, tokens, added={}, dropped={}, source_fingerprint=fingerprint, target_fingerprint=fingerprint
        )

    @property
    def kept(self) -> tuple[IntArray, IntArray]:
        """Source ids and target ids of the kept tokens, int32 each, ascending by source id."""
        old = np.flatnonzero(self.id_map >= 0).astype(np.int32)
        return old, self.id_map[old]

    @cached_property
    def keeps_all(self) -> bool:
        """Whether every token keeps its id, so that the plan only appends."""
        return not len(self.dropped) and np.array_equal(self.id_map, np.arange(len(self.source)))

    def matrix(self) -> SparseRows:
        """The matrix `S`, `[len(target), len(source)]`: new rows are `S @ old rows`.

        Example:
            >>> ResizePlan.identity(["[UNK]", "a"], "f").matrix().toarray()
            array([[1., 0.],
                   [0., 1.]])
        """
        old, new = self.kept
        return resize_matrix(new, old, self.added, (len(self.target), len(self.source)))

    def back_matrix(self) -> SparseRows:
        """The matrix of the way back, `[len(source), len(target)]`: `matrix()` of the inverse."""
        return self.inverse().matrix()

    def compose(self, other: "ResizePlan") -> "ResizePlan":
        """This plan, then `other`: the matrices multiply, the id maps chain; associative, weights up to rounding.

        The result's weights are those of the matrix product, and its reasons those of both, the later one winning.
        A token dropped here and added again by `other` counts as dropped and added; its old row is not recovered. There
        is no curve.

        Raises:
            MismatchError: `other` does not start from this plan's target.
        """
        other.check_source(self.target_fingerprint)
        if other.source != self.target:
            raise MismatchError("the second plan's source tokens are not the first plan's target tokens")
        id_map = np.where(self.id_map >= 0, other.id_map[self.id_map], -1).astype(np.int32)
        rows = product(other.matrix(), self.matrix())
        back = product(self.back_matrix(), other.back_matrix())
        added = np.setdiff1d(np.arange(len(other.target)), id_map)
        dropped = np.flatnonzero(id_map < 0)
        reasons, names = {**self.reasons, **other.reasons}, _names(self.source, dropped) | _names(other.target, added)
        return ResizePlan(
            source=self.source,
            target=other.target,
            source_fingerprint=self.source_fingerprint,
            target_fingerprint=other.target_fingerprint,
            id_map=id_map,
            added=select(rows, added),
            dropped=select(back, dropped),
            reasons={token: why for token, why in reasons.items() if token in names},
        )

    def inverse(self) -> "ResizePlan":
        """The plan back: kept ids return, dropped tokens are added again, added ones dropped.

        Applied with the archive of the first plan it restores dropped rows exactly, without it by their weights.
        """
        old, new = self.kept
        id_map = np.full(len(self.target), -1, dtype=np.int32)
        id_map[new] = old
        return ResizePlan(
            source=self.target,
            target=self.source,
            source_fingerprint=self.target_fingerprint,
            target_fingerprint=self.source_fingerprint,
            id_map=id_map,
            added=self.dropped,
            dropped=self.added,
            reasons=self.reasons,
            curve=self.curve,
        )

    def check_source(self, fingerprint: str) -> None:
        """Refuses a vocabulary that this plan was not made for.

        Raises:
            MismatchError: `fingerprint` is not the plan's source fingerprint.
        """
        if fingerprint != self.source_fingerprint:
            raise MismatchError(
                f"the plan was made for vocabulary {self.source_fingerprint}, not for {fingerprint}; make a new plan"
            )

    @property
    def headline(self) -> str:
        """Sizes, and how many tokens are kept, dropped and added, in one line."""
        kept = len(self.source) - len(self.dropped)
        head = f"vocabulary {len(self.source):,} -> {len(self.target):,} tokens: "
        return head + f"{kept:,} kept, {len(self.dropped):,} dropped, {len(self.added):,} added"

    def summary(self) -> str:
        """A few lines for people: sizes, what is kept, dropped and added, and why.

        Example:
            >>> print(ResizePlan.identity(["[UNK]", "a"], "f").summary())
            vocabulary 2 -> 2 tokens: 2 kept, 0 dropped, 0 added
        """
        lines = [self.headline]
        lines += self._examples("dropped", self.dropped, self.source)
        lines += self._examples("added", self.added, self.target)
        return "\n".join(lines)

    def _examples(self, name: str, pieces: Pieces, tokens: tuple[str, ...]) -> list[str]:
        if not len(pieces):
            return []
        names = [tokens[i] for i in pieces]
        causes = Counter(self.reasons.get(token, "no reason given").partition(":")[0] for token in names)
        why = ", ".join(f"{count:,} {cause}" for cause, count in causes.most_common(4))
        return [f"{name}: {why}; for example {' '.join(names[:8])}"]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the plan as a checksummed JSON document, atomically."""
        write_atomic(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The plan as a JSON document that carries its version and a checksum."""
        return dump_document(KIND, VERSION, _payload(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`.

        Raises:
            FileFormatError: The bytes are truncated, altered, of another kind or a newer version.
        """
        return cls._from_payload(parse_document(data, KIND, version=VERSION), "the document")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a plan written by `save`.

        Raises:
            FileFormatError: The file is missing, truncated, altered, of another kind or a newer version.
        """
        return cls._from_payload(load_document(path, KIND, version=VERSION), repr(str(Path(path))))

    @classmethod
    def _from_payload(cls, payload: Any, name: str) -> Self:
        try:
            return cls(**_fields(payload))
        except (TeiError, AttributeError, TypeError, KeyError, ValueError, OverflowError) as error:
            raise FileFormatError(f"{name} holds no consistent resize plan: {error}") from error

    def __eq__(self, other: object) -> bool:
        """Equal in every field."""
        return isinstance(other, ResizePlan) and _payload(self) == _payload(other)

    def __hash__(self) -> int:
        """Hash of the two fingerprints."""
        return hash((self.source_fingerprint, self.target_fingerprint))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles by value."""
        values = [self.source, self.target, self.source_fingerprint, self.target_fingerprint, self.id_map]
        return type(self), (*values, self.added, self.dropped, dict(self.reasons), dict(self.curve))


def _positions(tokens: Sequence[str], name: str) -> dict[str, int]:
    index = {token: i for i, token in enumerate(tokens)}
    if len(index) != len(tokens):
        token = next(token for i, token in enumerate(tokens) if index[token] != i)
        raise VocabularyError(f"{name} token {token!r} occurs more than once")
    return index


def _check_names(name: str, given: Weighted, expected: list[str]) -> None:
    wrong = set(expected).symmetric_difference(given)
    if wrong:
        token = min(wrong)
        problem = "is missing from" if token not in given else "does not belong into"
        raise MismatchError(f"token {token!r} {problem} {name!r}; it must hold exactly the {name} tokens")


def _check_plan(plan: ResizePlan) -> None:
    before, after = len(plan.source), len(plan.target)
    for tokens, name in ((plan.source, "source"), (plan.target, "target")):
        if len(set(tokens)) != len(tokens):
            _positions(tokens, name)
    if plan.id_map.shape != (before,):
        raise MismatchError(f"id_map has shape {plan.id_map.shape}, expected ({before},)")
    if before and not (plan.id_map.min() >= -1 and plan.id_map.max() < after):
        low, high = plan.id_map.min(), plan.id_map.max()
        raise InvalidInputError(f"id_map holds {low} to {high}, expected -1 to {after - 1}")
    old, new = plan.kept
    kept, sent = _picked(plan.source, old), _picked(plan.target, new)
    if kept != sent:
        one, other = next(pair for pair in zip(kept, sent, strict=True) if pair[0] != pair[1])
        raise MismatchError(f"id_map sends token {one!r} to {other!r}")
    is_new = np.ones(after, bool)
    is_new[new] = False
    _check_ids("added", plan.added, np.flatnonzero(is_new), before)
    _check_ids("dropped", plan.dropped, np.flatnonzero(plan.id_map < 0), after)
    lengths = {name: len(column) for name, column in plan.curve.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"columns of the curve have different lengths: {lengths}")


def _picked(tokens: tuple[str, ...], ids: IntArray) -> tuple[str, ...]:
    # Most plans keep the first tokens, or send what they keep to the first places.
    if np.array_equal(ids, np.arange(len(ids))):
        return tokens[: len(ids)]
    return tuple(map(tokens.__getitem__, ids.tolist()))


def _check_ids(name: str, pieces: Pieces, expected: NDArray[Any], limit: int) -> None:
    if not np.array_equal(pieces.ids, expected):
        raise MismatchError(f"{name!r} describes {len(pieces)} tokens, expected exactly {len(expected)} {name} tokens")
    if len(pieces) and not (pieces.pieces.min() >= 0 and pieces.pieces.max() < limit):
        raise InvalidInputError(
            f"{name!r} pieces hold ids {pieces.pieces.min()} to {pieces.pieces.max()}, expected 0 to {limit - 1}"
        )


def _names(tokens: tuple[str, ...], ids: NDArray[Any]) -> set[str]:
    return {tokens[i] for i in ids.tolist()}


def _payload(plan: ResizePlan) -> dict[str, Any]:
    return {
        "source": list(plan.source),
        "target": list(plan.target),
        "source_fingerprint": plan.source_fingerprint,
        "target_fingerprint": plan.target_fingerprint,
        "id_map": plan.id_map.tolist(),
        "added": [array.tolist() for array in plan.added._arrays()],
        "dropped": [array.tolist() for array in plan.dropped._arrays()],
        "reasons": dict(plan.reasons),
        "curve": {name: [column.dtype.str, _finite(column)] for name, column in plan.curve.items()},
    }


def _fields(payload: dict[str, Any]) -> dict[str, Any]:
    curve = {name: np.array(values, dtype=dtype) for name, (dtype, values) in payload["curve"].items()}
    pieces = {name: Pieces(*map(np.array, payload[name])) for name in ("added", "dropped")}
    return {**payload, **pieces, "curve": curve, "id_map": np.array(payload["id_map"], dtype=np.int32)}


def _finite(column: NDArray[Any]) -> list[Any]:
    # JSON knows no NaN and no infinity; float() reads these words back.
    return [value if not isinstance(value, float) or np.isfinite(value) else str(value) for value in column.tolist()]
