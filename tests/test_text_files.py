"""Files to ids: the same rows as `encode_batch` gives for the texts that Python reads, or an error that names the place."""

import gzip
import importlib
import json
import lzma
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tei
from tei.sources import read_texts
from tei.special_tokens import AddedToken
from vocabularies import make

TOKENS = ["a", "b", "##b", "é", "中", ";"]
CELLS = ["ab", "a\nb", "é", "a " * 70_000] * 2
SEPARATORS = ["\n", "\n\n", ";", "é", "ab", "aa", "\r\n", "a;a", "\0"]


@pytest.fixture(scope="module")
def tok() -> tei.Tokenizer:
    mark = AddedToken(content="[MASK]")
    return tei.Tokenizer(replace(make(TOKENS).spec, added_tokens=(mark,)))


def split(whole: str, separator: str | None) -> list[str]:
    """The rule, word for word."""
    if separator is None:
        return [whole]
    texts = whole.split(separator)
    texts = texts[:-1] if not texts[-1] else texts
    return [text.removesuffix("\r") for text in texts] if separator == "\n" else texts


def assert_rows(got: tei.Ragged, want: tei.Ragged) -> None:
    assert got.ids.dtype == np.int32
    assert np.array_equal(got.ids, want.ids)
    assert np.array_equal(got.row_offsets, want.row_offsets)


wholes = st.lists(st.sampled_from(["a", "[MASK]", "b", "é", "中", " ", "\n", "\r", "\r\n", ";", "\0", "ab", "aa"])).map(
    "".join
)


@given(wholes, st.sampled_from([*SEPARATORS, None]), st.integers(1, 6))
def test_files_and_shards_equal_encode_batch(
    tok: tei.Tokenizer, tmp_path_factory: pytest.TempPathFactory, whole: str, separator: str | None, size: int
) -> None:
    folder = tmp_path_factory.mktemp("files")
    path = folder / "text"
    path.write_bytes(whole.encode())
    want = tok.encode_batch(split(whole, separator) * 2)
    for parallel in (False, True):
        assert_rows(tok.encode_files([path, path], separator, parallel=parallel), want)
    shards = tok.encode_files([path, path], separator, out=folder / "out", shard_tokens=size)
    assert_rows(shards.to_ragged(), want)
    assert [row.tolist() for row in shards] == want.to_list()


@pytest.mark.parametrize("separator", ["\n", "\n\n", None])
def test_large_files_do_not_depend_on_threads(tok: tei.Tokenizer, tmp_path: Path, separator: str | None) -> None:
    random.seed(0)
    pieces, weights = ["a", "ab ", "é", "\n", "\n\n\n", "\r\n", "中" * 50_000], [300, 300, 200, 100, 50, 50, 0.05]
    whole = "".join(random.choices(pieces, weights, k=200_000))
    path = tmp_path / "text"
    path.write_bytes(whole.encode())
    want = tok.encode_batch(split(whole, separator))
    for parallel in (False, True):
        assert_rows(tok.encode_files(path, separator, parallel=parallel), want)


def zst(data: bytes) -> bytes:
    try:
        compress = importlib.import_module("compression.zstd").compress
    except ModuleNotFoundError:
        compress = importlib.import_module("zstandard").ZstdCompressor().compress
    half = len(data) // 2
    return b"".join(map(compress, (data[:half], data[half:])))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zst])
