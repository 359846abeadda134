"""Musts of training while the vocabulary changes: loader, workers, checkpoints."""

import itertools
import os
import random
import signal
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tei
from must import Options, Result, must
from must.corpora import adaptation_texts
from tei.demo import model_directory
from tei.policy import Decision, Evidence, Grow

BATCH = 256
BYTES = 138


def _texts(count: int) -> list[str]:
    """Texts of 138 bytes, cut from English paragraphs."""
    training, _ = adaptation_texts("novels", 40_000_000)
    joined = " ".join(text for text in training if text.isascii())
    pieces = [joined[i : i + BYTES] for i in range(0, len(joined) - BYTES, BYTES)]
    return list(itertools.islice(itertools.cycle(pieces), count))


def _tokenizer() -> tei.Tokenizer:
    return tei.Tokenizer.from_pretrained(model_directory())


def _seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


@must(7, "loader throughput", ">=", 0.8, "of the encoder's")
def loader_throughput(options: Options) -> Result:
    """138-byte texts → padded tensors through a `DataLoader` in one process, against the tokenizer's own calls.

    Both make batches of 256 padded arrays on one thread from the same texts in the same order.
    """
    import torch
    from torch.utils.data import DataLoader

    import tei.torch as tt

    torch.set_num_threads(1)
    texts, tokenizer = _texts(20_000 if options.quick else 100_000), _tokenizer()
    call: dict[str, Any] = {
        "padding": True,
        "truncation": True,
        "max_length": 128,
        "return_tensors": "np",
        "parallel": False,
    }
    batches = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
    data = tt.TextDataset(texts)

    class Serial(tt.Collate):
        def __init__(self) -> None:
            super().__init__(lambda batch, **more: tokenizer(batch, **more, parallel=False))

    loader = DataLoader(data, batch_sampler=tt.LengthBuckets(data.lengths, BATCH, shuffle=False), collate_fn=Serial())
    ratios, padded, ragged = [], [], []
    for _ in range(2 if options.quick else 9):
        padded.append(_seconds(lambda: [tokenizer(batch, **call) for batch in batches]))
        ragged.append(_seconds(lambda: [tokenizer.encode_batch(batch, parallel=False) for batch in batches]))
        ratios.append(padded[-1] / _seconds(lambda: list(map(len, loader))))
    size = len(texts) * BYTES / 1e6
    note = f"encoder {size / min(padded):.0f} MB/s padded, {size / min(ragged):.0f} MB/s ids alone; one thread"
    return Result(statistics.median(ratios), note=note)


class _OneWord:
    """A policy that adds one frequent word after the other, at next to no cost of its own."""

    def __init__(self, words: list[str]) -> None:
        self._words = iter(words)

    def decide(self, evidence: Evidence) -> Decision:  # noqa: ARG002
        """Adds the next word."""
        return Decision.of(add=[next(self._words)])


class _Stream:
    """A loader with four persistent workers, and a scheduler that its workers follow."""

    def __init__(self, texts: list[str], growths: int, batch: int) -> None:
        import torch
        from torch.utils.data import DataLoader

        import tei.torch as tt

        self.texts = texts
        tokenizer = tei.Tokenizer.train(texts[:20_000], vocab_size=8_000)
        words = [word for word, _ in tokenizer.count(texts).most_common() if word not in tokenizer.vocab]
        # Row i holds the number i, so that a row that is not its token's shows.
        self.model = torch.nn.Embedding.from_pretrained(torch.arange(8_000.0)[:, None])  # type: ignore[no-untyped-call]
        number = itertools.count(8_000)
        self.scheduler = tt.VocabularyScheduler(
            tokenizer,
            self.model,
            policy=_OneWord(words[:growths]),
            init=lambda *_: torch.tensor([[float(next(number))]]),
        )
        data = tt.TextDataset(texts, range(len(texts)))
        # Four workers are more than some machines have processors.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        self.loader = DataLoader(
            data,
            batch_sampler=tt.LengthBuckets(data.lengths, batch),
            collate_fn=tt.Collate(self.scheduler),
            num_workers=4,
            persistent_workers=True,
            multiprocessing_context="fork",
        )
        self.batches = self._endless()

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.loader

    def grow(self) -> None:
        self.scheduler.observe(["a"])
        self.scheduler.step()

    def cpu(self) -> float:
        """CPU seconds of this process and all workers."""
        iterator: Any = self.loader._iterator
        ids = [os.getpid(), *(worker.pid for worker in iterator._workers)]
        return sum(int(Path(f"/proc/{i}/schedstat").read_text().split()[0]) for i in ids) / 1e9


