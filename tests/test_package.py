"""The package as a whole: how light its import is, and that its documents agree with it."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tei

ROOT = Path(__file__).resolve().parent.parent

IMPORT = """
import json, sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
before = set(sys.modules)
import tei
end = time.perf_counter()
print(json.dumps({"numpy": middle - start, "tei": end - middle, "modules": sorted(set(sys.modules) - before)}))
"""


def import_in_a_fresh_process() -> dict:
    return json.loads(subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True).stdout)


def test_import_loads_no_heavy_package():
    loaded = {name.partition(".")[0] for name in import_in_a_fresh_process()["modules"]}
    assert "tei" in loaded
    heavy = {
        "torch",
        "transformers",
        "tokenizers",
        "safetensors",
        "accelerate",
        "typer",
        "rich",
        "matplotlib",
        "pandas",
    }
    assert not loaded & heavy


def test_import_takes_under_30_ms_beyond_numpy():
    # A busy machine can only add time: the quickest of several counts, and where numpy is slow, tei may be as well.
    runs = [import_in_a_fresh_process() for _ in range(5)]
    assert any(run["tei"] < max(0.030, 0.4 * run["numpy"]) for run in runs), runs


def test_newest_changelog_heading_is_the_version():
    headings = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    cargo = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text("utf-8"), re.MULTILINE)
    assert cargo
    assert headings[0] == cargo[1]


def test_version_is_that_of_the_installed_package():
    try:
        installed = importlib.metadata.version("tei")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tei is imported from a source tree, not installed")
    assert tei.__version__ == installed


def test_readme_holds_exactly_the_two_commands():
    commands = re.findall(r"^python3 -m venv \.venv && .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [command.split("/")[-1] for command in commands] == ["tei demo", "python -m pytest"]


def test_every_public_name_exists():
    assert sorted(tei.__all__) == sorted(set(tei.__all__))
    assert all(getattr(tei, name) is not None for name in tei.__all__)
