"""Texts the musts are measured on: real ones, outside the repository, found through the environment variable TEI_DATA."""

import itertools
import json
import lzma
import os
import random
import re
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


def _lines(path: str, least: int) -> list[str]:
    return [line for line in read_text(path).split("\n") if len(line) >= least]


READERS: dict[str, Callable[[], list[str]]] = {
    "kernel": lambda: _paragraphs("train/en_kernel_doc.txt.xz"),
    "novels": lambda: _paragraphs("train/en_novels_a_f.txt.xz"),
    "speeches": lambda: _paragraphs("train/en_speeches.txt.xz"),
    "wikitext": lambda: [
        text for part in ("valid", "test") for text in _lines(f"train/en_wikitext2_{part}.txt.xz", 60)
    ],
    "tweets": lambda: _lines("train/patho_tweets_val_test.txt.xz", 20),
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
