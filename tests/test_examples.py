"""Every example runs, shortened."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *options: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *options]
    # One thread: two of them spin against each other, ten times slower, when the machine is busy with other things.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("adapt", [False, True])
def test_article(adapt: bool, minilm: Path) -> None:
    text = run(
        "article.py", "--limit", "160", "--epochs", "1", "--learning-rate", "5e-4", *(["--adapt"] if adapt else [])
    )
    indices = re.search(r"indices: \[(.*)\]", text)
    assert indices is not None
    numbers = [int(number) for number in indices[1].split(",")]
    assert len(numbers) == 64
    assert numbers[-1] == -1
    first, last = map(float, re.search(r"loss ([\d.]+) -> ([\d.]+)", text).groups())
    assert last < first
    assert "{" not in text
    assert ("dropped" in text) == adapt
    assert re.search(r"accuracy [\d.]+ % on 160 other texts", text)
