"""The main job: a pre-trained model and its tokenizer, fitted to data, in memory or from directory to directory."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel

from tei.counts import WordCounts
from tei.errors import FileFormatError, InvalidInputError, MismatchError
from tei.files import atomic_directory, make_directory
from tei.plan import ResizePlan
from tei.planning import either
from tei.policy import Policy
from tei.sizing import Size
from tei.sources import Source, read_batches
from tei.tokenizer import Tokenizer
from tei.torch.apply import apply
from tei.torch.archive import Archive
from tei.torch.configuration import special_ids
from tei.torch.embedding import vocabulary_tensors
from tei.torch.initial import Init

__all__ = ["Adapted", "adapt", "adapt_directory", "load_model"]

# Texts on which a written directory must encode as it should, beside the first of the source.
SAMPLES = 256
PROBES = (
    "",
    "The quick brown fox",
    "naïve café ﬁne ②",
    "unfathomably-long words, 3.14159 & more",
    "東京 \u00ad x\u0000y",
)

WEIGHTS = frozenset({".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".ot", ".pt", ".pth", ".safetensors"})
REWRITTEN = frozenset(
    {"added_tokens.json", "config.json", "generation_config.json", "special_tokens_map.json", "tei.json"}
    | {"tokenizer.json", "tokenizer_config.json", "vocab.txt"}
)


@dataclass(frozen=True, eq=False)
class Adapted:
    """What adapting came to: `model, tokenizer, plan = adapt(...)`.

    Attributes:
        model: The same model object, changed in place.
        tokenizer: The new tokenizer.
        plan: What became of every token, and why.
        archive: The rows of dropped tokens, and of those that were given; tokens that come back later get them again.
    """

    model: nn.Module
    tokenizer: Tokenizer
    plan: ResizePlan
    archive: Archive

    def __iter__(self) -> Iterator[Any]:
        return iter((self.model, self.tokenizer, self.plan))


def adapt(
    model: nn.Module,
    tokenizer: Any,
    source: Source | WordCounts,
    *,
    size: Size = "auto",
    grow: int | Literal["auto"] = "auto",
    policy: Policy | None = None,
    held_out: Source | WordCounts | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    protect: Iterable[str] = (),
    bounds: Any = None,
    archive: Archive | None = None,
    init: Init = "weighted",
    pad_to_multiple_of: int | None = None,
    field: str | None = None,
) -> Adapted:
    """Fits a model and its tokenizer to data: counts words, plans, and applies the plan to both.

    Args:
        model: The model; it is changed in place.
        tokenizer: A tei tokenizer, or anything that `Tokenizer.from_pretrained` takes.
        source: Texts, files of texts, or word counts.
        size: Number of tokens to keep, `auto`: as few as the data allow, or a budget.
        grow: Number of tokens to add, or `auto`: as many as pay.
        policy: Decides instead of size and growth, see `tei.policy`.
        held_out: Other texts of the same kind, by which `auto` judges a size.
        optimizer: Its state follows the model.
        protect: Tokens to keep in any case, beside those that model or tokenizer need.
        bounds: How far `auto` may go, a `tei.policy.Bounds`.
        archive: Rows of tokens that were dropped before; those that come back get them.
        init: Rows of added tokens, see `tei.torch.apply`.
        pad_to_multiple_of: Adds zero rows until the number of rows is a multiple of this.
        field: Field (JSONL) or column (CSV) of the texts.

    Returns:
        Model, new tokenizer and plan.

    Raises:
        MismatchError: Model and tokenizer do not belong together.
        SizeError: A size that cannot be reached.
        EmptySourceError: No word in the source.
    """
    if not isinstance(archive, Archive | None):
        raise InvalidInputError(
            f"archive is {type(archive).__name__}, must be an Archive: Archive.load(path) reads one"
        )
    tok = tokenizer if isinstance(tokenizer, Tokenizer) else Tokenizer.from_pretrained(tokenizer)
    rows = vocabulary_tensors(model, None, tok.vocab_size)[0].rows[: tok.vocab_size]
    needed = {tok.tokens[i] for i in special_ids(model) if 0 <= i < tok.vocab_size}
    plan = tok.plan(
        _counts(source, tok, field),
        policy=either(policy, size, grow, usual="auto"),
        weights=rows,
        protect=tuple(sorted({*protect, *needed})),
        held_out=None if held_out is None else _counts(held_out, tok, field),
        bounds=bounds,
    )
    dropped = apply(plan, model, optimizer, init=init, archive=archive, pad_to_multiple_of=pad_to_multiple_of)
    kept = dropped if archive is None else archive.merged(dropped)
    return Adapted(model, tok.apply(plan, archive=dropped), plan, kept)


def adapt_directory(
    model_dir: str | os.PathLike[str],
    source: Source | WordCounts,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    field: str | None = None,
    archive: str | os.PathLike[str] | None = None,
    **options: Any,
) -> ResizePlan:
    """Fits a saved model to data and writes a directory that transformers and sentence-transformers open.

    The directory appears only when it is complete, and only after `AutoTokenizer` was seen to give the same ids there as
    tei. Files that do not depend on the vocabulary are copied.

    Args:
        model_dir: Directory with weights, configuration and tokenizer. Nothing is downloaded.
        source: Texts, files of texts, or word counts.
        out: Directory to write.
        overwrite: Replace `out` if it exists.
        field: Field (JSONL) or column (CSV) of the texts.
        archive: File of dropped rows: tokens that come back get theirs from it, if it exists, and those of tokens that go
            are added to it.
        **options: As for `adapt`.

    Returns:
        The plan.

    Raises:
        OutputExistsError: `out` exists and `overwrite` is False.
        InvalidInputError: The archive lies in `out`.
        FileFormatError: `model_dir` holds no model that can be opened.
        MismatchError: Model and tokenizer do not belong together.
    """
    folder = Path(model_dir)
    if archive is not None:
        if Path(archive).resolve().is_relative_to(Path(out).resolve()):
            raise InvalidInputError(
                f"archive {str(archive)!r} lies in {str(out)!r}, which is replaced: give another path"
            )
        make_directory(Path(archive).parent)
    with atomic_directory(out, overwrite=overwrite) as part:
        tok = Tokenizer.from_pretrained(folder)
        texts, samples = _sampled(source, field)
        rows = Archive.load(archive) if archive is not None and Path(archive).exists() else None
        adapted = adapt(load_model(folder), tok, texts, field=field, archive=rows, **options)
        _copy_others(folder, part)
        with _quiet():
            adapted.model.save_pretrained(part)  # type: ignore[operator]
        adapted.tokenizer.save(part)
        _check_directory(part, [*samples, *PROBES])
        if archive is not None:
            adapted.archive.save(archive)
    return adapted.plan


def load_model(directory: str | os.PathLike[str]) -> PreTrainedModel:
    """Opens a saved model with the class it was saved from, heads included, in the type it was saved in.

    Args:
        directory: Directory with `config.json` and weights. Nothing is downloaded.

    Raises:
        FileFormatError: There is no model, or one that transformers cannot open.
    """
    folder = Path(directory)
    if not (folder / "config.json").is_file():
        raise FileFormatError(
            f"{str(folder)!r} holds no model: config.json is missing; give a directory saved by transformers"
        )
    try:
        # Weights that the file lacks are drawn at random by transformers; a fixed seed makes them the same each time.
        with _quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
            kind = _model_class(config.architectures)
            model: Any = kind.from_pretrained(folder, dtype="auto", local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise FileFormatError(f"cannot open the model in {str(folder)!r}: {error}") from error
    loaded: PreTrainedModel = model.eval()
    return loaded


def _model_class(architectures: Sequence[str] | None) -> Any:
    for name in architectures or ():
        kind = getattr(transformers, name, None)
        if isinstance(kind, type) and issubclass(kind, PreTrainedModel):
            return kind
    return transformers.AutoModel


def _counts(source: Source | WordCounts, tok: Tokenizer, field: str | None) -> WordCounts:
    return source if isinstance(source, WordCounts) else tok.count(source, field=field)


def _sampled(source: Source | WordCounts, field: str | None) -> tuple[Source | WordCounts, list[str]]:
    """The source, still whole, and its first texts."""
    if isinstance(source, WordCounts):
        return source, [word for word, _ in source.most_common(SAMPLES)]
    if isinstance(source, Iterator):
        first = list(islice(source, SAMPLES))
        return chain(first, source), [text for text in first if isinstance(text, str)]
    return source, list(next(read_batches(source, field=field), ()))[:SAMPLES]


def _copy_others(folder: Path, part: Path) -> None:
    """Copies what does not depend on the vocabulary: cards, and the further modules of sentence-transformers."""
    for path in folder.iterdir():
        stale = path.name in REWRITTEN or path.suffix in WEIGHTS or path.name.endswith(".index.json")
        if path.is_file() and not stale:
            shutil.copyfile(path, part / path.name)
    for name in _module_folders(folder / "modules.json"):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, part / name)


def _module_folders(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        names = [module.get("path", "") for module in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, AttributeError, TypeError) as error:
        raise FileFormatError(f"{str(path)!r} is not a list of modules: {error}") from error
    # A folder elsewhere is not part of the model directory and must not be copied.
    return [name for name in names if name and Path(name).name == name and name != ".."]


def _check_directory(part: Path, texts: list[str]) -> None:
    with _quiet():
        theirs = transformers.AutoTokenizer.from_pretrained(part, local_files_only=True)
    ours = Tokenizer.load(part)
    # `verbose` would warn of texts longer than the model can read, which are only compared here.
    expected, found = theirs(texts, verbose=False)["input_ids"], ours(texts)["input_ids"]
    for text, one, two in zip(texts, expected, found, strict=True):
        if list(one) != list(two):
            raise MismatchError(f"AutoTokenizer and tei encode {text[:80]!r} differently: {one[:20]} and {two[:20]}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers from drawing progress bars and reporting on weights."""
    log: Any = transformers.utils.logging
    bars, verbosity = log.is_progress_bar_enabled(), log.get_verbosity()
    log.disable_progress_bar()
    log.set_verbosity_error()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
