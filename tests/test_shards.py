"""Token shards: whole or absent, whatever stops the writer; and they go on where it was stopped."""

import errno
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tei
from tei import shards, text_files
from vocabularies import make

TOKENS = ["a", "b", "##b", "é", "中"]
TEXTS = ["ab a", "", "é 中", "b"] * 500


@pytest.fixture
def tok() -> tei.Tokenizer:
    return make(TOKENS)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS), "utf-8")
    return path


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_rows_are_read_from_the_files(tok: tei.Tokenizer, lines: Path, tmp_path: Path) -> None:
    want = tok.encode_batch(TEXTS)
    found = tok.encode_files(lines, out=tmp_path / "out", shard_tokens=300, dtype="smallest")
    assert (found.dtype, len(found), found.n_tokens) == (np.uint8, len(TEXTS), len(want.ids))
    assert found[-1].tolist() == want[len(want) - 1].tolist()
    assert all(np.array_equal(*pair) for pair in zip(found, want, strict=True))
    assert all(len(shard.ids) < 304 and shard.ids.dtype == np.uint8 for shard in found.shards)
    with pytest.raises(IndexError):
        found[len(TEXTS)]
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 0
    for other in (tei.TokenShards(tmp_path / "out"), pickle.loads(pickle.dumps(found))):
        assert np.array_equal(other.to_ragged().ids, want.ids)
    # Complete shards are only opened.
    before = contents(tmp_path / "out")
    assert len(tok.encode_files(lines, out=tmp_path / "out", shard_tokens=300, dtype="smallest")) == len(TEXTS)
    assert contents(tmp_path / "out") == before


def test_a_shard_ends_with_many_texts_too(tok: tei.Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "blank").write_text("\n" * 25)
    found = tok.encode_files(tmp_path / "blank", out=tmp_path / "out", shard_tokens=10)
    assert [len(shard) for shard in found.shards] == [10, 10, 5]
    (tmp_path / "none").write_text("")
    assert len(tok.encode_files(tmp_path / "none", out=tmp_path / "nothing")) == 0


@pytest.mark.parametrize("calls", [0, 1, 5, 9])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_goes_on_after_any_stop(
    tok: tei.Tokenizer, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int, stop: BaseException
) -> None:
    want = tok.encode_files([lines, lines], out=tmp_path / "want", shard_tokens=300)
    finish, left = shards._Column.finish, iter(range(calls))

    def stopping(column: shards._Column, path: Path) -> int:
        if next(left, None) is None:
            raise stop
        return finish(column, path)

    with monkeypatch.context() as patch:
        patch.setattr(shards._Column, "finish", stopping)
        with pytest.raises(KeyboardInterrupt if stop is KeyboardInterrupt else tei.OutputError):
            tok.encode_files([lines, lines], out=tmp_path / "out", shard_tokens=300)
    if calls < 2:
        assert not (tmp_path / "out").exists()
    else:
        whole = calls // 2
        assert names(tmp_path / "out") == sorted(
            ["shards.json", *(f"{c}-{i:05d}.npy" for c in ("ids", "row_offsets") for i in range(whole))]
        )
        with pytest.raises(tei.FileFormatError, match="never finished"):
            tei.TokenShards(tmp_path / "out")
    assert len(tok.encode_files([lines, lines], out=tmp_path / "out", shard_tokens=300)) == len(want)
    assert contents(tmp_path / "out") == contents(tmp_path / "want")


WRITER = """
import sys, time, tei
from tei import shards, text_files
sys.path.insert(0, sys.argv[3])
from vocabularies import make
text_files.SHARD_BYTES = 256
{patch}
make({tokens}).encode_files(sys.argv[1], out=sys.argv[2], shard_tokens=300)
"""

# Stands still in the middle of the third shard.
STALL = """
append = shards._Column.append
def stall(column, items):
    append(column, items)
    if column.count > 150 and len(list(column._part.parent.glob("ids-*"))) == 2:
        column._file.flush()
        print("stalled", flush=True)
        time.sleep(600)
shards._Column.append = stall
"""

