"""Sources: every kind of file, and what is said when one is broken."""

import csv
import gzip
import lzma
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

from tei import EmptySourceError, EncodingError, FileFormatError, InvalidInputError, TeiError, UnsupportedError, sources
from tei.sources import read_batches, read_texts

LINES = ["first line", "second, \u2028 with a separator", "déjà vu"]


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.xz", ""])
def test_reads_lines(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"text{suffix}"
    data = ("\n".join(LINES) + "\n").encode()
    path.write_bytes({".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)(data))
    assert read_texts(path) == read_texts(str(path)) == LINES
    assert read_texts([path, path]) == LINES * 2


ZST = bytes.fromhex("28b52ffd2004210000610a620a")


def test_reads_zst(tmp_path: Path) -> None:
    path = tmp_path / "text.txt.zst"
    for frames in (0, 1, 3, 5_000):
        # The one in the middle is to be skipped.
        path.write_bytes(ZST * frames + bytes.fromhex("502a4d18010000002a") + ZST * frames)
        assert list(chain.from_iterable(read_batches(path))) == ["a", "b"] * 2 * frames
    # 40 blocks that repeat one byte 100,000 times: many more bytes than are asked for at once.
    block = (100_000 << 3 | 1 << 1).to_bytes(3, "little") + b"a"
    end = (1).to_bytes(3, "little")
    path.write_bytes(bytes.fromhex("28b52ffd0058") + block * 40 + end)
    assert read_texts(path) == ["a" * 4_000_000]


def test_says_what_zst_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.txt.zst"
    path.write_bytes(ZST)
    for name in ("compression.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnsupportedError, match=r"text\.txt\.zst.*pip install 'tei\[zst\]'"):
        read_texts(path)


def test_reads_fields(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"text": "two", "x": 1}\n')
    (tmp_path / "b.csv").write_text('id,body\n1,"one, and\na half"\n2,two\n')
    assert read_texts(tmp_path / "a.jsonl") == ["one", "two"]
    assert read_texts(tmp_path / "b.csv", field="body") == ["one, and\na half", "two"]


def test_reads_long_fields_of_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, long, limit = tmp_path / "long.csv", "a\0b " * 50_000, csv.field_size_limit()
    path.write_text(f'text\none\n"{long}"\n')
    with ThreadPoolExecutor(4) as pool:
        assert all(texts == ["one", long] for texts in pool.map(read_texts, [path] * 8))
    assert csv.field_size_limit() == limit
    monkeypatch.setattr(sources, "FIELD_LIMIT", 1000)
    with pytest.raises(
        FileFormatError, match=r"long\.csv, line 3 cannot be read as CSV: field larger than field limit \(1000\)"
    ):
        read_texts(path)
    assert csv.field_size_limit() == limit


def test_lines_across_blocks_stay_whole(tmp_path: Path) -> None:
    lines = ["é" * 700_000, "b", "c" * 1_500_000]
    path = tmp_path / "long.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_texts(path) == lines


@pytest.mark.parametrize(
    ("name", "content", "error", "match"),
    [
        ("bad.txt", b"good\nbad \xff byte", EncodingError, "bad.txt is not UTF-8: byte 0xff at offset 9"),
        ("bad.jsonl", b'{"text": "a"}\n{"text', FileFormatError, "bad.jsonl, line 2 is not JSON"),
        ("deep.jsonl", b"[" * 100_000, FileFormatError, "deep.jsonl, line 1 is not JSON"),
        ("bad.jsonl", b'{"body": "a"}', InvalidInputError, r"no text in field 'text', only \['body'\]"),
        ("bad.jsonl", b"[1]", InvalidInputError, "only list"),
        ("bad.csv", b"a,b\n1,2", InvalidInputError, r"no column 'text', only \['a', 'b'\]"),
        ("bad.txt.gz", b"not gzip", FileFormatError, "bad.txt.gz"),
        ("bad.txt.zst", b"not zstd", FileFormatError, "bad.txt.zst"),
        ("cut.txt.zst", ZST + ZST[:-2], FileFormatError, "cut.txt.zst"),
        ("junk.txt.zst", ZST + b"junk", FileFormatError, "junk.txt.zst"),
        ("bad.txt.xz", lzma.compress(b"text" * 999)[:-20], FileFormatError, "bad.txt.xz"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes, error: type[TeiError], match: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=match):
        read_texts(tmp_path / name)


def test_offset_counts_all_blocks(tmp_path: Path) -> None:
    path = tmp_path / "late.txt"
    path.write_bytes(b"line\n" * 500_000 + b"\x80")
    with pytest.raises(EncodingError, match="offset 2500000"):
        list(read_batches(path))


def test_missing_and_empty_sources(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"nowhere\.txt"):
        read_texts(tmp_path / "nowhere.txt")
    for empty in ([], ["", " \n"]):
        with pytest.raises(EmptySourceError):
            read_texts(empty)
