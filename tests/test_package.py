"""The package as a whole: how light its import is, and that its documents agree with it."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import tei

ROOT = Path(__file__).resolve().parent.parent

IMPORT = """
import json, sys, time
import numpy
before = set(sys.modules)
start = time.perf_counter()
import tei
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(set(sys.modules) - before)}))
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
    # The quickest of several: a busy machine can only add time.
    assert min(import_in_a_fresh_process()["seconds"] for _ in range(5)) < 0.030


def test_newest_changelog_heading_is_the_version():
    headings = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    cargo = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text("utf-8"), re.MULTILINE)
    assert cargo
    assert headings[0] == cargo[1]
    assert tei.__version__ == cargo[1]


def test_installed_metadata_has_the_version():
    try:
        version = importlib.metadata.version("tei")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree on PYTHONPATH
        return
    assert version == tei.__version__


def test_readme_holds_exactly_the_two_commands():
    commands = re.findall(r"^python3 -m venv \.venv && .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [command.split("/")[-1] for command in commands] == ["tei demo", "python -m pytest"]


def test_every_public_name_exists():
    assert sorted(tei.__all__) == sorted(set(tei.__all__))
    assert all(getattr(tei, name) is not None for name in tei.__all__)
