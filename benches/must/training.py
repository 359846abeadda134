"""Musts of training: what new rows start from, and that model and optimizer go on while the vocabulary changes."""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tei
from must import Options, Result, must
from must.corpora import adaptation_texts
from must.policy import LARGE, _case, _model, _rows, _tokenizer, _vectors
from tei.demo import load_texts, model_directory
from tei.plan import ResizePlan

NEW = 1_000


@functools.cache
def _growth(name: str) -> tuple[ResizePlan, tei.Tokenizer]:
    """The full vocabulary and `NEW` tokens that save most on a text set."""
    plan = _tokenizer().plan(_case(name).counts, size=_tokenizer().vocab_size, grow=NEW, weights=_rows())
    return plan, _tokenizer().apply(plan)


@functools.cache
def _error(name: str, init: str) -> float:
    """Mean of one minus the cosine to the original's sentence embeddings, on held-out text, before any training."""
    case, (plan, tokenizer) = _case(name), _growth(name)
    vectors = _vectors(tokenizer, INITS[init](plan, name), case.sentences)
    return 1 - float((vectors * case.vectors).sum(axis=1).mean())


def _hugging_face(plan: ResizePlan, _: str) -> NDArray[np.float32]:
    """What `resize_token_embeddings` does by default: a draw around the mean of all rows."""
    import torch
    from transformers import AutoModel

    torch.manual_seed(0)
    model = AutoModel.from_pretrained(model_directory())
    model.resize_token_embeddings(len(plan.target))
    rows: NDArray[np.float32] = model.get_input_embeddings().weight.detach().numpy()
    return rows


def _applied(init: str) -> Callable[[ResizePlan, str], NDArray[np.float32]]:
    def rows(plan: ResizePlan, _: str) -> NDArray[np.float32]:
        import torch

        import tei.torch as tt

        table: Any = torch.nn.Embedding.from_pretrained(torch.from_numpy(_rows().copy()))  # type: ignore[no-untyped-call]
        tt.apply(plan, table, init=init)  # type: ignore[arg-type]
        weight: NDArray[np.float32] = table.weight.numpy()
        return weight

    return rows


INITS: dict[str, Callable[[ResizePlan, str], NDArray[np.float32]]] = {
    "default": _hugging_face,
    "mean": _applied("mean"),
    "weighted": _applied("weighted"),
}


def _ratios(init: str, peer: str) -> dict[str, float]:
    return {name: _error(name, init) / _error(name, peer) for name in LARGE}


def _note(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())


@must(7, "new rows: error against default", "<=", 1 / 3, "ratio, worst")
def default_rows(_: Options) -> Result:
    """Zero-shot error after 1,000 new rows against Hugging Face's default, on the corpus where it is worst."""
    ratios = _ratios("weighted", "default")
    return Result(max(ratios.values()), note=_note(ratios))


@must(7, "new rows: error against mean", "<=", 0.9, "ratio, mean")
def mean_rows(_: Options) -> Result:
    """Zero-shot error after 1,000 new rows against the mean of the pieces, mean over the corpora."""
    ratios = _ratios("weighted", "mean")
    return Result(statistics.mean(ratios.values()), note=_note(ratios))


STEPS, WIDTH, BATCH = 700, 240, 16
AFTER = (5, 150)


class _Causal:
    """A small tied causal model on kernel documentation that trains until its vocabulary grows by a third."""

    def __init__(self, seed: int, steps: int) -> None:
        import torch
        from transformers import GPT2Config, GPT2LMHeadModel

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        training, held_out = adaptation_texts("kernel")
        self.training = [text[:WIDTH] for text in training]
        self.held_out = [text[:WIDTH] for text in held_out[:300]]
        self.counts = tei.count_words(training, tei.Scheme.bert())
        self.tokenizer = tei.Tokenizer.train(self.counts, vocab_size=4_000)
        sizes: dict[str, Any] = {"n_embd": 96, "n_layer": 2, "n_head": 4, "n_positions": WIDTH + 2}
        dropout: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        self.model = GPT2LMHeadModel(GPT2Config(vocab_size=4_000, bos_token_id=2, eos_token_id=3, **sizes, **dropout))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.order = np.random.default_rng(seed)
        self.train(steps)

    def loss(self, texts: list[str], reduction: str) -> Any:
        import torch

        batch = self.tokenizer(texts, padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        logits = self.model(**batch).logits
        return torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction=reduction
        )

    def train(self, steps: int) -> None:
        for _ in range(steps):
            texts = [self.training[i] for i in self.order.integers(0, len(self.training), BATCH)]
            self.optimizer.zero_grad()
            self.loss(texts, "mean").backward()
            self.optimizer.step()

    def bits(self) -> float:
        """Bits a character of the held-out text, whatever the vocabulary."""
        import torch

        with torch.inference_mode():
            parts = [self.loss(self.held_out[i : i + 50], "sum") for i in range(0, len(self.held_out), 50)]
        return float(float(sum(parts)) / np.log(2) / sum(map(len, self.held_out)))


