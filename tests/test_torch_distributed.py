"""Two processes train one model: they agree on every change of the vocabulary, or all of them raise."""

import multiprocessing
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from runs import Run, Scripted, texts
from tei import Tokenizer
from tei.policy import Grow
from tei.torch import Ranks, VocabularyScheduler

Job = Callable[[int], object]


def _start(rank: int, folder: Path, job: Job, queue: multiprocessing.Queue) -> None:
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo", f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=60)
        )
        result = job(rank)
    except Exception as error:  # noqa: BLE001 -- it is the result
        result = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    queue.put((rank, result))
    # A rank that stays away must not be waited for when the group is taken down.
    queue.close()
    queue.join_thread()


def both(folder: Path, job: Job) -> list[object]:
    """What the job returns, or the error it raises, on either rank."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_start, args=(rank, folder, job, queue)) for rank in (0, 1)]
    for process in processes:
        process.start()
    results = dict(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(timeout=60)
    return [results[0], results[1]]


def scheduler(run: Run, policy: object, timeout: float = 30.0) -> VocabularyScheduler:
    return VocabularyScheduler(run.tokenizer, run.model, run.optimizer, policy, ranks=Ranks(timeout))


def test_ranks_agree_on_every_plan_and_count_together(tmp_path) -> None:
    def job(rank: int) -> object:
        run = Run()
        sched = scheduler(run, Grow(3))
        for epoch in range(3):
            # The second rank sees nothing in the first epoch.
            sched.observe(texts(2 * epoch + rank, 30 if rank == 0 or epoch else 0))
            sched.step()
        return sched.tokenizer.fingerprint, sched.version, run.model.table.weight.tolist(), dict(sched.metrics)

    one, two = both(tmp_path, job)
    assert one == two
    alone = Run(Grow(3))
    for epoch in range(3):
        alone.scheduler.observe(texts(2 * epoch, 30) + (texts(2 * epoch + 1, 30) if epoch else []))
        alone.scheduler.step()
    assert one[0] == alone.scheduler.tokenizer.fingerprint
    assert one[3] == alone.scheduler.metrics


def test_a_rank_with_another_vocabulary_raises_on_all(tmp_path) -> None:
    def job(rank: int) -> object:
        run = Run()
        if rank == 1:
            run.tokenizer = Tokenizer.train(["ab ba"], vocab_size=9, min_count=1)
        return scheduler(run, Grow(1))

    for result in both(tmp_path, job):
        assert "MismatchError: vocabulary differs between ranks" in result


def test_ranks_that_drift_apart_raise_at_the_next_step(tmp_path) -> None:
    def job(rank: int) -> object:
        run = Run()
        sched = scheduler(run, Scripted((["abcd"], []), (["dcba"], [])))
        sched.observe(texts(0, 5))
        sched.step()
        if rank == 1:
            sched._live = sched._run = sched._run.revised(["other"])
        sched.observe(texts(0, 5))
        sched.step()
        return "no error"

    for result in both(tmp_path, job):
        assert "MismatchError" in result


def test_an_error_of_one_rank_is_an_error_of_all(tmp_path) -> None:
    def job(rank: int) -> object:
        run = Run()
        sched = scheduler(run, Scripted((["abcd"], [])))
        sched.observe(texts(0, 5))
        if rank == 1:
            sched._apply = lambda plan: [][rank]
        sched.step()
        return "no error"

    one, two = both(tmp_path, job)
    assert "MismatchError: vocabulary: failed elsewhere, on rank (1, 'IndexError" in one
    assert two.startswith("IndexError")


def test_a_policy_that_fails_on_rank_0_fails_everywhere(tmp_path) -> None:
    def job(rank: int) -> object:
        run = Run()
        sched = scheduler(run, Scripted())
        sched.observe(texts(0, 5))
        sched.step()
        return "no error"

    one, two = both(tmp_path, job)
    assert one.startswith("IndexError")
    assert "MismatchError: rank 0 could not make a plan: IndexError" in two


@pytest.mark.parametrize("absent", [0, 1])
def test_a_rank_that_stays_away_is_not_waited_for_longer_than_the_timeout(tmp_path, absent: int) -> None:
    def job(rank: int) -> object:
        run = Run()
        sched = scheduler(run, Grow(1), timeout=1.5)
        sched.observe(texts(0, 5))
        if rank == absent:
            time.sleep(6)
            return "away"
        start = time.monotonic()
        try:
            sched.step()
        except ValueError as error:
            return type(error).__name__, str(error), time.monotonic() - start
        return "no error"

    name, message, seconds = both(tmp_path, job)[1 - absent]
    assert name == "MismatchError"
    assert f"rank {1 - absent} has waited up to 1.5 s" in message
    assert seconds < 5


def test_without_a_process_group_there_are_no_ranks() -> None:
    with pytest.raises(ValueError, match="call init_process_group first"):
        Ranks()
