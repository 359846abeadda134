import io

import numpy as np
import pytest

import tei
from tei import report


@pytest.fixture
def curve() -> dict[str, np.ndarray]:
    size = np.arange(1000, 100, -1)
    return {"size": size, "tokens": 5000 + (1000 - size) ** 2, "drift": (1000.0 - size) / 7}


def test_directory_bytes_counts_all_levels(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"45")
    assert report.directory_bytes(tmp_path) == 5


def test_sampled_curve_ascends_and_keeps_both_ends(curve):
    sample = report.sample_curve(curve, points=8)
    assert (np.diff(sample["size"]) > 0).all()
    assert (sample["size"][0], sample["size"][-1]) == (101, 1000)
    assert len(sample["size"]) == 8
    assert (sample["tokens"] == 5000 + (1000 - sample["size"]) ** 2).all()


@pytest.mark.parametrize(
    ("curve", "points"),
    [
        ({}, 3),
        ({"size": np.arange(3)}, 3),
        ({"size": np.arange(0), "tokens": np.arange(0)}, 3),
        ({"size": [1], "tokens": [1]}, 1),
    ],
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
    assert int(lines[0].split("│")[1].replace(",", "")) == 500


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_picture_is_written_in_the_format_of_its_suffix(tmp_path, curve, suffix, magic):
    pytest.importorskip("matplotlib")
    path = report.save_curve(curve, tmp_path / f"curve{suffix}", chosen=400)
    assert path.read_bytes().startswith(magic)


def test_change_is_empty_without_a_base():
    assert report.format_change(0, 5) == ""
    assert report.format_change(4, 3) == "-25.0 %"
