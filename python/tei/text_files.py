"""Texts from files to ids: no Python object is made of a text on the way."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tei import _core
from tei.encoding import Ragged
from tei.errors import FileFormatError, InvalidInputError, MismatchError
from tei.shards import ShardWriter, TokenShards
from tei.sources import OPENERS, kind_of, open_file, read_batches, unreadable
from tei.threads import threads

if TYPE_CHECKING:
    from tei.coding import Coding

__all__ = ["Paths", "encode_files"]

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

#: Bytes of text that one call of the core encodes. With shards, memory holds the ids of that much text, or of one text;
#: without, it holds all, and only a signal has to wait.
SHARD_BYTES, ARRAY_BYTES = 16 << 20, 256 << 20


def encode_files(
    tok: "Coding",
    paths: Paths,
    *,
    separator: str | None,
    field: str | None,
    out: str | os.PathLike[str] | None,
    dtype: Literal["int32", "smallest"],
    shard_tokens: int,
    overwrite: bool,
    parallel: bool | None,
) -> Ragged | TokenShards:
    """As [`Tokenizer.encode_files`][tei.coding.Coding.encode_files] says."""
    files = _list(paths)
    if dtype not in ("int32", "smallest"):
        raise InvalidInputError(f"dtype is {dtype!r}: give 'int32' or 'smallest'")
    _check_text("separator", separator)
    _check_text("field", field)
    shard_tokens = _count("shard_tokens", shard_tokens)
    inputs, count = [_identity(path) for path in files], threads(parallel)
    if out is None:
        rows = _core.Rows()
        for path in files:
            for _ in _encode(rows, tok, _open(path, separator, field), path, count, ARRAY_BYTES):
                pass
        return Ragged(*rows.take())
    source = {
        "tokenizer": tok.fingerprint,
        "added_tokens": [asdict(token) for token in tok.spec.added_tokens],
        "inputs": inputs,
        "separator": separator,
        "field": field,
        "dtype": "int32" if dtype == "int32" else str(np.min_scalar_type(max(tok.vocab_size - 1, 0))),
        "shard_tokens": shard_tokens,
    }
    with ShardWriter(Path(out), source, shard_tokens=shard_tokens, overwrite=overwrite) as writer:
        if not writer.complete:
            _write(writer, tok, files, separator, field, count)
    return TokenShards(out)


def _write(
    writer: ShardWriter, tok: "Coding", files: list[Path], separator: str | None, field: str | None, count: int
) -> None:
    for path in files[writer.position[0] :]:
        file, done = _open(path, separator, field), writer.position[1]
        with unreadable(path):
            skipped = file.skip(done)
        if skipped != done:
            raise MismatchError(f"{path} has {skipped} texts, {done} of it were encoded before: it must not change")
        rows = _core.Rows()
        for _ in _encode(rows, tok, file, path, count, SHARD_BYTES):
            writer.add(*rows.take())
        writer.end_input()
    writer.finish()


def _encode(rows: _core.Rows, tok: "Coding", file: "_File", path: Path, count: int, limit: int) -> Iterator[None]:
    """Appends to `rows` part by part, so that in between they can be taken, and signals be heard."""
    more = True
    while more:
        with unreadable(path):
            if isinstance(file, _core.TextFile):
                more = rows.read(tok.encoder, file, count, limit)
            else:
                more = file.read(rows, tok.encoder, count)
        yield


class _Batches:
    """The texts of a file that Python reads, in the way of `_core.TextFile`."""

    def __init__(self, batches: Iterator[Sequence[str]]) -> None:
        self._batches = batches
        self._rest: Sequence[str] = ()

    def skip(self, texts: int) -> int:
        skipped = 0
        while skipped < texts and (batch := next(self._batches, None)) is not None:
            self._rest = batch[texts - skipped :]
            skipped += len(batch) - len(self._rest)
        return skipped

    def read(self, rows: _core.Rows, encoder: _core.Encoder, count: int) -> bool:
        batch: Sequence[str] | None = self._rest or next(self._batches, None)
        self._rest = []
        if batch is not None:
            rows.add(encoder, batch, count)
        return batch is not None


_File = _core.TextFile | _Batches


def _open(path: Path, separator: str | None, field: str | None) -> _File:
    kind = kind_of(path)
    if kind == ".csv":
        return _Batches(read_batches(path, field=field))
    name = field or "text" if kind in (".jsonl", ".ndjson") else None
    with unreadable(path):
        stream = open_file(path) if path.suffix in OPENERS else None
        return _core.TextFile(path, separator=separator, field=name, stream=stream)


def _check_text(name: str, value: str | None) -> None:
    try:
        empty = value is not None and not value.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        raise InvalidInputError(f"{name} is {value!r}, not a str that a UTF-8 file can hold: give another") from error
    if empty:
        raise InvalidInputError(f"{name} is empty: give at least one character, or None")


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise InvalidInputError(f"{name} is {value!r}, must be an integer of at least 1")
    return int(value)


def _list(paths: Paths) -> list[Path]:
    if isinstance(paths, str | os.PathLike):
        return [Path(paths)]
    found = list(paths)
    for i, path in enumerate(found):
        if not isinstance(path, str | os.PathLike):
            raise InvalidInputError(f"paths[{i}] is {type(path)}, not a path: give str or pathlib.Path objects")
    return [Path(path) for path in found]


def _identity(path: Path) -> dict[str, Any]:
    """What a file must still be when its encoding goes on."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise FileFormatError(f"cannot read {str(path)!r}: {error}; give the path of a readable file") from error
    return {"path": str(path), "bytes": found.st_size, "modified_ns": found.st_mtime_ns}
