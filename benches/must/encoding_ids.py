"""Musts of exactness: the ids of Hugging Face `tokenizers`, on every file and on random Unicode."""

import gzip
import lzma
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from must import Options, Result, must
from must.corpora import DATA, tokenizer_json
from tei.peers import HuggingFace, Peer, Tei

VOCABULARIES = ("bert-base-uncased", "bert-base-chinese")
OPENERS = {".xz": lzma.decompress, ".gz": gzip.decompress}
CHUNK = 1_000_000
# Characters that steps of normalization treat in a way of their own, and what words are made of.
SPECIAL = (
    "aAéßİ\u0131Σς \t\n\r\x00\x0b\x0c\x1c\x85\xa0\xad.,[]#'中豈한ก\u0301\u0345\u302e\u05b0\u200d\u2028\ufeff\ufffd😀𠀀"
)


def _differences(pair: tuple[Peer, Peer], texts: list[str]) -> list[str]:
    ours, theirs = (peer.lists(texts) for peer in pair)
    return [text for text, row, want in zip(texts, ours, theirs, strict=True) if row != want]


def _all_differences(vocabularies: Sequence[str], chunks: Iterable[list[str]]) -> tuple[int, list[str]]:
    """Number of texts seen, and those whose ids differ; each chunk with the next vocabulary in turn."""
    pairs = [(Tei(path, 1), HuggingFace(path, 1)) for path in map(tokenizer_json, vocabularies)]
    seen, wrong = 0, []
    # Both encoders let go of the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(pool.submit(_differences, pairs[i % len(pairs)], chunk), len(chunk)) for i, chunk in enumerate(chunks)]
        for job, count in jobs:
            seen += count
            wrong += job.result()
    return seen, wrong


def _report(seen: int, wrong: list[str], what: str) -> Result:
    worst = f"; the shortest that differs: {min(wrong, key=len)!a:.100}" if wrong else ""
    return Result(100 * (1 - len(wrong) / seen), note=f"{len(wrong):,} of {seen:,} {what} differ{worst}")


def _files() -> list[Path]:
    return sorted(path for path in DATA.rglob("*") if path.suffix in OPENERS)


def _lines_of_files(share: float) -> Iterator[list[str]]:
    """Lines of every file, in chunks; of each file the first part only if `share` is below 1."""
    for path in _files():
        raw = OPENERS[path.suffix](path.read_bytes())
        text = raw[: max(1_000, int(share * len(raw)))].decode("utf-8", errors="ignore")
        lines = text.split("\n")
        # Chunks of about a million characters, so that no result is large.
        step = max(1, CHUNK * len(lines) // len(text))
        yield from (lines[i : i + step] for i in range(0, len(lines), step))


@must(4, "ids: every file", ">=", 100.0, "% equal")
def every_file(options: Options) -> Result:
    """Lines of every file of the text sets, markup of JSON files included."""
    seen, wrong = _all_differences(VOCABULARIES[:1], _lines_of_files(0.02 if options.quick else 1))
    return _report(seen, wrong, f"lines of {len(_files())} files")


def _random_texts(count: int) -> Iterator[list[str]]:
    """Strings of 0 to 40 characters: of all of Unicode, of one script, or of what needs care, and mixtures of them."""
    generator = np.random.default_rng(0)
    special = np.array([ord(c) for c in SPECIAL], np.uint32)
    for _ in range(0, count, 5_000):
        yield _decode([_characters(generator, special) for _ in range(5_000)])


def _characters(random: np.random.Generator, special: NDArray[np.uint32]) -> NDArray[np.uint32]:
    length = int(random.integers(0, 41))
    script = int(random.integers(0, 0x3100)) & ~0x7F
    sources = (
        random.integers(0, 0x110000, length),
        script + random.integers(0, 0x80, length),
        special[random.integers(0, len(special), length)],
        random.integers(0x20, 0x7F, length),
    )
    # A weight of its own for each source in each text: some are pure, most are mixed.
    weights = random.random(4) ** 4
    return np.stack(sources)[random.choice(4, length, p=weights / weights.sum()), np.arange(length)].astype(np.uint32)


def _decode(rows: list[NDArray[np.uint32]]) -> list[str]:
    # A lone surrogate is no character, and `tokenizers` refuses it.
    return [np.where((row >> 11) == 27, 0xFFFD, row).astype("<u4").tobytes().decode("utf-32-le") for row in rows]


@must(4, "ids: random strings", ">=", 100.0, "% equal")
def random_strings(options: Options) -> Result:
    """A million random Unicode strings, half of them with each of two vocabularies."""
    seen, wrong = _all_differences(VOCABULARIES, _random_texts(20_000 if options.quick else 1_000_000))
    return _report(seen, wrong, "random strings")
