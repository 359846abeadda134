import collections
import importlib.resources

import pytest

from tei import demo


def test_shipped_texts_are_complete_and_disjoint():
    train, test = demo.load_texts("train"), demo.load_texts("test")
    assert (len(train), len(test)) == (2439, 799)
    assert train.names == test.names
    assert len(train.names) == 20
    assert set(collections.Counter(test.labels)) == set(range(20))
    assert not set(train.texts) & set(test.texts)
    assert len(set(train.texts)) == len(train)


def test_shipped_texts_carry_their_licence():
    notice = importlib.resources.files("tei").joinpath("data", "NOTICE.txt").read_text("utf-8")
    for part in ("CC BY 4.0", "Casanueva", "https://github.com/PolyAI-LDN/task-specific-datasets", "Changes:"):
        assert part in notice


def test_head_keeps_texts_and_labels_together():
    texts = demo.load_texts("test")
    head = texts.head(5)
    assert len(head) == 5
    assert (head.texts, head.labels, head.names) == (texts.texts[:5], texts.labels[:5], texts.names)


def test_demo_runs_shortened(minilm, tmp_path):
    pytest.importorskip("torch")
    console = pytest.importorskip("rich.console").Console(record=True, width=120)
    original, adapted = demo.run(console, picture=tmp_path / "curve.png", training_texts=96, test_texts=64)
    shown = console.export_text()
    assert adapted.parameters < 0.6 * original.parameters
    assert 0 <= min(original.accuracy, adapted.accuracy) <= 1
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    for part in (
        "vocabulary (tokens)",
        "parameters",
        "on disk (MB)",
        "fidelity: Spearman",
        "accuracy (%)",
        "seconds",
        "chosen",
    ):
        assert part in shown
