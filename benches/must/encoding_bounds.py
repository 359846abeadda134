"""Musts of encoding on hostile input: time stays linear, memory stays bounded, whatever the text is."""

import functools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tei
from memory import resident
from must import Options, Result, must
from tei.bench import interleave
from tei.demo import model_directory

# Marks that are dropped, and tone marks: they stay, and a decomposition changes their places.
MARKS = "\u0301\u0323\u0308\u0345"
TONES = "\u302e\u302f"
BENCHES = Path(__file__).resolve().parents[1]
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _random_text(alphabet: str, count: int) -> str:
    return "".join(random.Random(0).choices(alphabet, k=count))


def _line(count: int) -> str:
    sentence = "The quick brown fox, a naïve one, jumps over 13 lazy dogs of 中国. "
    return (sentence * (count // len(sentence) + 1))[:count]


HOSTILE: dict[str, tuple[Callable[[int], str], int]] = {
    "a": (lambda count: "a" * count, 1_000_000),
    "ab": (lambda count: "ab" * (count // 2), 1_000_000),
    "accents": (lambda count: "é" * count, 1_000_000),
    # So many words that none of the two texts fits into a cache.
    "base64": (functools.partial(_random_text, BASE64), 4_000_000),
    "marks": (lambda count: ("e" + MARKS) * (count // 5), 1_000_000),
    "marks alone": (functools.partial(_random_text, MARKS), 1_000_000),
    "marks in words": (lambda count: "e\u0301te\u0301 " * (count // 6), 1_000_000),
    "tone marks": (lambda count: f"한{TONES}\u0301 " * (count // 5), 1_000_000),
    "tone marks alone": (functools.partial(_random_text, MARKS + TONES), 1_000_000),
    "a tone mark, then text": (lambda count: TONES + _line(count), 1_000_000),
    "one line": (_line, 25_000_000),
}


@dataclass(frozen=True)
class _Growth:
    """Seconds for n and for 2n characters, and MB/s of the larger."""

    factor: float
    rate: float


@functools.cache
def _growth(options: Options) -> dict[str, _Growth]:
    tokenizer = tei.Tokenizer.from_pretrained(model_directory())
    return {name: _grow(tokenizer, make, count, options) for name, (make, count) in HOSTILE.items()}


def _grow(tokenizer: tei.Tokenizer, make: Callable[[int], str], count: int, options: Options) -> _Growth:
    count //= 20 if options.quick else 1
    texts = {"n": [make(count)], "2n": [make(2 * count)]}
    calls = {name: functools.partial(tokenizer.encode_batch, rows, parallel=False) for name, rows in texts.items()}
    seconds = interleave(calls, rounds=9, clock=time.process_time)
    # What else runs only ever adds time, and a factor of two is less than it may add: the least disturbed rounds count.
    factor = min(seconds["2n"]) / min(seconds["n"])
    return _Growth(factor, len(texts["2n"][0].encode()) / 1e6 / statistics.median(seconds["2n"]))


@must(4, "hostile text: growth", "<=", 2.3, "t(2n)/t(n)")
def hostile_growth(options: Options) -> Result:
    """Time of twice the text over time of the text, the worst of all kinds."""
    growth = _growth(options)
    return Result(
        max(entry.factor for entry in growth.values()), note=_each({k: v.factor for k, v in growth.items()}, ".2f")
    )


@must(4, "hostile text: speed", ">=", 60.0, "MB/s")
def hostile_speed(options: Options) -> Result:
    """Megabytes in a second, the slowest of all kinds."""
    growth = _growth(options)
    return Result(
        min(entry.rate for entry in growth.values()), note=_each({k: v.rate for k, v in growth.items()}, ".0f")
    )


def _each(values: dict[str, float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())


# What is freed is given back at once, so that it is not taken for what is kept.
MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@must(4, "memory of a thread", "<=", 8.0, "MiB")
def memory(options: Options) -> Result:
    """Most that encoding on one thread holds or takes beside its result; infinite if it grows with what it has seen."""
    if math.isnan(resident()):
        return Result(math.nan, note="this system does not tell the memory of a process")
    sizes = ["20", "1000000"] if options.quick else ["300", "8000000"]
    command = [sys.executable, "-m", "must.memory_probe", str(model_directory()), *sizes]
    path = os.pathsep.join([str(BENCHES), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **MALLOC, "PYTHONPATH": path}
    run = subprocess.run(command, check=True, capture_output=True, env=environment)
    (half, full), peaks, left = json.loads(run.stdout)
    note = f"after distinct words {half:.1f}, twice as many {full:.1f}; one giant word of {_each(peaks, '.1f')}; then {left:.1f}"
    return Result(math.inf if full > half + 1 else max(full, left, *peaks.values()), note=note)
