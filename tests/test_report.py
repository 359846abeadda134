import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest

import tei
from tei import report


def write_safetensors(path: Path, header: dict[str, object]) -> None:
    data = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(data)) + data)


@pytest.fixture
def curve() -> dict[str, np.ndarray]:
    size = np.arange(1000, 100, -1)
    return {"size": size, "tokens": 5000 + (1000 - size) ** 2, "drift": (1000.0 - size) / 7}


def test_parameters_are_counted_over_shards_without_integer_tensors(tmp_path):
    entry = {"data_offsets": [0, 0]}
    write_safetensors(tmp_path / "a.safetensors", {"__metadata__": {}, "w": {"dtype": "F32", "shape": [3, 4], **entry}})
    write_safetensors(
        tmp_path / "b.safetensors",
        {"v": {"dtype": "BF16", "shape": [5], **entry}, "position_ids": {"dtype": "I64", "shape": [512], **entry}},
    )
    assert report.count_parameters(tmp_path) == 17
    assert report.directory_bytes(tmp_path) == sum(p.stat().st_size for p in tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"1234567", struct.pack("<Q", 2**60), struct.pack("<Q", 4) + b"nope", struct.pack("<Q", 1) + b"\xff"]
)
def test_a_broken_header_is_a_format_error(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(tei.errors.FileFormatError, match=r"model\.safetensors"):
        report.count_parameters(tmp_path)


def test_a_directory_without_weights_is_a_format_error(tmp_path):
    with pytest.raises(tei.errors.FileFormatError, match="save_pretrained"):
        report.count_parameters(tmp_path)


def test_sampled_curve_ascends_and_keeps_both_ends(curve):
    sample = report.sample_curve(curve, points=8)
    assert (np.diff(sample["size"]) > 0).all()
    assert (sample["size"][0], sample["size"][-1]) == (101, 1000)
    assert len(sample["size"]) == 8
    assert (sample["tokens"] == 5000 + (1000 - sample["size"]) ** 2).all()


@pytest.mark.parametrize(
    ("curve", "points"),
    [({}, 3), ({"size": np.arange(3)}, 3), ({"size": np.arange(0), "tokens": np.arange(0)}, 3), ({"size": [1], "tokens": [1]}, 1)],
)
def test_a_curve_without_rows_is_refused(curve, points):
    with pytest.raises(tei.errors.InvalidInputError, match="size curve"):
        report.sample_curve(curve, points=points)


def test_curve_of_one_row():
    assert report.sample_curve({"size": np.array([7]), "tokens": np.array([9])})["size"].tolist() == [7]


def test_curve_table_marks_the_chosen_size(curve):
    rich = pytest.importorskip("rich.console")
    out = io.StringIO()
    rich.Console(width=100, file=out).print(report.curve_table(curve, chosen=500, points=6))
    lines = [line for line in out.getvalue().splitlines() if "chosen" in line]
    assert len(lines) == 1
    assert int(lines[0].split("│")[1].replace(",", "")) >= 500


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_picture_is_written_in_the_format_of_its_suffix(tmp_path, curve, suffix, magic):
    pytest.importorskip("matplotlib")
    path = report.save_curve(curve, tmp_path / f"curve{suffix}", chosen=400)
    assert path.read_bytes().startswith(magic)


def test_change_is_empty_without_a_base():
    assert report.format_change(0, 5) == ""
    assert report.format_change(4, 3) == "-25.0 %"
