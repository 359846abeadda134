"""Tables and pictures of an adaptation: what a model was before, what it is after, and what each size would cost.

Rows are plain data, so that a program can read them; `rich` draws them and `matplotlib` draws the size curve. Each of
these, and torch, is loaded only by the function that needs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tei.errors import InvalidInputError
from tei.tokenizer import Tokenizer

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "ModelFacts",
    "Row",
    "compare",
    "compare_directories",
    "curve_table",
    "diagnosis_table",
    "directory_bytes",
    "format_change",
    "sample_curve",
    "save_curve",
    "table",
]

Curve = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a model and its tokenizer weigh.

    Args:
        vocabulary: Number of tokens.
        parameters: Number of floating-point parameters; a tied matrix counts once.
        disk_bytes: Bytes of the model directory, or of the weights alone if it was never saved.
        tokens_per_text: Mean number of tokens of a held-out text, without special tokens.
    """

    vocabulary: int
    parameters: int
    disk_bytes: int
    tokens_per_text: float


@dataclass(frozen=True)
class Row:
    """One line of a before/after table, ready to print.

    Args:
        name: What was measured.
        before: Its value before, with its unit.
        after: Its value after, with its unit.
        change: The relative change in percent, or empty where it means nothing.
    """

    name: str
    before: str
    after: str
    change: str = ""


def format_change(before: float, after: float) -> str:
    """Return the relative change from `before` to `after` in percent.

    Example:
        >>> format_change(200, 150)
        '-25.0 %'
        >>> format_change(0, 1)
        ''
    """
    return f"{100 * (after / before - 1):+.1f} %" if before else ""


def _quantity(name: str, before: float, after: float, pattern: str) -> Row:
    return Row(name, pattern.format(before), pattern.format(after), format_change(before, after))


def compare(
    before: ModelFacts, after: ModelFacts, *, cosine: float | None = None, spearman: float | None = None
) -> list[Row]:
    """Return the rows of the before/after table.

    Args:
        before: The original model.
        after: The adapted model.
        cosine: Mean cosine between the outputs of the two models on the same texts, in [-1, 1].
        spearman: Spearman correlation between their pairwise text similarities, in [-1, 1].

    Returns:
        One row each for vocabulary, parameters, bytes on disk and tokens per text, then the fidelity that was given.

    Example:
        >>> old = ModelFacts(vocabulary=100, parameters=4000, disk_bytes=16_000_000, tokens_per_text=8)
        >>> new = ModelFacts(vocabulary=50, parameters=3000, disk_bytes=12_000_000, tokens_per_text=7.5)
        >>> for row in compare(old, new, cosine=0.98):
        ...     print(row.name, row.before, row.after, row.change, sep=" | ")
        vocabulary (tokens) | 100 | 50 | -50.0 %
        parameters | 4,000 | 3,000 | -25.0 %
        on disk (MB) | 16.0 | 12.0 | -25.0 %
        tokens per text | 8.00 | 7.50 | -6.2 %
        fidelity: cosine | 1 | 0.9800 |
    """
    rows = [
        _quantity("vocabulary (tokens)", before.vocabulary, after.vocabulary, "{:,}"),
        _quantity("parameters", before.parameters, after.parameters, "{:,}"),
        _quantity("on disk (MB)", before.disk_bytes / 1e6, after.disk_bytes / 1e6, "{:,.1f}"),
        _quantity("tokens per text", before.tokens_per_text, after.tokens_per_text, "{:.2f}"),
    ]
    fidelity = (("cosine", cosine), ("Spearman", spearman))
    return rows + [Row(f"fidelity: {name}", "1", f"{value:.4f}") for name, value in fidelity if value is not None]


def table(rows: Sequence[Row], *, title: str = "", columns: Sequence[str] = ("before", "after", "change")) -> "Table":
    """Lay rows out as a `rich` table.

    Args:
        rows: What to show, from top to bottom.
        title: Heading of the table.
        columns: Headings of the three columns of values.

    Returns:
        A table that `rich.print` draws.
    """
    from rich.table import Table

    drawn = Table(title=title or None, title_justify="left")
    drawn.add_column("")
    for column in columns:
        drawn.add_column(column, justify="right")
    for row in rows:
        drawn.add_row(row.name, row.before, row.after, row.change)
    return drawn


def directory_bytes(directory: str | Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file())


def compare_directories(before: str | Path, after: str | Path, texts: Sequence[str]) -> list[Row]:
    """Compare two saved models on texts that neither was adapted to; needs the extra `torch`.

    Args:
        before: Directory of the original model and its tokenizer.
        after: Directory of the adapted model and its tokenizer.
        texts: Held-out texts; fidelity is measured on the first 256.

    Returns:
        The rows of [`compare`][tei.report.compare].
    """
    from tei.torch import fidelity

    (old_model, old), (new_model, new) = _open(before), _open(after)
    same = fidelity(old_model, new_model, old, new, texts[:256])
    facts = [_facts(*opened, texts) for opened in ((before, old_model, old), (after, new_model, new))]
    return compare(*facts, cosine=same.cosine, spearman=same.spearman)


def _open(directory: str | Path) -> tuple[Any, Tokenizer]:
    from tei.torch.adapt import load_model

    return load_model(directory), Tokenizer.from_pretrained(directory)