# No file may grow beyond this: less than a shard, but more than the manifest.
FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
"""


# Dies while the manifest is written for the first time.
FIRST = """
import os
os.fsync = lambda _: (print("stalled", flush=True), time.sleep(600))
"""


def _kill_stalled(lines: Path, out: Path, patch: str) -> None:
    with subprocess.Popen(_program(lines, out, patch), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stalled\n"
        process.kill()


def _program(lines: Path, out: Path, patch: str) -> list[str]:
    program = WRITER.format(tokens=TOKENS, patch=patch)
    return [sys.executable, "-c", program, str(lines), str(out), str(Path(__file__).parent)]


def test_goes_on_after_a_kill(tok: tei.Tokenizer, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _kill_stalled(lines, out, STALL)
    assert {".ids.part", "ids-00001.npy", "shards.json"} < set(names(out))
    # As of a kill while the manifest was replaced.
    (out / ".shards.json.0123abcd.part").write_bytes(b"{")
    found = tok.encode_files(lines, out=out, shard_tokens=300)
    want = tok.encode_files(lines, out=tmp_path / "want", shard_tokens=300)
    assert len(found) == len(want)
    assert contents(out) == contents(tmp_path / "want")


def test_overwrites_what_a_kill_left(tok: tei.Tokenizer, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _kill_stalled(lines, out, STALL)
    (out / ".shards.json.0123abcd.part").write_bytes(b"{")
    (out / "notes.txt").write_text("mine")
    before = contents(out)
    with pytest.raises(tei.OutputExistsError, match=r"notes\.txt"):
        tok.encode_files(lines, out=out, overwrite=True)
    assert contents(out) == before
    (out / "notes.txt").unlink()
    assert len(tok.encode_files(lines, out=out, overwrite=True)) == len(TEXTS)
    assert names(out) == ["ids-00000.npy", "row_offsets-00000.npy", "shards.json"]
    # As of a kill in the middle of overwriting.
    (out / "shards.json").unlink()
    with pytest.raises(tei.OutputExistsError, match=r"no shards\.json: ask for overwriting"):
        tok.encode_files(lines, out=out)
    assert len(tok.encode_files(lines, out=out, overwrite=True)) == len(TEXTS)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_at_the_first_manifest_leaves_nothing_in_the_way(
    tok: tei.Tokenizer, lines: Path, tmp_path: Path, overwrite: bool
) -> None:
    out = tmp_path / "out"
    _kill_stalled(lines, out, FIRST)
    (left,) = names(out)
    assert re.fullmatch(r"\.shards\.json\..*\.part", left)
    assert len(tok.encode_files(lines, out=out, overwrite=overwrite)) == len(TEXTS)
    assert names(out) == ["ids-00000.npy", "row_offsets-00000.npy", "shards.json"]


@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_at_the_first_manifest_leaves_nothing(lines: Path, tmp_path: Path, there: bool) -> None:
    pytest.importorskip("resource")
    if there:
        (tmp_path / "out").mkdir()
    program = _program(lines, tmp_path / "out", FULL.replace("1024", "1"))
    run = subprocess.run(program, capture_output=True, text=True, check=False)
    assert re.search("OutputError.*cannot write token shards to .*out.*File too large", run.stderr), run.stderr
    assert (tmp_path / "out").exists() == there
    assert not there or names(tmp_path / "out") == []


def test_a_full_disk_leaves_whole_shards_only(lines: Path, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    run = subprocess.run(_program(lines, tmp_path / "out", FULL), capture_output=True, text=True, check=False)
    assert re.search("OutputError.*cannot write token shards to .*out.*File too large", run.stderr), run.stderr
    assert not (tmp_path / "out").exists()


def test_other_sources_are_refused(tok: tei.Tokenizer, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tok.encode_files(lines, out=out, shard_tokens=300)
    for other, arguments, match in (
        (make([*TOKENS, "x"]), {}, "tokenizer"),
        (tok, {"separator": ";"}, "separator"),
        (tok, {"shard_tokens": 301}, "shard_tokens"),
        (tok, {"dtype": "smallest"}, "dtype"),
        (tok, {"paths": [lines, lines]}, "inputs"),
    ):
        with pytest.raises(tei.MismatchError, match=f"made with {match}"):
            other.encode_files(**{"paths": lines, "out": out, "shard_tokens": 300, **arguments})
    lines.write_text("a\n")
    with pytest.raises(tei.MismatchError, match="inputs"):
        tok.encode_files(lines, out=out, shard_tokens=300)
    assert len(tok.encode_files(lines, out=out, overwrite=True)) == 1
    assert names(out) == ["ids-00000.npy", "row_offsets-00000.npy", "shards.json"]


def test_foreign_directories_are_left_alone(tok: tei.Tokenizer, lines: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for out in (lines, tmp_path / "full"):
        for overwrite in (False, True):
            with pytest.raises(tei.OutputExistsError, match=out.name):
                tok.encode_files(lines, out=out, overwrite=overwrite)
    assert contents(tmp_path / "full") == {"mine": b"mine"}


def test_two_writers_do_not_meet(tok: tei.Tokenizer, lines: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    writer = shards.ShardWriter(tmp_path / "out", {"dtype": "int32"}, shard_tokens=1)
    with writer, pytest.raises(tei.OutputExistsError, match="another process"):
        tok.encode_files(lines, out=tmp_path / "out")


def test_broken_shards_are_named(tok: tei.Tokenizer, lines: Path, tmp_path: Path) -> None:
    tok.encode_files(lines, out=tmp_path / "out", shard_tokens=300)
    path = tmp_path / "out" / "ids-00002.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(tei.FileFormatError, match=r"ids-00002\.npy"):
        tei.TokenShards(tmp_path / "out")
    path.write_bytes(whole.replace(b"<i4", b"<f4"))
    with pytest.raises(tei.FileFormatError, match="float32"):
        tei.TokenShards(tmp_path / "out").to_ragged()
    path.unlink()
    with pytest.raises(tei.FileFormatError, match="missing"):
        tei.TokenShards(tmp_path / "out")
    with pytest.raises(tei.FileFormatError, match=r"shards\.json"):
        tei.TokenShards(tmp_path)


def test_resuming_skips_in_every_kind_of_file(
    tok: tei.Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "a.jsonl": "\n\n".join(f'{{"text": "{text}"}}' for text in TEXTS),
        "b.csv": "text\n" + "\n".join(f'"{text}"' for text in TEXTS),
        "c.txt": "\n".join(TEXTS),
    }
    paths = [tmp_path / name for name in files]
    for path in paths:
        path.write_text(files[path.name], "utf-8")
    want = tok.encode_files(paths, out=tmp_path / "want", shard_tokens=400)
    for stop in (3, 8, 13):
        end, count = shards.ShardWriter._end_shard, iter(range(stop))

        def stopping(writer: shards.ShardWriter, end=end, count=count) -> None:
            end(writer)
            if next(count, None) is None:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(shards.ShardWriter, "_end_shard", stopping)
            patch.setattr(text_files, "SHARD_BYTES", 1000)
            with pytest.raises(KeyboardInterrupt):
                tok.encode_files(paths, out=tmp_path / f"out{stop}", shard_tokens=400)
        found = tok.encode_files(paths, out=tmp_path / f"out{stop}", shard_tokens=400)
        assert len(found) == len(want)
        assert contents(tmp_path / f"out{stop}") == contents(tmp_path / "want")
