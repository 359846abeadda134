"""Files that are either whole or absent: atomic replacement, locks, and documents that carry their own checksum."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tei.errors import FileFormatError, OutputError, OutputExistsError, TeiError

__all__ = [
    "atomic_directory",
    "dump_document",
    "load_document",
    "lock_directory",
    "make_directory",
    "parse_document",
    "unlock",
    "write_atomic",
    "writing",
]

FORMAT = "tei"


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces the file at `path` by `data`, so that a reader sees the old content or the new, never a part.

    Args:
        path: The file to write; its directory must exist. A symbolic link is followed.
        data: The whole content.

    Raises:
        OutputError: The directory is missing or not writable, or the disk is full; the old file is untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomic(Path(folder) / "a", b"new")
        ...     (Path(folder) / "a").read_bytes()
        b'new'
    """
    final = Path(os.path.realpath(path))
    part = _sibling(final, "part")
    with writing(final):
        try:
            # A new file made by open() obeys the umask; one made by tempfile would be private to its owner.
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(final)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    _sync(final.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes a typed error of whatever says that an output cannot be written.

    Raises:
        OutputError: If the block fails to write.
    """
    try:
        yield
    except TeiError:
        raise
    except OSError as error:
        msg = (
            f"cannot write {str(path)!r}: {error.strerror or error}; nothing half-written is left: make room or get "
            f"permission, or choose another path"
        )
        raise OutputError(error.errno, msg) from error


def make_directory(path: Path) -> None:
    """Makes a directory, and those above it, unless it is there.

    Raises:
        OutputError: The system refuses.
        OutputExistsError: There is a file of that name.
    """
    with writing(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            msg = f"output {str(path)!r} is a file, a directory is needed; choose another path"
            raise OutputExistsError(msg) from error


@contextmanager
def atomic_directory(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Builds a directory beside `path` and renames it to `path` when the block ends without an error.

    Args:
        path: The directory to make; its parent is created when missing.
        overwrite: Replace an existing directory; the old one is removed only after the new one is in place.

    Yields:
        The directory to fill. It is removed when the block raises, and `path` stays as it was.

    Raises:
        OutputError: The directory cannot be made, or not get its name.
        OutputExistsError: `path` exists and `overwrite` is False, or `path` is a file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_directory(Path(folder) / "out") as part:
        ...         _ = (part / "a.txt").write_text("whole")
        ...     sorted(p.name for p in Path(folder).rglob("*"))
        ['a.txt', 'out']
    """
    import shutil

    final = Path(os.path.realpath(path))
    _check_output(final, overwrite=overwrite)
    make_directory(final.parent)
    part = _sibling(final, "part")
    with writing(final):
        part.mkdir()
    try:
        yield part
        _sync_tree(part)
        _check_output(final, overwrite=overwrite)
        with writing(final):
            _swap(part, final)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    _sync(final.parent)


def lock_directory(directory: Path) -> int | None:
    """Keeps other processes out of a directory until `unlock`, or until this process ends.

    Returns:
        What `unlock` takes; None where there are no locks.

    Raises:
        OSError: The directory cannot be opened.
        OutputExistsError: Another process keeps it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        msg = f"output {str(directory)!r} is being written by another process: wait for it"
        raise OutputExistsError(msg) from error
    except OSError:
        # Some file systems have no locks.
        pass
    return handle


def unlock(handle: int | None) -> None:
    """Lets other processes in again."""
    if handle is not None:
        os.close(handle)


def dump_document(kind: str, version: int, payload: Any) -> bytes:
    r"""Writes `payload` as a JSON document that names its kind and version and carries a checksum.

    Args:
        kind: What the document holds, for example `"resize-plan"`.
        version: Version of the payload's layout, 1 or more.
        payload: JSON values; dictionaries must have str keys, floats must be finite.

    Returns:
        ASCII JSON, ended by a newline.

    Raises:
        ValueError: A float is NaN or infinite.

    Example:
        >>> dump_document("note", 1, ["a"])
        b'{"format":"tei","kind":"note","version":1,"checksum":"959d631ae4521c54","payload":["a"]}\n'
    """
    import hashlib

    checksum = hashlib.blake2b(_json([kind, version, payload]), digest_size=8).hexdigest()
    document = {"format": FORMAT, "kind": kind, "version": version, "checksum": checksum, "payload": payload}
    return _json(document) + b"\n"


def load_document(path: str | os.PathLike[str], kind: str, *, version: int = 1) -> Any:
    """Reads the payload of a document written by `dump_document`.

    Args:
        path: The file.
        kind: The kind it must have.
        version: The newest version the caller understands.

    Returns:
        The payload, equal to what was dumped.

    Raises:
        FileFormatError: The file is missing, truncated, altered in any byte, of another kind, or of a newer version.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FileFormatError(f"cannot read {kind} file {os.fspath(path)!r}: {error.strerror or error}") from error
    return parse_document(data, kind, version=version, name=os.fspath(path))


def parse_document(data: bytes, kind: str, *, version: int = 1, name: str = "document") -> Any:
    """Checks the bytes of a document and returns its payload; `name` is what error messages call it.

    Raises:
        FileFormatError: As in `load_document`.

    Example:
        >>> parse_document(dump_document("note", 1, {"a": 1}), "note")
        {'a': 1}
    """
    document = _parse_json(data, name)
    if document.get("kind") != kind:
        raise FileFormatError(f"{name!r} is of kind {document.get('kind')!r}, expected {kind!r}")
    found = document.get("version")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise FileFormatError(f"{name!r} has version {found!r}, expected a number from 1 to {version}")
    if found > version:
        raise FileFormatError(f"{name!r} has version {found}, newer than {version}, the newest known; update tei")
    # Comparing with a fresh dump catches every changed byte, white space and repeated keys among them.
    if not _same_dump(data, kind, found, document.get("payload")):
        raise FileFormatError(f"{name!r} was altered: its checksum does not fit its content; restore it from a copy")
    return document["payload"]


def _parse_json(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{name!r} is truncated or not a JSON document: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FileFormatError(f"{name!r} is not a document written by tei")
    return document


def _same_dump(data: bytes, kind: str, version: int, payload: Any) -> bool:
    try:
        return dump_document(kind, version, payload) == data
    except (ValueError, RecursionError):
        return False


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _sibling(path: Path, suffix: str) -> Path:
    import secrets

    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{suffix}")


def _check_output(final: Path, *, overwrite: bool) -> None:
    if not final.exists():
        return
    if not final.is_dir():
        raise OutputExistsError(f"output {str(final)!r} is a file, a directory is needed; choose another path")
    if not overwrite:
        raise OutputExistsError(f"output {str(final)!r} exists; choose another path or ask for overwriting")


def _swap(part: Path, final: Path) -> None:
    import shutil

    if not final.exists():
        part.rename(final)
        return
    old = _sibling(final, "old")
    final.rename(old)
    try:
        part.rename(final)
    except BaseException:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            _sync(Path(folder, name))
        _sync(Path(folder))


def _sync(path: Path) -> None:
    # Some systems cannot open or flush a directory; the rename is atomic there all the same.
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
