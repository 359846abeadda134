"""Musts of the single steps of a policy: how long they take, what they leave alone, whether they can be undone."""

import functools
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tei
from must import Options, Result, must
from must.corpora import adaptation_texts
from tei.demo import model_directory
from tei.evidence import Evidence
from tei.plan import ResizePlan

TEXT = "zugzwangs"
BASE, OTHER = "novels", "kernel"


@functools.cache
def _tokenizer() -> tei.Tokenizer:
    return tei.Tokenizer.from_pretrained(model_directory())


@functools.cache
def _counts(name: str) -> tei.WordCounts:
    return _tokenizer().count(adaptation_texts(name)[0])


def _seconds(step: Callable[[], object], times: int) -> float:
    """Median processor time, since the machine may be shared."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        step()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def _evidence() -> Evidence:
    rng = np.random.default_rng(0)
    # What the rows hold does not matter to how long it takes; their number and length do.
    rows = rng.normal(size=(_tokenizer().vocab_size, 384)).astype(np.float32)
    return Evidence.gather(_tokenizer(), _counts(OTHER), weights=rows)


@must(6, "trim order", "<=", 0.1, "s")
def trim_order(options: Options) -> Result:
    """The whole order of a vocabulary of 30,522 on 2 MB of text, with embedding rows of 384."""
    given = _evidence()
    order: Any = vars(Evidence)["trim"]
    return Result(_seconds(lambda: order.func(given), 3 if options.quick else 9))


@must(6, "growth of 2,000", "<=", 0.3, "s")
def growth(options: Options) -> Result:
    """Two thousand new tokens after trimming to 4,000, on the same text."""
    given = _evidence()
    dropped = given.cheapest(4_000)
    found = given.grown(dropped, 2_000)
    return Result(
        _seconds(lambda: given.grown(dropped, 2_000), 3 if options.quick else 9), note=f"{len(found):,} found"
    )


def _ready(plan: ResizePlan, options: Options) -> float:
    """Milliseconds from plan to the first ids."""
    tok = _tokenizer()
    plan.check_source(tok.fingerprint)
    return 1e3 * _seconds(lambda: tok.apply(plan).encode_batch([TEXT]), 5 if options.quick else 25)


@must(6, "30,522 to 4,000, ready", "<=", 15.0, "ms")
def adapted(options: Options) -> Result:
    """A tokenizer trimmed by a plan, until it has encoded a word."""
    return Result(_ready(_tokenizer().plan(_counts(OTHER), size=4_000), options))


@must(6, "one token more, ready", "<=", 1.0, "ms")
def one_more(options: Options) -> Result:
    """A tokenizer of 30,522 with one token added by a plan, until it has encoded a word."""
    plan = _tokenizer().plan([TEXT] * 9, size=_tokenizer().vocab_size, grow=1)
    assert plan.target[-1] == TEXT, plan.target[-1]
    return Result(_ready(plan, options))


@must(6, "base text changed by growth", "<=", 0.5, "%")
def base_changed(_: Options) -> Result:
    """Tokens of novels that 2,000 tokens grown for kernel documentation, guarded by other novels, segment anew."""
    tok = _tokenizer()
    changed = {}
    for name, base in (("guarded", _counts(BASE)), ("not guarded", None)):
        grown = tok.apply(tok.plan(_counts(OTHER), size=tok.vocab_size, grow=2_000, base=base))
        changed[name] = _changed(tok, grown, tok.count(adaptation_texts(BASE)[1]))
    return Result(changed["guarded"], changed["not guarded"], "peer: without a base text")


def _changed(before: tei.Tokenizer, after: tei.Tokenizer, counts: tei.WordCounts) -> float:
    words, numbers = zip(*counts.most_common(), strict=True)
    old, new = (tok.encode_batch(list(words)) for tok in (before, after))
    lengths = [len(old[i]) * numbers[i] for i in range(len(words))]
    differs = [len(old[i]) != len(new[i]) or (old[i] != new[i]).any() for i in range(len(words))]
    return float(100 * sum(n for n, other in zip(lengths, differs, strict=True) if other) / sum(lengths))


@must(6, "apply and undo", "<=", 0.0, "plans that differ")
def undone(options: Options) -> Result:
    """Random plans on tokenizer, rows and AdamW, each applied and undone: those after which any bit differs."""
    plans = 100 if options.quick else 1_000
    wrong = sum(_differs_after(seed) for seed in range(plans))
    return Result(wrong, note=f"of {plans:,}")


def _differs_after(seed: int) -> bool:
    import torch

    import tei.torch as tt

    draw = random.Random(seed)
    tok, model, optimizer = _small(draw)
    before = _bits(model, optimizer)
    plan = _random_plan(tok, draw)
    archive = tt.apply(plan, model, optimizer)
    after = tok.apply(plan)
    ids = torch.tensor([draw.randrange(after.vocab_size) for _ in range(9)])
    # Whatever uses the new rows must not matter to the old ones: the way back has to bring those that were dropped.
    model(ids).sum()
    tt.apply(plan.inverse(), model, optimizer, archive=archive)
    back = after.apply(plan.inverse())
    same = [torch.equal(one, two) for one, two in zip(before, _bits(model, optimizer), strict=True)]
    return not all(same) or (back.tokens, back.fingerprint) != (tok.tokens, tok.fingerprint)


def _small(draw: random.Random) -> tuple[tei.Tokenizer, Any, Any]:
    import torch

    letters = "abcdefgh"
    words = ["".join(draw.choices(letters, k=draw.randrange(2, 6))) for _ in range(30)]
    tok = tei.Tokenizer.train([" ".join(words)], vocab_size=40, min_count=1)
    torch.manual_seed(draw.randrange(2**31))
    model = torch.nn.Embedding(tok.vocab_size + draw.choice([0, 3]), 4)
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=draw.random() < 0.5)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.arange(len(model.weight))).pow(2).sum().backward()
        optimizer.step()
    return tok, model, optimizer


def _random_plan(tok: tei.Tokenizer, draw: random.Random) -> ResizePlan:
    words = ["".join(draw.choices("abcdefghxy", k=draw.randrange(2, 7))) for _ in range(20)]
    counts = tei.WordCounts.from_mapping({word: draw.randrange(1, 20) for word in words}, tok.scheme)
    keep = [token for token in tok.tokens if draw.random() < 0.3]
    size = draw.randrange(33, tok.vocab_size + 1)
    return tok.plan(counts, size=size, grow=draw.randrange(6), protect=keep if len(keep) < 5 else ())


def _bits(model: Any, optimizer: Any) -> list[Any]:
    import torch

    values = [value for state in optimizer.state.values() for _, value in sorted(state.items())]
    return [value.clone() for value in (model.weight.data, *values) if isinstance(value, torch.Tensor)]
