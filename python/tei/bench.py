"""Measures encoders side by side, so that what else runs on the machine slows all of them alike.

Rounds are interleaved in one process, each starts with another encoder, and a ratio is the median over rounds of the
ratio within a round. `tei bench` is a thin front of this file; `benches/` builds on it. The encoders are in `peers.py`.
"""

import gc
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tei.errors import InvalidInputError
from tei.peers import PEERS, Peer, Tei
from tei.tokenizer import Tokenizer

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "Measured",
    "clock_for",
    "compare",
    "equal_rows",
    "first_megabytes",
    "interleave",
    "measured_table",
    "on_cpus",
    "open_peers",
    "ratio",
    "rotations",
    "seconds_of",
    "utf8_bytes",
]

Call = Callable[[], object]
Seconds = tuple[float, ...]


def interleave(
    calls: Mapping[str, Call],
    *,
    rounds: int = 5,
    floor: float = 0.005,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Seconds]:
    """Times each call once in every round, after one round that does not count.

    Args:
        calls: What to time; each result is dropped outside the time taken.
        rounds: Number of rounds that count, at least 1.
        floor: A call shorter than this many seconds is repeated until one measurement lasts as long.
        clock: What tells the time, see [`clock_for`][tei.bench.clock_for].

    Returns:
        Seconds of one call, for each round.

    Example:
        >>> seconds = interleave({"sum": lambda: sum(range(100)), "max": lambda: max(range(100))}, rounds=3, floor=0)
        >>> {name: len(times) for name, times in seconds.items()}
        {'sum': 3, 'max': 3}
    """
    once = {name: seconds_of(call, clock=clock) for name, call in calls.items()}
    repeats = {name: max(1, math.ceil(floor / max(seconds, 1e-9))) for name, seconds in once.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for name in rotations(calls, rounds):
        seconds[name].append(seconds_of(calls[name], repeats=repeats[name], clock=clock))
    return {name: tuple(times) for name, times in seconds.items()}


def clock_for(threads: int) -> Callable[[], float]:
    """The clock that judges encoders on so many threads.

    On one it is the processor time of the whole process: other programs are not counted, a hidden second thread is.
    """
    return time.process_time if threads == 1 else time.perf_counter


def rotations(names: Iterable[str], rounds: int) -> Iterator[str]:
    """Every name once a round; each round begins with the next name.

    Example:
        >>> "".join(rotations("abc", 3))
        'abcbcacab'
    """
    listed = list(names)
    return (listed[(i + shift) % len(listed)] for shift in range(rounds) for i in range(len(listed)))


def seconds_of(call: Call, *, repeats: int = 1, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that a call takes, on average over `repeats`, without collection of garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = clock()
        for _ in range(repeats - 1):
            call()
        result = call()
        seconds = clock() - start
        del result
    finally:
        if enabled:
            gc.enable()
    return seconds / repeats


def ratio(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """How many times as fast as the reference, by the median over rounds.

    Example:
        >>> ratio([1.0, 2.0, 2.0], reference=[2.0, 4.0, 2.0])
        2.0
    """
    return statistics.median(other / own for own, other in zip(seconds, reference, strict=True))


def utf8_bytes(texts: Sequence[str]) -> int:
    """Number of UTF-8 bytes of all texts.

    Example:
        >>> utf8_bytes(["a", "é中"])
        6
    """
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


def first_megabytes(texts: Iterable[str], megabytes: float) -> list[str]:
    """The first texts that together have at least so many 10⁶ bytes, or all.

    Example:
        >>> first_megabytes(["abc", "de", "f"], 4e-6)
        ['abc', 'de']
    """
    taken: list[str] = []
    room = megabytes * 1e6
    for text in texts:
        if room <= 0:
            break
        taken.append(text)
        room -= utf8_bytes([text])
    return taken


def equal_rows(peer: Peer, reference: Peer, texts: Sequence[str]) -> float:
    """Share of the texts to which two encoders give the same ids."""
    if not texts:
        return 1.0
    rows, want = peer.lists(texts), reference.lists(texts)
    return float(np.mean([list(row) == other for row, other in zip(rows, want, strict=True)]))


@contextmanager
def on_cpus(count: int) -> Iterator[None]:
    """Keeps this thread, and the threads it starts, on at most `count` processors, where the system can.

    Thread pools size themselves by it when they are made, so it also limits encoders that have no option for that.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[: max(1, count)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def open_peers(
    kinds: Sequence[type[Peer]], tokenizer_json: Path, *, threads: int
) -> tuple[dict[str, Peer], dict[str, str]]:
    """Opens each installed encoder with the same tokenizer.

    Returns:
        Encoders by name; and by name why an installed one cannot be measured.
    """
    peers: dict[str, Peer] = {}
    refused: dict[str, str] = {}
    for kind in kinds:
        if not kind.installed():
            continue
        try:
            peers[kind.name] = kind(tokenizer_json, threads)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises, the others are still measured
            refused[kind.name] = f"cannot open this tokenizer: {' '.join(str(error).split())}"
    return peers, refused


@dataclass(frozen=True)
class Measured:
    """What an encoder did with a list of texts.

    Attributes:
        name: Name of the encoder.
        seconds: Seconds for all texts, a round each, by [`clock_for`][tei.bench.clock_for].
        megabytes: Size of the texts in 10⁶ bytes of UTF-8.
        tokens: Number of ids.
        equal: Share of the texts to which it gives the ids that tei gives.
        speedup: How many times as fast as it tei is.
    """

    name: str
    seconds: Seconds
    megabytes: float
    tokens: int
    equal: float
    speedup: float

    @property
    def rate(self) -> float:
        """10⁶ bytes of text in a second, median over rounds."""
        return self.megabytes / statistics.median(self.seconds)


def compare(
    tokenizer: Tokenizer, texts: Sequence[str], *, threads: int = 1, rounds: int = 5
) -> tuple[list[Measured], dict[str, str]]:
    """Measures tei and every installed peer on the same texts, with the same vocabulary.

    Args:
        tokenizer: The tokenizer; peers get it as a `tokenizer.json`.
        texts: Texts to encode, at least one.
        threads: Processors to use; peers without an option for it are kept on as many.
        rounds: Rounds that count; one before them does not.

    Returns:
        A measurement for each encoder, the fastest first; and by name why an installed peer is missing.

    Raises:
        InvalidInputError: If there is no text.

    Example:
        >>> tok = Tokenizer.train(["low lower lowest"], vocab_size=20, min_count=1)
        >>> measured, _ = compare(tok, ["lower", "low"], rounds=1)
        >>> {"tei": 1.0}.items() <= {entry.name: entry.equal for entry in measured}.items()
        True
    """
    if not texts:
        msg = "there is no text to measure with: give at least one"
        raise InvalidInputError(msg)
    listed = list(texts)
    with on_cpus(threads), tempfile.TemporaryDirectory() as directory:
        tokenizer.save(directory)
        peers, refused = open_peers((Tei, *PEERS), Path(directory) / "tokenizer.json", threads=threads)
        equal = {name: equal_rows(peer, peers["tei"], listed) for name, peer in peers.items()}
        calls = {name: _ragged(peer, listed) for name, peer in peers.items()}
        seconds = interleave(calls, rounds=rounds, clock=clock_for(threads))
    megabytes, tokens = utf8_bytes(listed) / 1e6, len(tokenizer.encode_batch(listed).ids)
    measured = [
        Measured(name, times, megabytes, tokens, equal[name], ratio(seconds["tei"], times))
        for name, times in seconds.items()
    ]
    return sorted(measured, key=lambda entry: -entry.rate), refused


def _ragged(peer: Peer, texts: list[str]) -> Callable[[], Any]:
    return lambda: peer.ragged(texts)


def measured_table(measured: Sequence[Measured], *, title: str) -> "Table":
    """A table to print with `rich`, an encoder a row."""
    from rich.table import Table

    drawn = Table(title=title)
    for column in ("encoder", "MB/s", "million tokens/s", "speedup by tei", "texts with tei's ids"):
        drawn.add_column(column, justify="left" if column == "encoder" else "right")
    for entry in measured:
        tokens = entry.rate * entry.tokens / entry.megabytes / 1e6 if entry.megabytes else 0.0
        speedup = "" if entry.name == "tei" else f"{entry.speedup:.2f}"
        drawn.add_row(entry.name, f"{entry.rate:,.1f}", f"{tokens:,.1f}", speedup, f"{entry.equal:.4%}")
    return drawn
