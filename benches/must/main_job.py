"""Musts of the main job: a smaller vocabulary under a real MiniLM-L6, with the same behaviour."""

import functools
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tei
from must import Options, Result, must
from must.corpora import adaptation_texts, labelled
from tei.demo import load_texts, model_directory

# Task and the most texts to train with. One pass over 3,000 leaves the seeds of one job two points apart, two passes do
# not; all of it takes about an hour on two cores.
TASKS = {"en_trec": 6_000, "en_sst2": 3_000, "en_subjectivity": 3_000}


def _count(tokenizer: Any, texts: list[str]) -> int:
    return len(tokenizer.encode_batch(texts).ids)


def _parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _encoder() -> tuple[Any, Any]:
    from transformers import AutoModel

    return AutoModel.from_pretrained(model_directory()).eval(), tei.Tokenizer.from_pretrained(model_directory())


def _hidden(model: Any, tokenizer: Any, texts: list[str]) -> Any:
    import torch

    batch = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.inference_mode():
        return model(**batch).last_hidden_state * batch["attention_mask"][..., None]


@must(3, "used-token trim", "<=", 1e-6, "max |Δ|")
def used_token_trim(options: Options) -> Result:
    """Largest change of any output of MiniLM on a text set after trimming to the tokens that set uses."""
    import tei.torch as tt

    texts = list(load_texts("train").texts)[: 200 if options.quick else 1_000]
    model, tokenizer = _encoder()
    before = [_hidden(model, tokenizer, texts[i : i + 50]) for i in range(0, len(texts), 50)]
    counts = tei.count_words(texts, tokenizer.scheme)
    curve = tokenizer.plan(counts, size=tokenizer.vocab_size - 1).curve
    size = int(np.min(curve["size"][curve["tokens"] <= np.min(curve["tokens"])]))
    plan = tokenizer.plan(counts, size=size)
    tt.apply(plan, model)
    small = tokenizer.apply(plan)
    after = [_hidden(model, small, texts[i : i + 50]) for i in range(0, len(texts), 50)]
    change = max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))
    return Result(change, note=f"{tokenizer.vocab_size:,} → {small.vocab_size:,} tokens, {len(texts)} texts")


@dataclass(frozen=True)
class _KernelJob:
    parameters: float
    tokens: float
    spearman: float
    cosine: float
    vocabulary: int


@functools.cache
def _kernel_job() -> _KernelJob:
    from tei.torch import adapt, fidelity

    training, held_out = adaptation_texts("kernel")
    old_model, old = _encoder()
    model, _ = _encoder()
    model, new, _ = adapt(model, old, training, size=4_000, grow=2_000)
    sentences = [text for text in held_out if len(text) < 500][:250]
    same = fidelity(old_model, model, old, new, sentences)
    return _KernelJob(
        100 * (_parameters(model) / _parameters(old_model) - 1),
        100 * (_count(new, held_out) / _count(old, held_out) - 1),
        same.spearman,
        same.cosine,
        new.vocab_size,
    )


@must(3, "kernel docs: parameters", "<=", -41.0, "%")
def kernel_parameters(_: Options) -> Result:
    """Change of MiniLM's parameters at 4,000 tokens kept and 2,000 grown on kernel documentation."""
    job = _kernel_job()
    return Result(job.parameters, note=f"{job.vocabulary:,} tokens")


@must(3, "kernel docs: tokens", "<=", -4.0, "%")
def kernel_tokens(_: Options) -> Result:
    """Change of the held-out text's length in tokens, same job."""
    return Result(_kernel_job().tokens, note="held-out paragraphs, against the original 30,522 tokens")


@must(3, "kernel docs: Spearman", ">=", 0.88, "rho")
def kernel_spearman(_: Options) -> Result:
    """Rank correlation of sentence similarities between original and adapted model, untrained, same job."""
    job = _kernel_job()
    return Result(job.spearman, note=f"250 held-out paragraphs, cosine {job.cosine:.4f}")


@dataclass(frozen=True)
class _Accuracies:
    """Mean accuracy over the seeds in percent: original, `size='auto'`, 4,000 + 2,000; and the vocabulary sizes."""

    means: tuple[float, float, float]
    sizes: tuple[int, int, int]