@functools.cache
def _growth_gain(options: Options) -> dict[int, float]:
    """Bits a character that carrying the optimizer's state gains over a new AdamW, 5 and 150 steps after growth."""
    import copy

    import torch

    import tei.torch as tt

    gains: dict[int, list[float]] = {after: [] for after in AFTER}
    for seed in range(options.seeds):
        carried = _Causal(seed, 50 if options.quick else STEPS)
        plan = carried.tokenizer.plan(carried.counts, size=carried.tokenizer.vocab_size, grow=1_500)
        fresh = copy.deepcopy(carried)
        tt.apply(plan, carried.model, carried.optimizer)
        tt.apply(plan, fresh.model)
        fresh.optimizer = torch.optim.AdamW(fresh.model.parameters(), lr=1e-3)
        carried.tokenizer = fresh.tokenizer = carried.tokenizer.apply(plan)
        done = 0
        for after in AFTER:
            for run in (carried, fresh):
                run.train(after - done)
            gains[after].append(fresh.bits() - carried.bits())
            done = after
    return {after: statistics.mean(values) for after, values in gains.items()}


@must(7, "growth while training: 5 steps", ">=", 0.02, "bits/char")
def growth_early(options: Options) -> Result:
    """Bits a character below a re-created AdamW, 5 steps after growing a tied causal model by 1,500 tokens."""
    return Result(_growth_gain(options)[5], note=f"mean of {options.seeds} seeds")


@must(7, "growth while training: 150 steps", ">=", 0.01, "bits/char")
def growth_late(options: Options) -> Result:
    """The same 150 steps after."""
    return Result(_growth_gain(options)[150], note=f"mean of {options.seeds} seeds")


@must(7, "frozen rows", "<=", 0.0, "rows changed")
def frozen_rows(_: Options) -> Result:
    """Frozen rows of MiniLM's embedding that differ in any bit after 100 AdamW steps with weight decay 0.1."""
    import torch

    table, steps = _table(), 100
    torch.manual_seed(0)
    before = table.weight.detach().clone()
    rows = _trainable(table)
    optimizer = torch.optim.AdamW(table.parameters(), lr=1e-3, weight_decay=0.1)
    for _number in range(steps):
        _step(table, optimizer, *_batch())
    rows.merge()
    changed = (table.weight.detach().view(torch.int32) != before.view(torch.int32)).any(dim=1)
    assert changed[-NEW:].all()
    return Result(float(changed[:-NEW].sum()), note=f"{len(changed) - NEW:,} frozen, {NEW:,} trained")


def _table() -> Any:
    import torch

    rows = torch.from_numpy(_rows())
    table: Any = torch.nn.Embedding
    return table.from_pretrained(torch.cat([rows, rows[:NEW]]), freeze=False)


def _trainable(table: Any) -> Any:
    import tei.torch as tt

    return tt.TrainableRows(table, range(table.num_embeddings - NEW, table.num_embeddings))


def _batch() -> tuple[Any, Any]:
    """Ids of 32 texts of 64 tokens, one in ten of them new, and the gradient of what follows."""
    import torch

    old = len(_rows())
    ids = torch.randint(old, (32, 64))
    return torch.where(torch.rand(ids.shape) < 0.1, ids % NEW + old, ids), torch.randn(*ids.shape, _rows().shape[1])


def _step(table: Any, optimizer: Any, ids: Any, gradient: Any) -> float:
    start = time.process_time()
    optimizer.zero_grad()
    table(ids).backward(gradient)
    optimizer.step()
    return time.process_time() - start


@must(7, "rows-only step", ">=", 1.5, "times PEFT's speed")
def rows_only_step(options: Options) -> Result:
    """Embedding forward, backward and AdamW step against PEFT's trainable tokens, one thread, rows compared after."""
    import peft
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours = _table()
    model = torch.nn.Sequential()
    model.add_module("table", _table())
    new = list(range(ours.num_embeddings - NEW, ours.num_embeddings))
    theirs = peft.get_peft_model(model, peft.TrainableTokensConfig(target_modules=["table"], token_indices=new))
    rows = _trainable(ours)
    tables = (ours, theirs)
    optimizers = [torch.optim.AdamW([p for p in table.parameters() if p.requires_grad]) for table in tables]
    times: list[list[float]] = [[], []]
    for _ in range(3 if options.quick else 21):
        batch = _batch()
        for table, optimizer, measured in zip(tables, optimizers, times, strict=True):
            measured.append(_step(table, optimizer, *batch))
    rows.merge()
    torch.testing.assert_close(ours.weight, theirs.merge_and_unload().get_submodule("table").weight)
    mine, peer = (1e3 * statistics.median(measured) for measured in times)
    return Result(peer / mine, note=f"{mine:.1f} ms against {peer:.1f} ms, 32 texts of 64 ids, {NEW:,} rows")


@must(7, "apply to MiniLM and AdamW", "<=", 0.15, "s")
def apply_time(options: Options) -> Result:
    """Processor time of `apply` from 30,522 to 6,000 tokens with AdamW's state, median."""
    import copy

    import torch

    import tei.torch as tt

    counts = _tokenizer().count(load_texts("train").texts)
    plan = _tokenizer().plan(counts, size=6_000)
    seconds = []
    for _ in range(3 if options.quick else 9):
        model = copy.deepcopy(_model())
        optimizer = torch.optim.AdamW(model.parameters())
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        start = time.process_time()
        tt.apply(plan, model, optimizer)
        seconds.append(time.process_time() - start)
    return Result(statistics.median(seconds), note=f"best {min(seconds):.3f} s")
