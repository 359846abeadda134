"""Musts of encoding: faster than the fastest peers, in one process, interleaved, on texts to which ids are equal.

What runs on one thread is judged by the processor time of the whole process: other programs are not counted, a second
thread would be.
"""

import functools
import hashlib
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from must import Options, Result, must
from must.corpora import corpus, tokenizer_json
from rivals import Gigatoken
from tei.bench import equal_rows, first_megabytes, interleave, on_cpus, open_peers, ratio, utf8_bytes
from tei.demo import model_directory
from tei.peers import WORDPIECE, HuggingFace, Nanotoken, Peer, Tei

ENGLISH = ("technical English", "English novels")
ROUNDS = 7
# Of two threads, and of calls that take a hundredth of a second: what else runs disturbs these most.
MANY_ROUNDS = 40


@dataclass(frozen=True)
class _Race:
    """Seconds of each encoder on the same texts; those whose ids differ from tei's are in `wrong`."""

    label: str
    megabytes: float
    seconds: Mapping[str, tuple[float, ...]]
    wrong: tuple[str, ...] = ()

    def speedup(self, peer: str) -> float:
        """How many times as fast as the peer tei is; not a number if that means nothing."""
        if peer in self.wrong or peer not in self.seconds:
            return math.nan
        return ratio(self.seconds["tei"], self.seconds[peer])

    def rate(self, name: str) -> float:
        """MB/s of an encoder."""
        return self.megabytes / statistics.median(self.seconds[name]) if name in self.seconds else math.nan

    def note(self, peer: str) -> str:
        """The two rates, or what makes their ratio worthless."""
        trouble = " IDS DIFFER" if peer in self.wrong else "" if peer in self.seconds else f" {peer} is not installed"
        return f"{self.label}: {self.rate('tei'):.0f} / {self.rate(peer):.0f} MB/s{trouble}"


def _minilm() -> Path:
    return Path(model_directory()) / "tokenizer.json"


def _sample(name: str, options: Options, megabytes: float = 20) -> list[str]:
    return first_megabytes(corpus(name), 1 if options.quick else megabytes)


def _open(kinds: Sequence[type[Peer]], vocabulary: Path, threads: int) -> dict[str, Peer]:
    peers, refused = open_peers((Tei, *kinds), vocabulary, threads=threads)
    if refused:
        raise RuntimeError(f"{refused}")
    return peers


def _race(label: str, texts: list[str], kinds: Sequence[type[Peer]], vocabulary: Path) -> _Race:
    peers = _open(kinds, vocabulary, threads=1)
    comparable = [peer for peer in peers.values() if peer.algorithm == WORDPIECE]
    wrong = tuple(peer.name for peer in comparable if equal_rows(peer, peers["tei"], texts) < 1)
    calls = {name: functools.partial(peer.ragged, texts) for name, peer in peers.items()}
    return _Race(label, utf8_bytes(texts) / 1e6, interleave(calls, rounds=ROUNDS, clock=time.process_time), wrong)


def _slowest(races: Iterable[_Race], peer: str) -> Result:
    """The race that tei wins by least, or cannot be judged by."""
    races = list(races)
    worst = min(races, key=lambda race: -math.inf if math.isnan(race.speedup(peer)) else race.speedup(peer))
    return Result(worst.speedup(peer), worst.rate(peer), "; ".join(race.note(peer) for race in races))


@functools.cache
def _english(options: Options) -> list[_Race]:
    return [_race(name, _sample(name, options), (Nanotoken, Gigatoken), _minilm()) for name in ENGLISH]


@functools.cache
def _chinese(options: Options) -> list[_Race]:
    texts = _sample("Chinese", options)
    vocabularies = {"uncased": _minilm(), "chinese": tokenizer_json("bert-base-chinese")}
    return [_race(name, texts, (Nanotoken, Gigatoken), path) for name, path in vocabularies.items()]


@must(4, "English: nanotoken", ">=", 1.6, "x")
def english_nanotoken(options: Options) -> Result:
    """List of str → ragged arrays on one thread, technical text and novels, the worse of the two."""
    return _slowest(_english(options), "nanotoken")


@must(4, "English: gigatoken", ">=", 1.2, "x")
def english_gigatoken(options: Options) -> Result:
    """The same against byte-level BPE, whose ids cannot be equal."""
    return _slowest(_english(options), "gigatoken")


@must(4, "Chinese: nanotoken", ">=", 6.0, "x")
def chinese_nanotoken(options: Options) -> Result:
    """News, reviews and titles on one thread, with BERT's English and its Chinese vocabulary, the worse of the two."""
    return _slowest(_chinese(options), "nanotoken")


@must(4, "Chinese: gigatoken", ">=", 1.3, "x")
def chinese_gigatoken(options: Options) -> Result:
    """The same against byte-level BPE."""
    return _slowest(_chinese(options), "gigatoken")


@must(4, "mixed scripts", ">=", 4.0, "x")
def mixed_scripts(options: Options) -> Result:
    """Lines of all languages in random order, one thread."""
    return _slowest([_race("mixed", _sample("mixed scripts", options), (Nanotoken,), _minilm())], "nanotoken")


