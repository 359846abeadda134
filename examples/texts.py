"""Reads the examples' texts, which are no part of the repository: the environment variable TEI_DATA names their directory."""

import argparse
import json
import lzma
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def lines(path: str) -> list[str]:
    """Lines of an xz-compressed file below the directory; only a line feed ends one."""
    file = Path(os.environ["TEI_DATA"]) / path
    return lzma.decompress(file.read_bytes()).decode("utf-8").rstrip("\n").split("\n")


def objects(path: str) -> list[dict[str, Any]]:
    """Objects of a JSONL file."""
    return [json.loads(line) for line in lines(path)]


def tagged(path: str) -> list[tuple[list[str], list[str]]]:
    """Words and tags of each sentence of a CoNLL file."""
    blocks = [block.split("\n") for block in "\n".join(lines(path)).split("\n\n")]
    pairs = [[line.rsplit(None, 1) for line in block if line.strip()] for block in blocks]
    return [([word for word, _ in block], [tag for _, tag in block]) for block in pairs if block]


def items(batch: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
    """A padded batch of tensors, and more of equal length, as a data set: one dictionary a row."""
    columns = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch} | more
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def arguments(description: str | None, *, epochs: float, learning_rate: float) -> argparse.ArgumentParser:
    """The options that all examples have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=epochs, help=f"passes over the texts (default: {epochs})")
    parser.add_argument("--learning-rate", type=float, default=learning_rate, help=f"(default: {learning_rate})")
    parser.add_argument("--limit", type=int, help="use only the first texts of each part")
    return parser
