"""What `compare.py` races on: a kind of text, cut into calls of one shape, encoded in one way."""

import itertools
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from must.corpora import LANGUAGES, corpus
from tei.bench import first_megabytes, utf8_bytes
from tei.peers import Peer

__all__ = ["AXES", "Case", "Load", "product", "star"]

# Bytes of a single string, texts of a batch, or everything in one call.
STRINGS = {"16 B": 16, "138 B": 138, "1 kB": 1_000, "10 kB": 10_000, "1 MB": 1_000_000}
BATCHES = {"batches of 32": 32, "batches of 256": 256, "batches of 4096": 4096}
COLUMNS = 128
# No call of a single string is worth repeating more often with another string.
MOST_STRINGS = 2_000


@dataclass(frozen=True)
class Case:
    """One race.

    Args:
        corpus: Which texts.
        shape: What one call gets.
        mode: What one call returns.
        threads: Processors to use.
        state: `warm`, or `cold`: an encoder opened for the call, its caches empty.
    """

    corpus: str = "technical English"
    shape: str = "one list"
    mode: str = "ragged"
    threads: int = 1
    state: str = "warm"

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.corpus}, {self.shape}, {self.mode}, {threads}, {self.state}"


AXES: Mapping[str, tuple[Any, ...]] = {
    "corpus": tuple(LANGUAGES),
    "shape": (*STRINGS, *BATCHES, "one list"),
    "mode": ("ragged", "lists", "padded", "offsets", "files"),
    "threads": (1, 2),
    "state": ("warm", "cold"),
}


def star() -> list[Case]:
    """The usual races: each axis on its own, all others at their first or most telling place."""
    base = Case()
    cases = [replace(base, **{axis: value}) for axis in ("corpus", "shape", "state") for value in AXES[axis]]
    cases += [replace(base, mode=mode, shape="batches of 256") for mode in ("lists", "padded", "offsets")]
    cases += [replace(base, mode="files", corpus=name) for name in ("technical English", "Chinese")]
    cases += [replace(case, threads=2) for case in list(cases) if case.shape in {"one list", *BATCHES}]
    return list(dict.fromkeys(cases))


def product(chosen: Mapping[str, Sequence[Any] | None]) -> list[Case]:
    """All combinations of the values given for some axes; the others stay at their usual place."""
    names = [field.name for field in fields(Case)]
    values = [chosen.get(name) or [getattr(Case(), name)] for name in names]
    return [Case(*row) for row in itertools.product(*values)]


@dataclass(frozen=True)
class Load:
    """The texts of a case: a list for each call, or a file of the same."""

    calls: tuple[list[str], ...]
    path: Path | None = None

    @property
    def texts(self) -> list[str]:
        """All texts."""
        return [text for call in self.calls for text in call]

    def run(self, peer: Peer, mode: str) -> Callable[[], Any]:
        """All calls of a case, one after the other, as one function."""
        if mode == "files":
            return lambda: peer.files(self.path or Path())
        encode = getattr(peer, mode) if mode != "padded" else lambda texts: peer.padded(texts, COLUMNS)
        if len(self.calls) == 1:
            return lambda: encode(self.calls[0])

        def run() -> None:
            for texts in self.calls:
                encode(texts)

        return run


@contextmanager
def load(case: Case, megabytes: float) -> Iterator[Load]:
    """Cuts the texts of a case; a file lives as long as the context."""
    texts = first_megabytes(_shuffled(case.corpus), megabytes)
    if case.mode != "files":
        yield Load(tuple(_cut(texts, case.shape)))
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "texts.txt"
        path.write_text("\n".join(texts), encoding="utf-8", newline="\n")
        yield Load((texts,), path)


def _shuffled(name: str) -> list[str]:
    # A part of them shall be like all of them.
    texts = list(corpus(name))
    random.Random(0).shuffle(texts)
    return texts


def _cut(texts: list[str], shape: str) -> Iterable[list[str]]:
    if shape in BATCHES:
        size = BATCHES[shape]
        return (texts[i : i + size] for i in range(0, len(texts), size))
    if shape in STRINGS:
        return ([string] for string in itertools.islice(_strings(texts, STRINGS[shape]), MOST_STRINGS))
    return (texts,)


def _strings(texts: list[str], size: int) -> Iterator[str]:
    """Strings of about `size` bytes of UTF-8."""
    joined = " ".join(texts)
    width = max(1, round(size * len(joined) / utf8_bytes([joined])))
    return (joined[i : i + width] for i in range(0, max(1, len(joined) - width + 1), width))
