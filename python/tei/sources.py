"""Where text comes from: strings, text files, JSONL, CSV, compressed or not; read in batches of whole texts.

A *source* is an iterable of str (each one a text), a path, or a list of paths. A plain str is a path; paths in a list
are `pathlib.Path` objects, since a list of str is a list of texts. Text files hold one text a line.
"""

import csv
import gzip
import importlib
import io
import json
import lzma
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any, cast

from tei import _core
from tei.errors import EmptySourceError, EncodingError, FileFormatError, InvalidInputError, TeiError, UnsupportedError

__all__ = ["Source", "kind_of", "open_file", "read_batches", "read_texts", "unreadable"]

Source = Iterable[str] | str | os.PathLike[str] | Iterable[os.PathLike[str]]

BLOCK_BYTES = 1 << 20
BATCH_TEXTS = 4096
#: Bytes that are unpacked at once: zstd may make 32,768 times as many of them.
PACKED_BYTES = 1 << 12
#: Characters of a field of CSV: as many as the smallest C long can say.
FIELD_LIMIT, FIELD_LOCK = (1 << 31) - 1, threading.Lock()


def read_texts(source: Source, *, field: str | None = None) -> list[str]:
    """All texts of a source that are not empty.

    Args:
        source: Texts or files, see the module.
        field: The field (JSONL) or column (CSV) that holds the text; `text` if None.

    Raises:
        EmptySourceError: If there is no text in it.
        EncodingError: If a file is not UTF-8.
        FileFormatError: If a file is missing, unreadable or not what its name says.
        InvalidInputError: If an element of the source is not a str.

    Example:
        >>> read_texts(["one", "", "two"])
        ['one', 'two']
    """
    texts = [text for batch in read_batches(source, field=field) for text in batch if text.strip()]
    if not texts:
        msg = f"no text in {_name(source)}: give at least one line that is not blank"
        raise EmptySourceError(msg)
    return texts


def read_batches(source: Source, *, field: str | None = None) -> Iterator[Sequence[str]]:
    """The texts of a source in batches, blank ones included.

    Args:
        source: Texts or files, see the module.
        field: The field (JSONL) or column (CSV) that holds the text; `text` if None.

    Raises:
        EncodingError: If a file is not UTF-8.
        FileFormatError: If a file is missing, unreadable or not what its name says.
        InvalidInputError: If an element of the source is not a str.
    """
    if isinstance(source, str | os.PathLike):
        yield from _read_file(Path(source), field)
        return
    for batch in _in_batches(source):
        # Asking each item here whether it is a path takes as long as counting its words.
        if _core.are_str(batch):
            yield cast("tuple[str, ...]", batch)
            continue
        for is_path, group in groupby(batch, lambda item: isinstance(item, os.PathLike)):
            if is_path:
                for path in cast("Iterable[os.PathLike[str]]", group):
                    yield from _read_file(Path(path), field)
            else:
                yield cast("list[str]", list(group))