@must(4, "English: files", ">=", 2.0, "x")
def english_files(options: Options) -> Result:
    """A file, a text a line → ragged arrays, one thread, technical text and novels, the worse of the two."""
    with tempfile.TemporaryDirectory() as directory, on_cpus(1):
        return _slowest([_file_race(name, Path(directory), options) for name in ENGLISH], "nanotoken")


def _file_race(name: str, directory: Path, options: Options) -> _Race:
    texts = _sample(name, options)
    path = directory / f"{name}.txt"
    path.write_text("\n".join(texts), encoding="utf-8", newline="\n")
    peers = _open((Nanotoken,), _minilm(), threads=1)
    ours, theirs = peers["tei"].files(path), peers["nanotoken"].files(path)
    same = np.array_equal(ours.ids, theirs.ids) and np.array_equal(ours.row_offsets, theirs.offsets)
    seconds = interleave(
        {name: functools.partial(peer.files, path) for name, peer in peers.items()},
        rounds=ROUNDS,
        clock=time.process_time,
    )
    return _Race(name, path.stat().st_size / 1e6, seconds, () if same else ("nanotoken",))


@must(4, "padded batches", "<=", 0.5, "of the time")
def padded_batches(options: Options) -> Result:
    """Batches of 256 texts → int64 arrays of 128 columns, special tokens included, two threads."""
    texts = _sample("technical English", options)
    batches = [texts[i : i + 256] for i in range(0, len(texts), 256)]
    with on_cpus(2):
        peers = _open((Nanotoken,), _minilm(), threads=2)
        same = all(np.array_equal(*(peer.padded(batch, 128) for peer in peers.values())) for batch in batches)
        seconds = interleave(
            {name: _padded(peer, batches) for name, peer in peers.items()}, rounds=3 if options.quick else MANY_ROUNDS
        )
    race = _Race("padded", utf8_bytes(texts) / 1e6, seconds, () if same else ("nanotoken",))
    return Result(1 / race.speedup("nanotoken"), race.rate("nanotoken"), race.note("nanotoken"))


def _padded(peer: Peer, batches: Sequence[list[str]]) -> Callable[[], Any]:
    def call() -> None:
        for batch in batches:
            peer.padded(batch, 128)

    return call


@functools.cache
def _one_string(options: Options) -> _Race:
    long = [text for text in corpus("technical English") if len(text) > 138 and text.isascii()]
    # Many different ones: nobody encodes one string again and again.
    texts = [text[:138] for text in long[: 16 if options.quick else 256]]
    peers = _open((HuggingFace, Nanotoken), _minilm(), threads=1)
    wrong = tuple(name for name, peer in peers.items() if equal_rows(peer, peers["tei"], texts) < 1)
    seconds = interleave(
        {name: _singly(peer, texts) for name, peer in peers.items()},
        rounds=3 if options.quick else MANY_ROUNDS,
        clock=time.process_time,
    )
    return _Race("one string", len(texts) * 138 / 1e6, seconds, wrong)


def _singly(peer: Peer, texts: Sequence[str]) -> Callable[[], Any]:
    def call() -> None:
        for text in texts:
            peer.ragged([text])

    return call


@must(4, "one string", "<=", 3.0, "µs")
def one_string(options: Options) -> Result:
    """One string of 138 bytes, in a list of its own; another one each time."""
    race = _one_string(options)
    microseconds = {name: 138 / race.rate(name) for name in race.seconds}
    return Result(microseconds["tei"], microseconds["nanotoken"], f"tokenizers {microseconds['tokenizers']:.0f} µs")


@must(4, "one string: tokenizers", "<=", 0.1, "of the time")
def one_string_ratio(options: Options) -> Result:
    """The same, as a share of what Hugging Face `tokenizers` takes."""
    race = _one_string(options)
    return Result(1 / race.speedup("tokenizers"), race.rate("tokenizers"), race.note("tokenizers"))


@must(4, "two threads", ">=", 1.7, "x")
def two_threads(options: Options) -> Result:
    """One thread's time over that of two, list of str → ragged, 20 MB of technical English."""
    texts = _sample("technical English", options)
    with on_cpus(2):
        peers = {(kind, n): _open((kind,), _minilm(), n)[kind.name] for kind in (Tei, Nanotoken) for n in (1, 2)}
        same = np.array_equal(*(peers[Tei, n].ragged(texts).ids for n in (1, 2)))
        calls = {f"{kind.name} {n}": functools.partial(peer.ragged, texts) for (kind, n), peer in peers.items()}
        calls |= {f"machine {n}": functools.partial(_hash, n) for n in (1, 2)}
        seconds = interleave(calls, rounds=3 if options.quick else MANY_ROUNDS)
    best = {name: min(times) for name, times in seconds.items()}
    scaling = {name: best[f"{name} 1"] / best[f"{name} 2"] for name in ("tei", "nanotoken", "machine")}
    load = f"two threads that share nothing get {scaling['machine']:.2f} x now, load {os.getloadavg()[0]:.1f}"
    return Result(scaling["tei"] if same else math.nan, scaling["nanotoken"], load)


BLOCK = bytes(10_000_000)


def _hash(threads: int) -> None:
    """Hashes two blocks, without the lock of the interpreter: what the machine gives to two threads right now."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(hashlib.blake2b, (BLOCK, BLOCK)))
