"""Musts of going on with a vocabulary: with a tracker, a step takes time for what is new, not for all words known."""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tei
from must import Options, Result, must
from must.corpora import READERS
from tei.continuation import extend, refresh
from tei.demo import model_directory
from tei.plan import ResizePlan

ROUNDS, TWEETS = 9, 60


@functools.cache
def _tokenizer() -> tei.Tokenizer:
    return tei.Tokenizer.from_pretrained(model_directory())


@functools.cache
def _known(options: Options) -> tei.WordCounts:
    """Words of kernel documentation and novels."""
    texts = [*READERS["kernel"](), *READERS["novels"]()]
    return _tokenizer().count(texts[: len(texts) // 10] if options.quick else texts)


@functools.cache
def _rows() -> Any:
    # What the rows hold does not matter to how long it takes; their number and length do.
    return np.random.default_rng(0).normal(size=(_tokenizer().vocab_size, 384)).astype(np.float32)


def _timed(act: Callable[..., ResizePlan], *given: Any) -> tuple[float, ResizePlan]:
    start = time.process_time()
    plan = act(*given)
    return time.process_time() - start, plan


def _race(options: Options, step: Callable[[Any, Any], ResizePlan], whole: Callable[[Any], ResizePlan]) -> Result:
    """Processor time of a step of a tracker with the words of some tweets, over that of a plan by all counts.

    The quickest of several rounds, one after the other in turn: the machine may be shared.
    """
    tok, counts, tweets = _tokenizer(), _known(options), READERS["tweets"]()
    tracker, taken, sizes = tei.Tracker(tok, counts), [], []
    for i in range(3 if options.quick else ROUNDS):
        new = tok.count(tweets[i * TWEETS : (i + 1) * TWEETS])
        counts += new
        (ours, plan), (theirs, expected) = _timed(step, tracker, new), _timed(whole, counts)
        assert plan == expected, "a plan of the tracker differs from that by all counts"
        taken.append((ours, theirs))
        sizes.append(len(new))
    ours, theirs = map(min, zip(*taken, strict=True))
    note = f"{1e3 * ours:.1f} ms against {1e3 * theirs:.1f} ms, {len(counts):,} words, {statistics.mean(sizes):.0f} new"
    return Result(ours / theirs, note=note)


def _more(tracker: tei.Tracker, new: tei.WordCounts) -> ResizePlan:
    tracker.add(new)
    return tracker.extend(100)


def _other(tracker: tei.Tracker, new: tei.WordCounts) -> ResizePlan:
    tracker.add(new)
    return tracker.refresh(50, _rows())


@must(5, "tracker: 100 tokens more", "<=", 0.2, "of anew")
def extended(options: Options) -> Result:
    """Counts of 60 tweets added to a tracker that knows 100,000 words, and its `extend(100)`, over `extend` by all counts."""
    return _race(options, _more, lambda counts: extend(_tokenizer(), counts, 100))


@must(5, "tracker: 50 tokens exchanged", "<=", 0.3, "of anew")
def refreshed(options: Options) -> Result:
    """The same with `refresh(50)` and embedding rows of 384."""
    return _race(options, _other, lambda counts: refresh(_tokenizer(), counts, 50, _rows()))