def _in_batches(items: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    if isinstance(items, list | tuple):
        # Texts are scattered in memory: a slice waits for several of them at once, an iterator for one after the other.
        yield from (tuple(items[at : at + BATCH_TEXTS]) for at in range(0, len(items), BATCH_TEXTS))
        return
    items = iter(items)
    while batch := tuple(islice(items, BATCH_TEXTS)):
        yield batch


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else "the source"


def _read_file(path: Path, field: str | None) -> Iterator[list[str]]:
    with unreadable(path), open_file(path) as file:
        yield from READERS.get(kind_of(path), _lines)(file, path, field or "text")


def kind_of(path: Path) -> str:
    """The suffix that tells what a file holds, once it is unpacked."""
    return path.with_suffix("").suffix if path.suffix in OPENERS else path.suffix


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Makes a typed error of whatever says that a file cannot be read.

    Raises:
        FileFormatError: If the block fails to read.
    """
    try:
        yield
    except Exception as error:
        known = isinstance(error, OSError | EOFError | lzma.LZMAError | zlib.error)
        # The class of that name is in one of two optional packages.
        if (known or type(error).__name__ == "ZstdError") and not isinstance(error, TeiError):
            msg = f"cannot read {path}: {error}; give a readable file of text, JSONL or CSV, plain or .gz, .xz, .zst"
            raise FileFormatError(msg) from error
        raise


def open_file(path: Path) -> IO[bytes]:
    """Opens a file for bytes, unpacked."""
    opener = OPENERS.get(path.suffix)
    return path.open("rb") if opener is None else opener(path)


def _open_zst(path: Path) -> IO[bytes]:
    with suppress(ModuleNotFoundError):
        # Part of Python from 3.14 on.
        return cast("IO[bytes]", importlib.import_module("compression.zstd").open(path, "rb"))
    try:
        decompressor = importlib.import_module("zstandard").ZstdDecompressor()
    except ModuleNotFoundError as error:
        msg = f"{path} is compressed with zstd: pip install 'tei[zst]', or decompress it first"
        raise UnsupportedError(msg) from error
    return cast("IO[bytes]", io.BufferedReader(_Zst(path, decompressor)))


class _Zst(io.RawIOBase):
    """A file of zstd frames, unpacked. The package's own reader takes a file that was cut short for a whole one."""

    def __init__(self, path: Path, decompressor: Any) -> None:
        self._file = path.open("rb")
        self._blocks = self._unpack(decompressor)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and (block := next(self._blocks, None)) is not None:
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

    def _unpack(self, decompressor: Any) -> Iterator[bytes]:
        frame = None
        while packed := self._file.read(PACKED_BYTES):
            while packed:
                frame = frame or decompressor.decompressobj()
                yield frame.decompress(packed)
                packed, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
        if frame is not None:
            raise EOFError("the file ends in the middle of a frame")


OPENERS: dict[str, Callable[[Path], IO[bytes]]] = {
    ".gz": lambda path: cast("IO[bytes]", gzip.open(path, "rb")),  # noqa: SIM115 -- closed by the caller
    ".xz": lambda path: lzma.open(path, "rb"),  # noqa: SIM115 -- closed by the caller
    ".zst": _open_zst,
}


def _blocks(file: IO[bytes], path: Path) -> Iterator[str]:
    """Whole lines, about a mebibyte at a time; an error gives the byte offset in the (decompressed) file."""
    offset = 0
    while block := file.read(BLOCK_BYTES):
        block += file.readline()
        try:
            yield block.decode()
        except UnicodeDecodeError as error:
            at = offset + error.start
            msg = f"{path} is not UTF-8: byte {block[error.start]:#04x} at offset {at}; convert the file to UTF-8 first"
            raise EncodingError(msg) from error
        offset += len(block)


def _lines(file: IO[bytes], path: Path, _field: str) -> Iterator[list[str]]:
    for block in _blocks(file, path):
        yield [line.removesuffix("\r") for line in block.removesuffix("\n").split("\n")]


def _jsonl(file: IO[bytes], path: Path, field: str) -> Iterator[list[str]]:
    first = 1
    for lines in _lines(file, path, field):
        yield [_field_of(line, field, f"{path}, line {first + i}") for i, line in enumerate(lines) if line.strip()]
        first += len(lines)


#: Reads what the core reads: control characters as they are, and integers of more than the 4,300 digits of Python's own.
JSON = json.JSONDecoder(strict=False, parse_int=float)


def _field_of(line: str, field: str, place: str) -> str:
    try:
        record: Any = JSON.decode(line)
    except (json.JSONDecodeError, RecursionError) as error:
        msg = f"{place} is not JSON: {error}"
        raise FileFormatError(msg) from error
    text = record.get(field) if isinstance(record, dict) else None
    if not isinstance(text, str):
        fields = sorted(record) if isinstance(record, dict) else type(record).__name__
        msg = f"{place} has no text in field {field!r}, only {fields}: name the field that holds the text"
        raise InvalidInputError(msg)
    return text


def _csv(file: IO[bytes], path: Path, field: str) -> Iterator[list[str]]:
    rows = csv.DictReader(io.StringIO("".join(_blocks(file, path)), newline=""))
    with _long_fields():
        try:
            if field not in (rows.fieldnames or ()):
                msg = f"{path} has no column {field!r}, only {rows.fieldnames}: name the column that holds the text"
                raise InvalidInputError(msg)
            texts = [row[field] or "" for row in rows]
        except csv.Error as error:
            line = rows.reader.line_num
            msg = f"{path}, line {line} cannot be read as CSV: {error}; give a file as a library for CSV writes it"
            raise FileFormatError(msg) from error
    yield texts


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lets fields of CSV be long; the limit is one for the whole process, so that only one thread may lift it."""
    with FIELD_LOCK:
        before = csv.field_size_limit(FIELD_LIMIT)
        try:
            yield
        finally:
            csv.field_size_limit(before)


READERS: dict[str, Callable[[IO[bytes], Path, str], Iterator[list[str]]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
}
