"""Changes of a vocabulary on their way to other processes, through shared memory."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tei.errors import MismatchError, SizeError

__all__ = ["CAPACITY", "Channel", "Position"]

# Bytes of shared memory.
CAPACITY = 1 << 22
# version, generation, length of the log in bytes
HEADER = 3
PREFIX = 16
PATIENCE = 10.0


class Position(NamedTuple):
    """How far a reader has come.

    Attributes:
        version: Version of the last change it has read.
        generation: How often the log had begun anew then.
        offset: Where the next entry begins, in bytes.
    """

    version: int = 0
    generation: int = 0
    offset: int = 0


class Channel:
    """A log of changes with one writer and any number of readers in other processes, which never wait for each other.

    Asking for news reads one number. An entry carries its length and a digest, so a reader that meets a half-written
    entry, on whatever processor, sees that and reads again. A log that is full begins anew, with all there is to know.

    A channel reaches other processes as an argument of a process that `torch.multiprocessing`, and so a `DataLoader`,
    starts by fork, spawn or forkserver.

    Args:
        capacity: Bytes of shared memory.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        memory = torch.zeros(HEADER + capacity // 8, dtype=torch.int64)
        self._memory: torch.Tensor = memory.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def _header(self) -> NDArray[np.int64]:
        header: NDArray[np.int64] = self._memory.numpy()[:HEADER]
        return header

    @property
    def _log(self) -> NDArray[np.uint8]:
        log: NDArray[np.uint8] = self._memory.numpy()[HEADER:].view(np.uint8)
        return log

    @property
    def version(self) -> int:
        """Version of the newest change."""
        return int(self._memory[0])

    @property
    def position(self) -> Position:
        """The end of the log, from where a process reads on that knows everything up to now."""
        return Position(*self._header.tolist())

    def publish(self, version: int, change: dict[str, Any]) -> bool:
        """Appends a change.

        Args:
            version: Number of the change, larger than the last one's.
            change: JSON values.

        Returns:
            False if the log has no room: then nothing was written, and all there is to know must be sent by `restart`.
        """
        data = _encoded(int(self._header[1]), version, change)
        start = int(self._header[2])
        if start + len(data) > len(self._log):
            return False
        self._log[start : start + len(data)] = np.frombuffer(data, np.uint8)
        self._header[2] = start + len(data)
        self._header[0] = version
        return True

    def restart(self, version: int, everything: dict[str, Any]) -> None:
        """Begins the log anew with an entry that needs none before it.

        Raises:
            SizeError: It does not fit.
        """
        data = _encoded(int(self._header[1]) + 1, version, everything)
        if len(data) > len(self._log):
            raise SizeError(f"the channel holds {len(self._log)} bytes, {len(data)} are needed; give it more capacity")
        self._header[2] = 0
        self._header[1] += 1
        self._log[: len(data)] = np.frombuffer(data, np.uint8)
        self._header[2] = len(data)
        self._header[0] = version

    def read(self, position: Position) -> tuple[list[dict[str, Any]], Position]:
        """All changes after a position, oldest first, and the new position.

        Raises:
            MismatchError: The log stays unreadable, because its writer died over it or two processes write.
        """
        deadline = time.monotonic() + PATIENCE
        while (found := self._try_read(position)) is None:
            if time.monotonic() > deadline:
                raise MismatchError(
                    f"the changes after version {position.version} cannot be read: has the writer died?"
                )
            time.sleep(1e-4)
        return found

    def _try_read(self, position: Position) -> tuple[list[dict[str, Any]], Position] | None:
        version, generation, length = self._header.tolist()
        offset = position.offset if generation == position.generation else 0
        changes, reached = [], position.version
        for entry in _entries(self._log[offset:length].tobytes(), generation):
            if entry is None:
                return None
            reached, change, size = entry
            offset += size
            changes.append(change)
        return (changes, Position(reached, generation, offset)) if reached >= version else None


def _encoded(generation: int, version: int, change: dict[str, Any]) -> bytes:
    data = json.dumps([generation, version, change], separators=(",", ":")).encode()
    return len(data).to_bytes(8, "little") + _digest(data) + data


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()


def _entries(data: bytes, expected: int) -> Iterator[tuple[int, dict[str, Any], int] | None]:
    """Version, change and size of each entry; None, and no more, where one is not whole or from before a restart."""
    start = 0
    while start < len(data):
        body = start + PREFIX
        end = body + int.from_bytes(data[start : start + 8], "little")
        if end > len(data) or _digest(data[body:end]) != data[start + 8 : body]:
            yield None
            return
        generation, version, change = json.loads(data[body:end])
        if generation != expected:
            yield None
            return
        yield version, change, end - start
        start = end
