"""Token shards: rows of ids in `.npy` files of a directory, written once, opened without reading them.

A shard is two arrays, `ids-00000.npy` and `row_offsets-00000.npy`, as in [`Ragged`][tei.encoding.Ragged]. The manifest
`shards.json` says what they were made of and which are whole. A shard gets its name when it is complete, and the
manifest is replaced after that: whatever stops the program, what the manifest lists is whole, and the next run goes on
from there.
"""

import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tei.encoding import Ragged
from tei.errors import FileFormatError, MismatchError, OutputError, OutputExistsError
from tei.files import dump_document, load_document, lock_directory, make_directory, unlock, write_atomic

__all__ = ["ShardWriter", "TokenShards"]

KIND, VERSION, MANIFEST = "token-shards", 1, "shards.json"
COLUMNS = ("ids", "row_offsets")
#: Names of what shards consist of, and of what a writer that was killed leaves half-written.
WHOLE = re.compile(r"shards\.json|(ids|row_offsets)-\d{5,}\.npy")
PART = re.compile(r"\.(ids|row_offsets)\.part|\.shards\.json\.[0-9a-f]+\.part")


class TokenShards:
    r"""Rows of ids on disk, as one sequence; memory is used only for what is looked at.

    Args:
        directory: What `Tokenizer.encode_files` wrote.

    Attributes:
        directory: Where the shards are.
        dtype: Type of the ids.
        source: What they were made of: tokenizer, inputs, options.

    Raises:
        FileFormatError: If there are no shards, if a file of them is missing or was altered in size, or if they were
            never finished.

    Example:
        >>> import tempfile, tei
        >>> tok = tei.Tokenizer.train(["a b c"], vocab_size=11, min_count=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "lines.txt").write_text("a b\nc\n")
        ...     shards = tok.encode_files(Path(folder) / "lines.txt", out=Path(folder) / "tokens")
        ...     len(shards), shards[-1].tolist() == tok.encode("c").ids, shards.to_ragged().row_offsets.tolist()
        (2, True, [0, 2, 3])
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        manifest = load_document(self.directory / MANIFEST, KIND, version=VERSION)
        if not manifest["complete"]:
            msg = f"token shards {str(directory)!r} were never finished: call encode_files again as before, it goes on"
            raise FileFormatError(msg)
        self.source: Mapping[str, Any] = manifest["source"]
        self.dtype = np.dtype(self.source["dtype"])
        self._sizes: list[tuple[int, int, int]] = [(rows, ids, size) for rows, ids, size in manifest["shards"]]
        self._starts = list(accumulate((rows for rows, *_ in self._sizes), initial=0))
        for number, (_, _, size) in enumerate(self._sizes):
            self._check_size(number, size)

    @cached_property
    def shards(self) -> list[Ragged]:
        """Each shard, mapped into memory; ids are of `dtype`, and must not be written to."""
        return [self._open(number) for number in range(len(self._sizes))]

    @property
    def n_tokens(self) -> int:
        """Number of ids in all rows."""
        return sum(ids for _, ids, _ in self._sizes)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, row: int) -> NDArray[Any]:
        index = range(len(self))[row]
        shard = bisect_right(self._starts, index) - 1
        return self.shards[shard][index - self._starts[shard]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (row for shard in self.shards for row in shard)

    def to_ragged(self) -> Ragged:
        """All rows in memory: int32 ids `[n_tokens]`, int64 row offsets `[n_rows + 1]`."""
        ids, row_offsets = np.empty(self.n_tokens, np.int32), np.zeros(len(self) + 1, np.int64)
        end = 0
        for first, shard in zip(self._starts, self.shards, strict=False):
            ids[end : end + len(shard.ids)] = shard.ids
            row_offsets[first : first + len(shard.row_offsets)] = shard.row_offsets + end
            end += len(shard.ids)
        return Ragged(ids, row_offsets)

    def __reduce__(self) -> tuple[Any, ...]:
        # Other processes map the same files.
        return type(self), (self.directory,)

    def __repr__(self) -> str:
        return f"TokenShards({str(self.directory)!r}, {len(self)} rows, {self.n_tokens} tokens, {self.dtype})"

    def _check_size(self, number: int, expected: int) -> None:
        paths = [self.directory / _name(column, number) for column in COLUMNS]
        try:
            size = sum(path.stat().st_size for path in paths)
        except OSError as error:
            msg = f"a file of token shard {str(paths[0])!r} is missing: {error}; write the shards anew"
            raise FileFormatError(msg) from error
        if size != expected:
            msg = f"the files of token shard {str(paths[0])!r} have {size} bytes, expected {expected}: write them anew"
            raise FileFormatError(msg)

    def _open(self, number: int) -> Ragged:
        rows, ids, _ = self._sizes[number]
        wanted = {"ids": (self.dtype, ids), "row_offsets": (np.dtype(np.int64), rows + 1)}
        arrays = []
        for column, (dtype, count) in wanted.items():
            path = self.directory / _name(column, number)
            try:
                # An array without items cannot be mapped.
                found = np.load(path, mmap_mode="r" if count else None, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise FileFormatError(f"cannot open token shard {str(path)!r}: {error}") from error
            if found.dtype != dtype or found.shape != (count,):
                msg = f"{str(path)!r} holds {found.dtype} {found.shape}, the manifest says {dtype} {(count,)}"
                raise FileFormatError(msg)
            arrays.append(found.view(np.ndarray))
        return Ragged(*arrays)


def _name(column: str, number: int) -> str:
    return f"{column}-{number:05d}.npy"


class ShardWriter:
    """Writes shards, or goes on where another writer was stopped; to be used in a `with` block.

    Args:
        directory: Directory to make, or one that holds shards of the same source.
        source: What the shards are made of, as JSON values; has `dtype`.
        shard_tokens: A shard ends with the text that brings it to this many ids, or to this many texts.
        overwrite: Remove shards that are there, whatever their source.

    Attributes:
        position: Number of the input to go on with, and how many of its texts are done.
        complete: Whether nothing is left to do.

    Raises:
        MismatchError: If there are shards of another source.
        OutputError: If the system refuses to write; what is not whole is removed.
        OutputExistsError: If there is something else in the directory, or another process writes there.
    """

    def __init__(
        self, directory: Path, source: Mapping[str, Any], *, shard_tokens: int, overwrite: bool = False
    ) -> None:
        self.directory = directory
        self._source = dict(source)
        self._shard_tokens = shard_tokens
        self._made = not directory.exists()
        self._columns: dict[str, _Column] = {}
        self._sizes: list[tuple[int, int, int]] = []
        self.position, self.complete = (0, 0), False
        with self._writing():
            make_directory(directory)
            self._lock = lock_directory(directory)
        try:
            with self._writing():
                self._refuse_strangers(overwrite=overwrite)
                if overwrite:
                    self._clear()
                self._read_manifest()
        except BaseException:
            self._remove_directory()
            unlock(self._lock)
            raise

    def add(self, ids: NDArray[np.int32], row_offsets: NDArray[np.int64]) -> None:
        """Appends rows of the present input."""
        with self._writing():
            while len(row_offsets) > 1:
                row_offsets = row_offsets[self._add_some(ids, row_offsets) :]

    def end_input(self) -> None:
        """Goes on to the next input."""
        self.position = (self.position[0] + 1, 0)

    def finish(self) -> None:
        """Writes what is left; the shards are complete."""
        with self._writing():
            self._end_shard()
            self.complete = True
            self._write_manifest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self.complete:
                self._abandon()
        finally:
            unlock(self._lock)

    def _refuse_strangers(self, *, overwrite: bool) -> None:
        """Before anything is removed: a directory that holds something else may be one that was never meant."""
        found = {entry.name for entry in self.directory.iterdir()}
        if MANIFEST in found and not overwrite:
            return
        ours = {name for name in found if PART.fullmatch(name) or (overwrite and WHOLE.fullmatch(name))}
        if strangers := sorted(found - ours):
            msg = f"output {str(self.directory)!r} holds {strangers[0]!r}"
            if WHOLE.fullmatch(strangers[0]):
                msg += f" and no {MANIFEST}: ask for overwriting, or choose another directory"
            else:
                msg += ", which is no part of token shards: move it away, or choose another directory"
            raise OutputExistsError(msg)

    def _clear(self) -> None:
        # The manifest first: shards without one are nothing.
        (self.directory / MANIFEST).unlink(missing_ok=True)
        self._remove_all(WHOLE)

    def _read_manifest(self) -> None:
        path = self.directory / MANIFEST
        if path.exists():
            manifest = load_document(path, KIND, version=VERSION)
            _compare(manifest["source"], self._source, self.directory)
            self._sizes, self.complete = manifest["shards"], manifest["complete"]
            self.position = (manifest["position"][0], manifest["position"][1])
            self._remove_incomplete()
            return
        self._remove_all(PART)
        self._write_manifest()

    def _write_manifest(self) -> None:
        payload = {
            "source": self._source,
            "shards": self._sizes,
            "position": self.position,
            "complete": self.complete,
        }
        write_atomic(self.directory / MANIFEST, dump_document(KIND, VERSION, payload))

    def _add_some(self, ids: NDArray[np.int32], row_offsets: NDArray[np.int64]) -> int:
        """Appends the first rows, at most to the end of a shard; returns how many."""
        if not self._columns:
            types = {"ids": np.dtype(self._source["dtype"]), "row_offsets": np.dtype(np.int64)}
            for name, dtype in types.items():
                self._columns[name] = _Column(self._part(name), dtype)
            self._columns["row_offsets"].append(np.zeros(1, np.int64))
        tokens, offsets = self._columns["ids"], self._columns["row_offsets"]
        first, room = row_offsets[0], self._shard_tokens - tokens.count
        full = min(int(np.searchsorted(row_offsets, first + room)), self._shard_tokens - (offsets.count - 1))
        taken = min(full, len(row_offsets) - 1)
        offsets.append(row_offsets[1 : taken + 1] - first + tokens.count)
        tokens.append(ids[first : row_offsets[taken]])
        self.position = (self.position[0], self.position[1] + taken)
        if taken == full:
            self._end_shard()
        return taken

    def _end_shard(self) -> None:
        if not self._columns:
            return
        number, columns = len(self._sizes), self._columns
        size = sum(column.finish(self.directory / _name(name, number)) for name, column in columns.items())
        self._columns = {}
        self._sizes = [*self._sizes, (columns["row_offsets"].count - 1, columns["ids"].count, size)]
        self._write_manifest()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OutputExistsError:
            raise
        except OSError as error:
            # An error that is typed already has what the system said as its cause.
            system = error.__cause__ if isinstance(error.__cause__, OSError) else error
            msg = (
                f"cannot write token shards to {str(self.directory)!r}: {system.strerror or system}; nothing half-written "
                f"is left: make room, then call encode_files again as before, it goes on"
            )
            raise OutputError(error.errno, msg) from error

    def _abandon(self) -> None:
        for column in self._columns.values():
            column.close()
        self._remove_incomplete()
        manifest = self.directory / MANIFEST
        with suppress(OSError, FileFormatError):
            if not load_document(manifest, KIND, version=VERSION)["shards"]:
                manifest.unlink()
        self._remove_directory()

    def _remove_directory(self) -> None:
        """Removes the directory if it was made here and nothing came of it."""
        if self._made:
            # It may hold shards by now.
            with suppress(OSError):
                self.directory.rmdir()

    def _remove_incomplete(self) -> None:
        self._remove_all(PART)
        with suppress(FileFormatError):
            number = len(load_document(self.directory / MANIFEST, KIND, version=VERSION)["shards"])
            for name in COLUMNS:
                (self.directory / _name(name, number)).unlink(missing_ok=True)

    def _remove_all(self, pattern: re.Pattern[str]) -> None:
        for path in self.directory.iterdir():
            if pattern.fullmatch(path.name):
                path.unlink()

    def _part(self, column: str) -> Path:
        return self.directory / f".{column}.part"


class _Column:
    """An array in a file that grows, until it gets its name."""

    def __init__(self, part: Path, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.count = 0
        self._part = part
        self._file = part.open("wb")
        self._write_header()

    def append(self, items: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(items, self.dtype).data)
        self.count += len(items)

    def finish(self, path: Path) -> int:
        """Gives the array its name; returns the number of bytes of the file."""
        # numpy leaves room in the header for any number of items, so that it can be written again.
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = os.fstat(self._file.fileno()).st_size
        self._file.close()
        self._part.replace(path)
        return size

    def close(self) -> None:
        # What is still in the buffer has no room, but the file is about to be removed anyway.
        with suppress(OSError):
            self._file.close()

    def _write_header(self) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.count,)}
        np.lib.format.write_array_header_1_0(self._file, header)


def _compare(found: Mapping[str, Any], wanted: Mapping[str, Any], directory: Path) -> None:
    for key, value in wanted.items():
        if found.get(key) != value:
            msg = (
                f"token shards in {str(directory)!r} were made with {key} {found.get(key)!r}, now it is {value!r}: choose "
                f"another directory, or ask for overwriting"
            )
            raise MismatchError(msg)