def test_every_kind_of_file(tok: tei.Tokenizer, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    texts = ["ab é", "", "a\nb", "\ud800 a", "中" * 9, 'quote " \\ \t'] * 3000
    suffix = {gzip.compress: ".gz", lzma.compress: ".xz", zst: ".zst"}.get(pack, "")
    lines = [json.dumps({"no": i, "body": text}, ensure_ascii=i % 2 == 0) for i, text in enumerate(texts)]
    rows = ["no,body", *(f'{i},"{text}"' for i, text in enumerate(CELLS))]
    contents = {
        "a.jsonl": "\n\n".join(lines).encode("utf-8", "replace") + b"\n",
        "b.ndjson": "\r\n".join(lines).encode("utf-8", "replace"),
        "c.csv": "\n".join(rows).encode(),
        "d": "\n".join(["ab", "é"] * 90_000).encode(),
    }
    paths = [tmp_path / f"{name}{suffix}" for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        path.write_bytes(pack(content))
    clean = [text if i % 2 == 0 else text.replace("\ud800", "?") for i, text in enumerate(texts)]
    want = tok.encode_batch([*clean, *clean, *CELLS, *["ab", "é"] * 90_000])
    for parallel in (False, True):
        assert_rows(tok.encode_files(paths, field="body", parallel=parallel), want)
    shards = tok.encode_files(map(str, paths), field="body", out=tmp_path / "out", shard_tokens=20_000)
    assert_rows(shards.to_ragged(), want)
    assert len(shards.shards) > 3


def test_both_readers_of_jsonl_take_the_same(tok: tei.Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "unusual.jsonl"
    numbers = f'{{"text": "ab", "x": {"1" * 9_999}, "y": [1e999, -0.5, null]}}'
    path.write_text("\n".join([numbers, '{"text": "a\tb"}', f'{{"x": {"[" * 100}{"]" * 100}, "text": "é"}}']), "utf-8")
    texts = read_texts(path)
    assert texts == ["ab", "a\tb", "é"]
    assert_rows(tok.encode_files(path), tok.encode_batch(texts))


@pytest.mark.parametrize(
    ("name", "content", "error", "match"),
    [
        ("bad.txt", b"good\nbad \xff byte", tei.EncodingError, r"bad\.txt is not UTF-8: byte 0xff at offset 9"),
        ("late.txt", b"ab\n" * 90_000 + b"a\xe4", tei.EncodingError, "byte 0xe4 at offset 270001"),
        ("cut.txt.gz", gzip.compress(b"a\n" * 999)[:-9], tei.FileFormatError, r"cut\.txt\.gz"),
        ("no.txt.gz", b"not gzip", tei.FileFormatError, r"no\.txt\.gz"),
        ("cut.txt.zst", zst(b"a\n" * 9)[:-1], tei.FileFormatError, r"cut\.txt\.zst"),
        ("no.txt.zst", b"not zstd", tei.FileFormatError, r"no\.txt\.zst"),
        ("flipped.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff", tei.FileFormatError, r"flipped\.gz"),
        ("bad.jsonl", b'\n{"text": "a"}\n{"text', tei.FileFormatError, r"bad\.jsonl, line 3 is not JSON"),
        ("late.jsonl", b'{"text": "a"}\n' * 20_000 + b"x", tei.FileFormatError, "line 20001 is not JSON"),
        ("a.jsonl", b'{"body": "a"}', tei.InvalidInputError, r'no text in field "text", only \["body"\]'),
        ("a.jsonl", b"[1]", tei.InvalidInputError, "no object"),
        ("a.csv", b"a,b\n1,2", tei.InvalidInputError, "no column 'text'"),
    ],
)
@pytest.mark.parametrize("parallel", [False, True])
def test_broken_files_are_named(
    tok: tei.Tokenizer,
    tmp_path: Path,
    name: str,
    content: bytes,
    error: type[tei.TeiError],
    match: str,
    parallel: bool,
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=match):
        tok.encode_files(tmp_path / name, parallel=parallel)
    with pytest.raises(error, match=match):
        tok.encode_files(tmp_path / name, out=tmp_path / "out", parallel=parallel)
    assert not (tmp_path / "out").exists()


def test_unreadable_and_wrong_arguments_are_named(tok: tei.Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "fine").write_text("ab\n")
    for path, error in ((tmp_path / "nowhere", "nowhere"), (tmp_path, "directory"), ("nul\0", "nul")):
        with pytest.raises(tei.FileFormatError, match=error):
            tok.encode_files([tmp_path / "fine", path], out=tmp_path / "out")
        assert not (tmp_path / "out").exists()
    for arguments, match in (
        ({"paths": [b"x"]}, r"paths\[0\]"),
        ({"separator": ""}, "separator is empty"),
        ({"separator": "\ud800"}, "separator"),
        ({"dtype": "int64"}, "int64"),
        ({"shard_tokens": 0}, "shard_tokens is 0"),
        ({"shard_tokens": "x"}, "shard_tokens is 'x', must be an integer"),
        ({"shard_tokens": 1.5}, "shard_tokens is 1.5, must be an integer"),
    ):
        with pytest.raises(tei.InvalidInputError, match=match):
            tok.encode_files(**{"paths": tmp_path / "fine", **arguments})
    assert len(tok.encode_files([])) == 0
    shards = tok.encode_files(tmp_path / "fine", out=tmp_path / "out", shard_tokens=np.int64(9))
    assert isinstance(shards, tei.TokenShards)