JOBS: tuple[dict[str, Any], ...] = ({}, {"size": "auto", "grow": "auto"}, {"size": 4_000, "grow": 2_000})


@functools.cache
def _accuracies(options: Options) -> dict[str, _Accuracies]:
    """Trains every job on every task with every seed, one thread each: two threads on one model waste a quarter."""
    runs = list(itertools.product(TASKS, range(len(JOBS)), range(options.seeds)))
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        results = dict(zip(runs, pool.map(_train, *zip(*runs, strict=True), itertools.repeat(options)), strict=True))
    return {
        task: _summary([[results[task, job, i] for i in range(options.seeds)] for job in range(3)]) for task in TASKS
    }


def _summary(jobs: list[list[tuple[float, int]]]) -> _Accuracies:
    means = [statistics.mean(accuracy for accuracy, _ in job) for job in jobs]
    sizes = [job[0][1] for job in jobs]
    return _Accuracies((means[0], means[1], means[2]), (sizes[0], sizes[1], sizes[2]))


def _train(task: str, job: int, seed: int, options: Options) -> tuple[float, int]:
    import torch
    from transformers import AutoModelForSequenceClassification, set_seed

    import tei.torch as tt

    torch.set_num_threads(1)
    set_seed(seed)
    training, test = labelled(task, limit=300 if options.quick else TASKS[task])
    model = AutoModelForSequenceClassification.from_pretrained(model_directory(), num_labels=training.classes)
    tokenizer = tei.Tokenizer.from_pretrained(model_directory())
    if JOBS[job]:
        model, tokenizer, _ = tt.adapt(model, tokenizer, training.texts, **JOBS[job])
    sets = [tt.TextClassificationDataset(part.texts, part.labels, tokenizer, max_len=64) for part in (training, test)]
    result = tt.fine_tune(model, *sets, batch_size=16, epochs=2, learning_rate=1e-4, seed=seed)
    accuracy = 100 * float(result.accuracy or 0)
    print(f"  {task}, {JOBS[job]}, seed {seed}: {accuracy:.2f} %, {result.seconds:.0f} s", file=sys.stderr, flush=True)
    return accuracy, tokenizer.vocab_size


def _loss_of_accuracy(which: int, options: Options) -> Result:
    results = _accuracies(options)
    losses = {task: result.means[0] - result.means[which] for task, result in results.items()}
    parts = [
        f"{task} {result.means[0]:.2f} → {result.means[which]:.2f} ({result.sizes[which]:,} tokens)"
        for task, result in results.items()
    ]
    return Result(max(losses.values()), note="; ".join(parts))


@must(3, "accuracy: size auto", "<=", 0.5, "points lost")
def accuracy_auto(options: Options) -> Result:
    """Worst loss over three tasks after the same fine-tuning, vocabulary size chosen by the data."""
    return _loss_of_accuracy(1, options)


@must(3, "accuracy: 4,000 + 2,000", "<=", 1.0, "points lost")
def accuracy_fixed(options: Options) -> Result:
    """Worst loss over three tasks after the same fine-tuning, 4,000 tokens kept and 2,000 grown."""
    return _loss_of_accuracy(2, options)


IMPORT = """
import json, sys, time, numpy
before = set(sys.modules)
start = time.perf_counter()
import tei
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""


@must(3, "import time", "<=", 30.0, "ms")
def import_time(_: Options) -> Result:
    """Time of `import tei` beyond numpy in a fresh process, best of seven; infinite if it loads torch or transformers."""
    commands = [subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True) for _ in range(7)]
    runs = [json.loads(command.stdout) for command in commands]
    heavy = {"torch", "transformers"} & {name.partition(".")[0] for _, names in runs for name in names}
    best = min(seconds for seconds, _ in runs)
    return Result(
        float("inf") if heavy else 1000 * best, note=f"loads {', '.join(sorted(heavy)) or 'no heavy package'}"
    )


@must(3, "demo", "<=", 120.0, "s")
def demo_seconds(_: Options) -> Result:
    """Wall time of `tei demo`, process start included."""
    command = [str(Path(sys.executable).with_name("python")), "-m", "tei", "demo", "--no-picture"]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return Result(time.perf_counter() - start)
