"""Atomic writing and checksummed documents."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tei.errors import FileFormatError, OutputError, OutputExistsError
from tei.files import atomic_directory, dump_document, load_document, parse_document, write_atomic

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class BoomError(Exception):
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(JSON)
def test_document_round_trip(payload: object) -> None:
    assert parse_document(dump_document("note", 3, payload), "note", version=3) == payload


def test_every_bit_flip_is_detected() -> None:
    data = dump_document("note", 1, {"a": [1, 2.5, "é"], "b": None})
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(FileFormatError):
            parse_document(bytes(changed), "note")


def test_every_truncation_is_detected() -> None:
    data = dump_document("note", 1, {"a": [1, 2]})
    for end in range(len(data)):
        with pytest.raises(FileFormatError):
            parse_document(data[:end], "note")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "truncated"),
        (b"[" * 100_000, "truncated"),
        (b'"text"', "not a document written by tei"),
        (b"{}", "not a document written by tei"),
        (dump_document("other", 1, 0), "kind 'other', expected 'note'"),
        (dump_document("note", 2, 0), "version 2, newer than 1"),
        (dump_document("note", 0, 0), "version 0"),
        (b'{"format":"tei","kind":"note","version":true}', "version True"),
        (b'{"format":"tei","kind":"note","version":1}', "altered"),
        (b'{"format":"tei","kind":"note","version":1,"payload":NaN}', "altered"),
    ],
)
def test_wrong_documents_are_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match=words) as info:
        load_document(path, "note")
    assert "file.json" in str(info.value)


def test_missing_document(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"no\.json.*No such file"):
        load_document(tmp_path / "no.json", "note")


def test_document_is_plain_json() -> None:
    assert json.loads(dump_document("note", 1, {"a": 1}))["payload"] == {"a": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_document("note", 1, float("nan"))


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_write_atomic_obeys_the_umask_and_follows_links(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "link", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_write_atomic_failure_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OutputError, match=r"cannot write '.*a': disk full; nothing half-written") as info:
            write_atomic(path, b"new")
    assert info.value.errno == errno.ENOSPC
    with pytest.raises(OutputError, match="No such file"):
        write_atomic(tmp_path / "nowhere" / "a", b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_directory_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with atomic_directory(out) as part:
        (part / "sub").mkdir()
        (part / "sub" / "a").write_text("1")
        assert not out.exists()
    assert (out / "sub" / "a").read_text() == "1"
    assert names(out.parent) == ["out"]


def test_directory_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_directory(tmp_path / "out") as part:
            (part / "a").write_text("1")
            raise BoomError

    with pytest.raises(BoomError):
        fail()
    assert names(tmp_path) == []


def test_existing_directory_is_refused_unless_asked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("1")
    with pytest.raises(OutputExistsError, match="exists; choose another path"), atomic_directory(out):
        pytest.fail("must not run")
    with pytest.raises(BoomError), atomic_directory(out, overwrite=True):
        raise BoomError
    assert names(out) == ["old"]
    with atomic_directory(out, overwrite=True) as part:
        (part / "new").write_text("2")
    assert names(out) == ["new"]
    assert names(tmp_path) == ["out"]


def test_a_file_in_the_way_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("1")
    with pytest.raises(OutputExistsError, match="is a file"), atomic_directory(tmp_path / "out", overwrite=True):
        pytest.fail("must not run")
    with pytest.raises(OutputExistsError, match="is a file"), atomic_directory(tmp_path / "out" / "deeper"):
        pytest.fail("must not run")
    with pytest.raises(OutputError, match="Not a directory"), atomic_directory(tmp_path / "out" / "much" / "deeper"):
        pytest.fail("must not run")


def test_directory_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def collide() -> None:
        with atomic_directory(out):
            out.mkdir()
            (out / "theirs").write_text("1")

    with pytest.raises(OutputExistsError):
        collide()
    assert names(out) == ["theirs"]
    assert names(tmp_path) == ["out"]


def test_failed_swap_puts_the_old_directory_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("1")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError("busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OutputError, match="busy"), atomic_directory(out, overwrite=True):
        pass
    assert names(out) == ["old"]
    assert names(tmp_path) == ["out"]