@must(7, "growths: wrong rows", "<=", 0, "rows")
def growths_wrong_rows(options: Options) -> Result:
    """Rows of batches that differ from what the tokenizer of the batch's version makes of them, over 1,000 growths.

    A vocabulary of 8,000 tokens grows by one after every third batch of 32 texts, with four persistent workers. A row of
    two versions is wrong in either; so is a batch of a future version, and an id whose embedding row is another's.
    """
    import torch

    torch.set_num_threads(1)
    growths = 100 if options.quick else 1_000
    stream = _Stream(_texts(20_000), growths, 32)
    tokenizers, wrong, rows, behind = {0: stream.scheduler.tokenizer}, 0, 0, []
    call: dict[str, Any] = {"padding": True, "truncation": True, "max_length": 128, "return_tensors": "pt"}
    for number, batch in enumerate(itertools.islice(stream.batches, 3 * growths + 30)):
        expected = tokenizers[batch.version]([stream.texts[i] for i in batch["labels"]], **call)["input_ids"]
        found = batch["input_ids"]
        same = (
            (found == expected).all(1) if found.shape == expected.shape else torch.zeros(len(found), dtype=torch.bool)
        )
        same &= (stream.model(found)[..., 0] == found).all(1)
        wrong, rows = wrong + int((~same).sum()), rows + len(same)
        behind.append(stream.scheduler.version - batch.version)
        if number % 3 == 2 and stream.scheduler.version < growths:
            stream.grow()
            tokenizers[stream.scheduler.version] = stream.scheduler.tokenizer
            tokenizers.pop(stream.scheduler.version - 60, None)
    return Result(
        wrong,
        note=f"{rows:,} rows, {stream.scheduler.version:,} growths, batches up to {max(behind)} versions old, "
        f"last {behind[-1]}",
    )


@must(7, "growths: throughput lost", "<=", 2.0, "%")
def growths_throughput(options: Options) -> Result:
    """CPU time of loader and workers that growth costs, as a share of what they need between two growths.

    Batches of 256 texts of 138 bytes, four persistent workers, nothing but loading. 1,000 growths of a vocabulary of 8,000,
    one every ten batches, against as many batches without; from that, the cost of a growth (published, picked up by each
    worker, and its word cache filled again), and the share it would be at one every 1,000 batches.
    """
    import torch

    torch.set_num_threads(1)
    growths, every = (100 if options.quick else 1_000), 10
    stream = _Stream(_texts(100_000), growths, 256)
    next(stream.batches)
    with_growth: list[float] = []
    without: list[float] = []
    planning = 0.0
    for _ in range(growths // 50):
        for costs, grows in ((without, False), (with_growth, True)):
            start, planned = stream.cpu(), 0.0
            for number, _batch in enumerate(itertools.islice(stream.batches, 50 * every)):
                if grows and number % every == 0:
                    planned += _seconds(stream.grow)
            costs.append(stream.cpu() - start - planned)
            planning += planned
    batch = statistics.median(without) / (50 * every)
    growth = (statistics.median(with_growth) - statistics.median(without)) / 50
    return Result(
        100 * (growth + planning / growths) / (1_000 * batch),
        note=f"{1e3 * batch:.2f} ms a batch, {1e3 * growth:.1f} ms a growth in four workers, "
        f"and {1e3 * planning / growths:.1f} ms in the scheduler",
    )


STEPS = 60


def _job(folder: Path, losses: Path) -> None:
    """Trains a small classifier from its newest checkpoint on; a checkpoint every step, a growth every fourth."""
    import torch

    import tei.torch as tt

    torch.set_num_threads(1)
    torch.manual_seed(0)
    texts = _texts(480)
    tokenizer = tei.Tokenizer.train(texts, vocab_size=300)
    model = torch.nn.Sequential(torch.nn.EmbeddingBag(300, 16), torch.nn.Dropout(0.1), torch.nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = tt.VocabularyScheduler(tokenizer, model, optimizer, Grow(4))
    data = tt.TextDataset(texts, [len(text.split()) % 2 for text in texts])
    sampler = tt.LengthBuckets(data.lengths, 16)
    loader = tt.ResumableLoader(data, batch_sampler=sampler, collate_fn=tt.Collate(scheduler))
    parts: dict[str, Any] = {"vocabulary": scheduler, "model": model, "optimizer": optimizer}
    checkpoints = tt.Checkpoints(folder, {**parts, "loader": loader, "random": tt.RandomState()})
    step = checkpoints.resume() or 0
    while step < STEPS:
        for batch in itertools.islice(loader, STEPS - step):
            scheduler.observe(batch)
            loss = torch.nn.functional.cross_entropy(model(batch["input_ids"]), batch["labels"])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            with losses.open("a") as file:
                file.write(f"{step} {float(loss.item()).hex()}\n")
            if step % 4 == 0:
                scheduler.step()
            checkpoints.save(step)


def _run(folder: Path, losses: Path, *, seconds: float | None = None) -> bool:
    """Runs the job in a process of its own, killed after so many seconds; whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            _job(folder, losses)
            os._exit(0)
        finally:
            os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the job has failed by itself"
    return os.WIFEXITED(status)


@must(7, "kill -9: loss curve", "<=", 0.0, "max |Δ|")
def kill_and_resume(options: Options) -> Result:
    """Largest difference of any loss of a run that is killed again and again from that of a run that is not.

    A checkpoint every step and growth every fourth, so most kills fall into a checkpoint; the moments are random.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, generator, kills = Path(name), random.Random(0), 0
        start = time.perf_counter()
        assert _run(folder / "whole", folder / "expected")
        seconds = time.perf_counter() - start
        expected = dict(line.split() for line in (folder / "expected").read_text().splitlines())
        while kills < (3 if options.quick else 20) and not _run(
            folder / "killed", folder / "found", seconds=generator.uniform(0.05, 0.25) * seconds
        ):
            kills += 1
        assert _run(folder / "killed", folder / "found")
        found = [line.split() for line in (folder / "found").read_text().splitlines()]
    assert {step for step, _ in found} == set(expected) == {str(step + 1) for step in range(STEPS)}
    worst = max(abs(float.fromhex(loss) - float.fromhex(expected[step])) for step, loss in found)
    return Result(worst, note=f"{kills} kills, {STEPS} steps, {len(found) - STEPS} of them done again")
