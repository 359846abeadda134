"""A must of training: a stream of domains, and what is left of the first when the last has been learnt."""

import functools
import itertools
import multiprocessing
import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import tei
from must import Options, Result, must
from must.corpora import Labelled, labelled
from tei.demo import model_directory

DOMAINS = ("en_sst2", "en_trec", "en_subjectivity")
TEXTS, HELD_OUT, NEW = 1_000, 600, 300


@dataclass
class _Stream:
    """One encoder for all domains, its tokenizer, and a head for each domain."""

    model: Any
    tokenizer: tei.Tokenizer
    heads: dict[str, Any]

    def grow(self, texts: list[str], base: list[str], init: str) -> Any:
        """Adds tokens for a domain; `base` is text that they leave as it is."""
        import tei.torch as tt

        guard = self.tokenizer.count(base) if base else None
        plan = self.tokenizer.plan(texts, size=self.tokenizer.vocab_size, grow=NEW, base=guard)
        tt.apply(plan, self.model, init=init)  # type: ignore[arg-type]
        self.tokenizer = self.tokenizer.apply(plan)
        return plan.added.ids

    def logits(self, domain: str, batch: Any) -> Any:
        hidden = self.model(batch["input_ids"], batch["attention_mask"]).last_hidden_state
        mask = batch["attention_mask"][..., None]
        return self.heads[domain]((hidden * mask).sum(dim=1) / mask.sum(dim=1))

    def train(self, domain: str, data: Labelled, seed: int, rate: float, epochs: int) -> None:
        """Trains the head of a domain and whatever takes a gradient."""
        import torch

        self.heads[domain] = torch.nn.Linear(384, data.classes)
        self.model.train()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        groups = [{"params": trained, "lr": rate}, {"params": self.heads[domain].parameters(), "lr": 1e-3}]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
        batches = list(itertools.chain.from_iterable(self._batches(data, seed + epoch) for epoch in range(epochs)))
        fall = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=len(batches))
        for batch in batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(self.logits(domain, batch), batch["labels"]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            fall.step()

    def accuracy(self, domain: str, data: Labelled) -> float:
        """Percent of held-out texts."""
        import torch

        self.model.eval()
        with torch.inference_mode():
            hits = [
                (self.logits(domain, batch).argmax(dim=1) == batch["labels"]).sum() for batch in self._batches(data, 0)
            ]
        return 100 * float(sum(hits)) / len(data.texts)

    def _batches(self, data: Labelled, seed: int) -> list[Any]:
        import tei.torch as tt

        collate, items = tt.Collate(self.tokenizer, max_length=64), list(zip(data.texts, data.labels, strict=True))
        buckets = tt.LengthBuckets([len(text) for text in data.texts], 16, seed=seed)
        return [collate([items[i] for i in places]) for places in buckets]


def _plain(stream: _Stream, domain: str, data: Labelled, before: list[str], seed: int) -> None:
    """What is usual: added tokens start as the mean of their pieces, and everything is trained."""
    if before:
        stream.grow(data.texts, [], "mean")
    stream.train(domain, data, seed, 1e-4, 2)


def _kept(stream: _Stream, domain: str, data: Labelled, before: list[str], seed: int) -> None:
    """After the first domain, the model stays as it is but for new rows, and each domain has adapters of its own."""
    import peft

    import tei.torch as tt

    if not before:
        return stream.train(domain, data, seed, 1e-4, 2)
    added = stream.grow(data.texts, before, "weighted")
    for parameter in stream.model.parameters():
        parameter.requires_grad = False
    targets = ["query", "key", "value", "dense"]
    peft.inject_adapter_in_model(peft.LoraConfig(r=16, lora_alpha=32, target_modules=targets), stream.model, domain)
    _choose(stream.model, domain)
    # Very few texts repeat nothing that would be a token.
    rows = tt.TrainableRows(stream.model, added.tolist(), freeze="vocabulary") if len(added) else None
    stream.train(domain, data, seed, 1e-3, 3)
    if rows is not None:
        rows.merge()
    return None


def _choose(model: Any, domain: str | None) -> None:
    """Turns the adapters of one domain on, and all others off."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            has = domain is not None and domain in getattr(module, "lora_A", ())
            module.enable_adapters(enabled=has)
            if has:
                module.set_adapter([str(domain)])


@dataclass(frozen=True)
class _Outcome:
    """Points lost on the first domain, and mean accuracy on the later ones right after each was learnt."""

    lost: float
    new: float


def _run(method: str, seed: int, options: Options) -> _Outcome:
    import torch
    from transformers import AutoModel

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    texts, held_out = (60, 60) if options.quick else (TEXTS, HELD_OUT)
    sets = {}
    for domain in DOMAINS:
        training, rest = labelled(domain, limit=texts)
        sets[domain] = (training, Labelled(rest.texts[:held_out], rest.labels[:held_out], rest.classes))
    stream = _Stream(AutoModel.from_pretrained(model_directory()), tei.Tokenizer.from_pretrained(model_directory()), {})
    before: list[str] = []
    found = []
    for domain in DOMAINS:
        METHODS[method](stream, domain, sets[domain][0], before, seed)
        found.append(stream.accuracy(domain, sets[domain][1]))
        before += sets[domain][0].texts
    _choose(stream.model, None)
    lost = found[0] - stream.accuracy(DOMAINS[0], sets[DOMAINS[0]][1])
    print(f"  {method}, seed {seed}: {found}, lost {lost:.2f}", file=sys.stderr, flush=True)
    return _Outcome(lost, statistics.mean(found[1:]))


METHODS = {"plain": _plain, "tei": _kept}


@functools.cache
def _outcomes(options: Options) -> dict[str, _Outcome]:
    runs = list(itertools.product(METHODS, range(options.seeds)))
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        results = dict(zip(runs, pool.map(_run, *zip(*runs, strict=True), itertools.repeat(options)), strict=True))
    return {
        method: _Outcome(
            statistics.mean(results[method, seed].lost for seed in range(options.seeds)),
            statistics.mean(results[method, seed].new for seed in range(options.seeds)),
        )
        for method in METHODS
    }


@must(7, "continual stream: first domain", "<=", 0.5, "of the loss")
def first_domain(options: Options) -> Result:
    """Accuracy lost on SST-2 after TREC and subjectivity, over what plain fine-tuning with added tokens loses."""
    found = _outcomes(options)
    ours, plain = (found[method].lost for method in ("tei", "plain"))
    return Result(ours / plain if plain > 0 else float("inf"), note=f"{ours:.2f} points against {plain:.2f}")


@must(7, "continual stream: new domains", ">=", 0.0, "points")
def new_domains(options: Options) -> Result:
    """Mean accuracy on the two later domains, right after each, less that of plain fine-tuning."""
    found = _outcomes(options)
    ours, plain = (found[method].new for method in ("tei", "plain"))
    return Result(ours - plain, note=f"{ours:.2f} % against {plain:.2f} %")
