"""Texts the musts are measured on: real ones, outside the repository, found through the environment variable TEI_DATA."""

import json
import lzma
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("TEI_DATA") or ROOT.parent / "shared" / "data")


def read_text(path: str) -> str:
    """Return the text of an xz-compressed file below the data directory."""
    return lzma.decompress((DATA / path).read_bytes()).decode("utf-8")


def kernel_docs(characters: int = 2_000_000) -> tuple[list[str], list[str]]:
    """Return paragraphs of kernel documentation: at most `characters` of training text, and a quarter of all, held out."""
    blocks = re.split(r"\n\s*\n", read_text("train/en_kernel_doc.txt.xz"))
    paragraphs = [text for text in (" ".join(block.split()) for block in blocks) if len(text) > 60]
    random.Random(0).shuffle(paragraphs)
    cut = len(paragraphs) * 3 // 4
    training: list[str] = []
    length = 0
    for text in paragraphs[:cut]:
        length += len(text)
        if length > characters:
            break
        training.append(text)
    return training, paragraphs[cut:]


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