def _facts(directory: str | Path, model: Any, tokenizer: Tokenizer, texts: Sequence[str]) -> ModelFacts:
    return ModelFacts(
        vocabulary=tokenizer.vocab_size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        disk_bytes=directory_bytes(directory),
        tokens_per_text=len(tokenizer.encode_batch(texts).ids) / len(texts),
    )


def sample_curve(curve: Curve, *, points: int = 12, chosen: int | None = None) -> dict[str, NDArray[Any]]:
    """Pick rows of a size curve at sizes that grow by an even factor.

    Args:
        curve: Columns of one length, among them `size` and `tokens`, in any order of size.
        points: Number of rows wanted, at least 2.
        chosen: A size whose row (or the next larger one's) is among them in any case.

    Returns:
        The same columns with at most `points` rows, and one for `chosen`, from the smallest size to the largest, both included.

    Raises:
        InvalidInputError: `curve` lacks a column, is empty, or `points` is below 2.

    Example:
        >>> curve = {"size": np.arange(1, 101), "tokens": np.arange(200, 100, -1)}
        >>> sample_curve(curve, points=3)["size"].tolist()
        [1, 10, 100]
    """
    missing = {"size", "tokens"} - curve.keys()
    if missing or not len(curve["size"]) or points < 2:
        raise InvalidInputError(f"size curve lacks {sorted(missing) or 'rows'} or points ({points}) is below 2")
    order = np.argsort(curve["size"], kind="stable")
    sizes = np.asarray(curve["size"])[order]
    wanted = np.geomspace(max(sizes[0], 1), max(sizes[-1], 1), points)
    wanted = wanted if chosen is None else np.append(wanted, chosen)
    rows = np.unique(np.clip(np.searchsorted(sizes, np.rint(wanted)), 0, len(sizes) - 1))
    return {name: np.asarray(column)[order][rows] for name, column in curve.items()}


def curve_table(curve: Curve, *, chosen: int | None = None, points: int = 12) -> "Table":
    """Draw a size curve in the terminal: a bar of extra tokens for each size.

    Args:
        curve: Columns `size`, `tokens` and perhaps `drift`, as in `ResizePlan.curve`.
        chosen: The size that was chosen; it gets a row, which is marked.
        points: Number of rows.

    Returns:
        A table that `rich.print` draws.
    """
    from rich.table import Table

    sample = sample_curve(curve, points=points, chosen=chosen)
    extra = sample["tokens"] / np.asarray(curve["tokens"]).min() - 1
    widest = max(float(extra.max()), 1e-9)
    marked = int(np.searchsorted(sample["size"], chosen)) if chosen is not None else -1
    drawn = Table(title="what each size costs in the text adapted to, before growth", title_justify="left")
    for heading in ("tokens kept", "sequence length", ""):
        drawn.add_column(heading, justify="left" if not heading else "right")
    for index, (size, share) in enumerate(zip(sample["size"], extra, strict=True)):
        bar = "█" * max(1, round(30 * float(share) / widest)) if share > 0 else ""
        drawn.add_row(f"{size:,}", f"{share:+.1%}", bar + (" ← chosen" if index == marked else ""))
    return drawn


def diagnosis_table(found: Curve) -> "Table":
    """Draw what [`diagnose`][tei.sizing.diagnose] tells of some sizes, one row each, the smallest first.

    Returns:
        A table that `rich.print` draws.
    """
    from rich.table import Table

    drawn = Table(title="how tokens are spread at each size", title_justify="left")
    for name in found:
        drawn.add_column(name.replace("_", " "), justify="right")
    for size, *values in reversed([*zip(*found.values(), strict=True)]):
        drawn.add_row(f"{size:,}", *("" if np.isnan(value) else f"{value:.3g}" for value in values))
    return drawn


def save_curve(curve: Curve, path: str | Path, *, chosen: int | None = None) -> Path:
    """Draw a size curve into a picture file: sequence length, and drift where it is known, by vocabulary size.

    Args:
        curve: Columns `size`, `tokens` and perhaps `drift`, as in `ResizePlan.curve`.
        path: File to write; its suffix (`.png`, `.svg`, `.pdf`) gives the format.
        chosen: The size that was chosen, drawn as a vertical line.

    Returns:
        The path written.
    """
    from matplotlib.figure import Figure

    sample = sample_curve(curve, points=400)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(sample["size"], 100 * (sample["tokens"] / sample["tokens"].min() - 1), color="tab:blue")
    axes.set(xscale="log", xlabel="tokens kept", title="What each vocabulary size costs, before growth")
    axes.set_ylabel("extra tokens in the text (%)", color="tab:blue")
    axes.grid(visible=True, alpha=0.3)
    if "drift" in sample:
        drift = axes.twinx()
        drift.plot(sample["size"], sample["drift"], color="tab:orange")
        drift.set_ylabel("drift of the embedding", color="tab:orange")
    if chosen is not None:
        axes.axvline(chosen, color="black", linestyle="--", linewidth=1, label=f"chosen: {chosen:,}")
        axes.legend(loc="upper right")
    figure.savefig(path, dpi=150, metadata=_metadata(Path(path)))
    return Path(path)


def _metadata(path: Path) -> dict[str, Any]:
    # Without a date the same curve gives the same bytes.
    return {"Date": None} if path.suffix == ".svg" else {}
