"""What each command of `tei` does; needs the extra `cli`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tei.errors import InvalidInputError, OutputExistsError
from tei.files import write_atomic
from tei.report import Row, compare_directories, curve_table, diagnosis_table, save_curve, table
from tei.scheme import Scheme
from tei.sources import read_texts
from tei.tokenizer import Tokenizer

__all__ = ["app"]

app = typer.Typer(
    help="Fit a Transformer's vocabulary, and its embedding rows, to your text.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
# Progress and notes go where they cannot spoil what is piped on.
notes = Console(stderr=True)

Data = Annotated[Path, typer.Option(help="Text file: one text a line, .jsonl or .csv, plain or .gz, .xz, .zst.")]
Field = Annotated[str | None, typer.Option(help="Field (JSONL) or column (CSV) that holds the text; default 'text'.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]


@app.command()
def adapt(
    model_dir: Annotated[Path, typer.Argument(help="Model directory, as transformers saves it.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Directory to write.")],
    field: Field = None,
    size: Annotated[str, typer.Option(help="Tokens to keep, or 'auto': as few as the text allows.")] = "auto",
    grow: Annotated[str, typer.Option(help="Tokens to add, or 'auto': as many as pay.")] = "auto",
    archive: Annotated[
        Path | None, typer.Option(help="File for the rows of dropped tokens; those that come back get theirs from it.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit a saved model to a text file and write a smaller model with the same behaviour."""
    sizes = _number_or_auto(size, "--size"), _number_or_auto(grow, "--grow")
    _refuse_existing(out, overwrite)
    with _step(f"reading {data}"):
        training, held_out = _hold_out(read_texts(data, field=field))
    os.environ["HF_HUB_OFFLINE"] = "1"
    with _step("adapting vocabulary and model"):
        from tei.torch.adapt import adapt_directory

        plan = adapt_directory(
            model_dir, training, out, size=sizes[0], grow=sizes[1], archive=archive, overwrite=overwrite
        )
    notes.print(plan.summary(), highlight=False, markup=False)
    with _step("comparing with the original"):
        rows = compare_directories(model_dir, out, held_out)
    console.print(table(rows, title=f"{out}, on {len(held_out):,} held-out texts"))


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Directory to write.")],
    field: Field = None,
    vocab_size: Annotated[int, typer.Option(help="Number of tokens.")] = 8_000,
    min_count: Annotated[int, typer.Option(help="Merge no pair rarer than this.")] = 2,
    cased: Annotated[bool, typer.Option("--cased", help="Keep case and accents.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Induce a vocabulary from a text file and write a tokenizer that transformers opens."""
    _refuse_existing(out, overwrite)
    with _step(f"reading {data}"):
        texts = read_texts(data, field=field)
    with _step("training"):
        scheme = Scheme.bert(lowercase=not cased)
        tokenizer = Tokenizer.train(texts, vocab_size=vocab_size, min_count=min_count, scheme=scheme)
    tokenizer.save(out)
    console.print(f"{tokenizer.vocab_size:,} tokens in {out}", highlight=False)


@app.command()
def encode(
    tokenizer: Annotated[Path, typer.Argument(help="Tokenizer or model directory, tokenizer.json or vocab.txt.")],
    data: Data,
    field: Field = None,
    out: Annotated[Path | None, typer.Option(help="What to write; standard output if not given.")] = None,
    show: Annotated[Literal["ids", "tokens"], typer.Option(help="What to write of each token.")] = "ids",
    shards: Annotated[
        bool, typer.Option("--shards", help="Write .npy arrays into the directory --out; go on where it was stopped.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Encode a text file: one line of ids (or tokens), separated by blanks, for each text; or token shards."""
    if shards and out is None:
        raise InvalidInputError("--shards writes a directory: name it with --out")
    if out is not None and not shards:
        _refuse_existing(out, overwrite)
    opened = Tokenizer.from_pretrained(tokenizer)
    if shards:
        with _step(f"encoding {data}"):
            written = opened.encode_files(data, field=field, out=out, overwrite=overwrite)
        console.print(written, highlight=False, markup=False)
        return
    rows = opened.encode_files(data, field=field)
    names = opened.tokens if show == "tokens" else [str(number) for number in range(opened.vocab_size)]
    lines = "".join(" ".join(names[token] for token in row) + "\n" for row in rows)
    if out is None:
        typer.echo(lines, nl=False)
    else:
        write_atomic(out, lines.encode("utf-8"))


@app.command()
def report(
    tokenizer: Annotated[Path, typer.Argument(help="Tokenizer or model directory, tokenizer.json or vocab.txt.")],
    data: Data,
    field: Field = None,
    picture: Annotated[Path | None, typer.Option(help="Write the size curve as .png, .svg or .pdf.")] = None,
) -> None:
    """Show how well a vocabulary fits a text file, and what each smaller size would cost."""
    opened = Tokenizer.from_pretrained(tokenizer)
    with _step(f"counting {data}"):
        from tei.counts import count_words

        counts = count_words(read_texts(data, field=field), opened.scheme)
        usage = opened.usage(counts)
    rows = [
        Row("tokens in the vocabulary", f"{opened.vocab_size:,}", ""),
        Row("unused tokens", f"{len(usage.unused):,}", ""),
        Row("tokens that no text leads to", f"{len(usage.unreachable):,}", ""),
        Row("tokens per word (fertility)", f"{usage.fertility:.3f}", ""),
        Row("bytes per token (compression)", f"{usage.compression:.3f}", ""),
        Row("words without unknown token (coverage)", f"{usage.coverage:.4%}", ""),
    ]
    console.print(table(rows, title=f"{tokenizer} on {data}", columns=("value", "", "")))
    with _step("trimming token by token"):
        from tei.evidence import Evidence
        from tei.planning import planned
        from tei.policy import Trim
        from tei.sizing import diagnose

        evidence = Evidence.gather(opened, counts)
        curve, diagnosis = planned(evidence, Trim()).curve, diagnose(evidence)
    console.print(curve_table(curve))
    console.print(diagnosis_table(diagnosis))
    if picture is not None:
        console.print(f"picture of the size curve: {save_curve(curve, picture)}", highlight=False)


@app.command()
def bench(
    tokenizer: Annotated[Path, typer.Argument(help="Tokenizer or model directory, tokenizer.json or vocab.txt.")],
    data: Data,
    field: Field = None,
    threads: Annotated[int, typer.Option(min=1, help="Processors to use.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each encoder.")] = 5,
    megabytes: Annotated[float, typer.Option(min=0, help="Measure on the first so many MB of text.")] = 10.0,
) -> None:
    """Measure the speed of encoding a text file, beside every other WordPiece encoder that is installed."""
    from tei.bench import compare, first_megabytes, measured_table

    opened = Tokenizer.from_pretrained(tokenizer)
    texts = first_megabytes(read_texts(data, field=field), megabytes)
    with _step(f"measuring on {len(texts):,} texts"):
        measured, refused = compare(opened, texts, threads=threads, rounds=rounds)
    console.print(measured_table(measured, title=f"{data}, {threads} thread{'s' * (threads > 1)}"))
    for name, reason in refused.items():
        notes.print(f"{name} {reason}", highlight=False, markup=False)


@app.command()
def demo(
    picture: Annotated[Path, typer.Option(help="File for the picture of the size curve.")] = Path("tei-size-curve.png"),
    no_picture: Annotated[bool, typer.Option("--no-picture", help="Write no picture.")] = False,
) -> None:
    """Adapt a real MiniLM-L6 to a shipped text set, then fine-tune the original and the adapted model."""
    from tei import demo as main_job

    main_job.run(console, picture=None if no_picture else picture)


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Show a running clock beside the name of what is being done; it stays, with its time, when done."""
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=notes) as progress:
        task = progress.add_task(name, total=None)
        yield
        progress.update(task, total=1, completed=1)


def _number_or_auto(value: str, option: str) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if not value.isdecimal():
        raise InvalidInputError(f"{option} is {value!r}: give a number of tokens, or auto")
    return int(value)


def _refuse_existing(out: Path, overwrite: bool) -> None:
    # Said before the work begins; the writer checks again at its end.
    if out.exists() and not overwrite:
        raise OutputExistsError(f"{out} exists: choose another path, or give --overwrite")


def _hold_out(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split texts: every tenth is held out for the closing table; of fewer than 20 texts, all serve as both."""
    if len(texts) < 20:
        return list(texts), list(texts)
    return [text for i, text in enumerate(texts) if i % 10 != 9], list(texts[9::10])
