"""One vocabulary in all processes of a data-parallel run: counts are added up, rank 0 decides, fingerprints are compared."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tei.counts import WordCounts
from tei.errors import MismatchError, TeiError
from tei.plan import ResizePlan

__all__ = ["Ranks"]


class Ranks:
    """The processes of a run, talking about the vocabulary over a gloo group of their own.

    Every method is a meeting that all ranks attend. A rank that fails, differs or stays away makes all of them raise;
    none waits longer than the timeout. Only bytes of documents that carry a checksum are exchanged, never pickles.

    Args:
        timeout: Seconds that a rank waits for the others.
        group: A gloo group to use instead, with a timeout of its own.

    Raises:
        MismatchError: `torch.distributed` has not been initialized, or a rank stays away.
    """

    def __init__(self, timeout: float = 60.0, group: dist.ProcessGroup | None = None) -> None:
        if not dist.is_initialized():
            raise MismatchError("torch.distributed is not initialized; call init_process_group first")
        self._seconds = timeout
        # A rank outside of a group has a number for one; here all ranks are in it.
        made: Any = group or dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout))
        self._group: dist.ProcessGroup = made
        self.rank = dist.get_rank(self._group)

    def sum_counts(self, counts: WordCounts) -> WordCounts:
        """The counts of all ranks together: equal on all of them."""
        # Words are no fixed set, so there is nothing to reduce element by element: the documents travel whole.
        documents = self._gather(counts.to_bytes())
        return sum(map(WordCounts.from_bytes, documents[1:]), WordCounts.from_bytes(documents[0]))

    def decide(self, make: Callable[[], ResizePlan]) -> ResizePlan:
        """Runs `make` on rank 0 only and gives everyone its plan.

        Raises:
            MismatchError: On the other ranks, if `make` raised on rank 0; there the error itself is raised.
        """
        failure: Exception | None = None
        data = b""
        if self.rank == 0:
            try:
                data = b"+" + make().to_bytes()
            except Exception as error:  # noqa: BLE001 - it is raised below, after the others were told
                failure, data = error, b"-" + f"{type(error).__name__}: {error}".encode()
        data = self._broadcast(data)
        if failure is not None:
            raise failure
        if data[:1] != b"+":
            raise MismatchError(f"rank 0 could not make a plan: {data[1:].decode()}")
        return ResizePlan.from_bytes(data[1:])

    def same(self, value: str, what: str) -> None:
        """Compares a value of all ranks.

        Raises:
            MismatchError: On all ranks, if one differs; the message names which.
        """
        self._check([data.decode() for data in self._gather(value.encode())], what)

    def together(self, action: Callable[[], str], what: str) -> None:
        """Runs `action` on every rank and compares what it returns; an error of one is an error of all.

        Raises:
            MismatchError: If the action failed elsewhere, or its values differ; where it failed its own error is raised.
        """
        failure: Exception | None = None
        try:
            value = "+" + action()
        except Exception as error:  # noqa: BLE001 - it is raised below, after the others were told
            failure, value = error, f"-{type(error).__name__}: {error}"
        found = [data.decode() for data in self._gather(value.encode())]
        if failure is not None:
            raise failure
        failed = {rank: text[1:] for rank, text in enumerate(found) if text[0] == "-"}
        if failed:
            raise MismatchError(f"{what}: failed elsewhere, on rank {next(iter(failed.items()))}")
        self._check(found, what)

    def _check(self, found: list[str], what: str) -> None:
        others = {rank: value for rank, value in enumerate(found) if value != found[0]}
        if others:
            raise MismatchError(
                f"{what} differs between ranks: {found[0]!r} on rank 0, {others}; start all ranks from one checkpoint"
            )

    def _gather(self, data: bytes) -> list[bytes]:
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size(self._group))]
        self._meet(lambda: dist.all_gather(sizes, torch.tensor([len(data)]), group=self._group))
        # Gloo wants tensors of one shape.
        width = max(int(size) for size in sizes)
        rows = [torch.zeros(width, dtype=torch.uint8) for _ in sizes]
        self._meet(lambda: dist.all_gather(rows, _padded(data, width), group=self._group))
        return [row[: int(size)].numpy().tobytes() for row, size in zip(rows, sizes, strict=True)]

    def _broadcast(self, data: bytes) -> bytes:
        first = dist.get_global_rank(self._group, 0)
        size = torch.tensor([len(data)])
        self._meet(lambda: dist.broadcast(size, first, group=self._group))
        row = _padded(data, int(size))
        self._meet(lambda: dist.broadcast(row, first, group=self._group))
        return row.numpy().tobytes()

    def _meet(self, call: Callable[[], object]) -> None:
        try:
            call()
        except TeiError:
            raise
        except RuntimeError as error:
            raise MismatchError(
                f"rank {self.rank} has waited up to {self._seconds:g} s for the others to change the vocabulary, too: {error}"
            ) from error


def _padded(data: bytes, width: int) -> Tensor:
    row = torch.zeros(width, dtype=torch.uint8)
    row[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else row[:0]
    return row
