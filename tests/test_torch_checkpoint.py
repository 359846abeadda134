"""A run that is killed at any moment and resumed has the losses of one that was not."""

import os
import signal
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import assert_same, snapshot
from runs import Run, Scripted, texts
from tei.errors import FileFormatError, InvalidInputError, MismatchError
from tei.torch import Checkpoints, Collate, LengthBuckets, RandomState, ResumableLoader, TextDataset
from tei.torch.checkpoint import _deep, _flat

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]

STEPS = 14
TEXTS = texts(4, 60)
FILE_EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.scandir", "os.listdir", "shutil.rmtree")


@pytest.fixture(autouse=True, scope="module")
def _no_flushing():
    """A killed process loses nothing that it has written; only a power cut would, and flushing takes the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


class Job:
    """A training job that checkpoints every third step, changes its vocabulary every second, and can be resumed."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.run = Run(Scripted((["abcd", "dcba"], []), ([], ["abcd"]), (["aabb", "abcd"], []), *[([], [])] * 9), seed)
        data = TextDataset(TEXTS, [i % 2 for i in range(len(TEXTS))])
        self.loader = ResumableLoader(
            data, batch_sampler=LengthBuckets(data.lengths, 6), collate_fn=Collate(self.run.scheduler)
        )
        run = self.run
        parts = {"vocabulary": run.scheduler, "model": run.model, "optimizer": run.optimizer}
        self.checkpoints = Checkpoints(folder, {**parts, "loader": self.loader, "random": RandomState()})

    def train(self, before_save=lambda step: None) -> tuple[int, list[float]]:
        """Step it begins at, and the loss of each step from there on."""
        step = begin = self.checkpoints.resume() or 0
        losses = []
        while step < STEPS:
            for batch in self.loader:
                self.run.scheduler.observe(batch)
                losses.append(self.run.train(batch))
                step += 1
                if step % 2 == 0:
                    self.run.scheduler.step()
                if step % 3 == 0:
                    before_save(step)
                    self.checkpoints.save(step)
                if step == STEPS:
                    break
        return begin, losses


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[float]:
    torch.set_num_threads(1)
    begin, losses = Job(tmp_path_factory.mktemp("whole")).train()
    assert begin == 0
    assert len(set(losses)) == STEPS
    return losses


def killed_while_saving(folder: Path, step: int, moment: int) -> bool:
    """Trains in another process, which is killed at some touch of the file system during a save; False if there are fewer."""
    child = os.fork()
    if child == 0:
        touched = -(10**9)

        def watch(event: str, args: object) -> None:
            nonlocal touched
            if event in FILE_EVENTS:
                touched += 1
                if touched == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        def start(at: int) -> None:
            nonlocal touched
            if at == step:
                touched = -1
            elif at > step:
                os._exit(0)

        sys.addaudithook(watch)
        Job(folder).train(start)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("step", [3, 9])
def test_killed_at_any_moment_of_a_checkpoint(tmp_path, whole, step: int) -> None:
    moment, begins = 0, set()
    while killed_while_saving(tmp_path / str(moment), step, moment):
        # Before the first checkpoint only the seed makes a run what it is; after it, the checkpoint.
        job = Job(tmp_path / str(moment), seed=0 if step == 3 else 7)
        begin, losses = job.train()
        assert losses == whole[begin:]
        begins.add(begin)
        assert [path.name for path in (tmp_path / str(moment)).iterdir() if path.name.startswith(".")] == []
        assert len(job.checkpoints.steps()) == 2
        moment += 1
    assert moment > 10
    assert begins == {step - 3, step}


def test_a_resumed_run_is_the_run(tmp_path, whole) -> None:
    job = Job(tmp_path)
    assert job.train()[1] == whole
    other = Job(tmp_path, seed=5)
    other.checkpoints.resume(9)
    assert other.loader.state_dict() == {"epoch": 0, "batches": 9}
    assert other.checkpoints.resume() == 12
    begin, losses = Job(tmp_path, seed=5).train()
    assert losses == whole[begin:]
    again = Job(tmp_path)
    again.train()
    assert_same(snapshot(job.run.model, job.run.optimizer), snapshot(again.run.model, again.run.optimizer))
    assert job.run.scheduler.tokenizer.fingerprint == again.run.scheduler.tokenizer.fingerprint


def test_the_place_of_a_loader_with_workers_is_that_of_its_consumer() -> None:
    data = TextDataset(TEXTS)

    def loader() -> ResumableLoader:
        return ResumableLoader(
            data,
            batch_sampler=LengthBuckets(data.lengths, 4, seed=3),
            collate_fn=list,
            num_workers=2,
            persistent_workers=True,
        )

    expected, first, left = loader(), loader(), loader()
    epochs = [list(expected), list(expected)]
    assert epochs[0] != epochs[1]
    assert sorted(map(str, epochs[0])) != sorted(map(str, epochs[1]))
    taken = [batch for batch, _ in zip(first, range(6), strict=False)]
    left.load_state_dict(first.state_dict() | {"batches": len(taken)})
    assert taken + list(left) == epochs[0]
    assert list(left) == epochs[1]


def test_batches_of_like_length_hold_every_text_once_and_share_them_between_ranks() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 5000)
    for shuffle in (True, False):
        whole = list(LengthBuckets(lengths, 8, shuffle=shuffle))
        assert sorted(chain.from_iterable(whole)) == list(range(5000))
        assert max(np.ptp(lengths[batch]) for batch in whole) <= 10
        parts = [list(LengthBuckets(lengths, 8, shuffle=shuffle, rank=rank, ranks=3)) for rank in range(3)]
        assert [len(part) for part in parts] == [208] * 3
        assert [batch for batches in zip(*parts, strict=True) for batch in batches] == whole[:624]
    with pytest.raises(InvalidInputError, match="rank 3 of 3"):
        LengthBuckets(lengths, 8, rank=3, ranks=3)
    with pytest.raises(InvalidInputError, match="cannot start in the middle"):
        ResumableLoader(TextDataset(TEXTS), batch_size=3)


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
leaves |= st.lists(st.floats(width=32), max_size=3).map(torch.tensor)
states = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
)


def same(one: object, two: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and one.numpy().tobytes() == two.numpy().tobytes()
    if isinstance(one, dict):
        return list(one) == list(two) and all(map(same, one.values(), two.values()))
    if isinstance(one, list | tuple):
        return type(one) is type(two) and len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and one == two


@given(states)
def test_any_state_survives(state: object) -> None:
    tensors: dict[str, torch.Tensor] = {}
    assert same(state, _deep(_flat(state, "part", tensors), tensors))


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path) -> None:
    job = Job(tmp_path)
    job.train()
    before = snapshot(job.run.model)
    newest = tmp_path / "step-000000012"
    for name, message in (("state.json", "was altered|not a JSON"), ("tensors.safetensors", "checksum does not fit")):
        good = (newest / name).read_bytes()
        (newest / name).write_bytes(good.replace(b"0", b"1", 1))
        with pytest.raises(FileFormatError, match=message):
            job.checkpoints.resume()
        (newest / name).write_bytes(good)
    with pytest.raises(MismatchError, match=r"holds .*'loader'.*, not"):
        Checkpoints(tmp_path, {"model": job.run.model}).resume()
    with pytest.raises(FileFormatError, match="step-000000001"):
        job.checkpoints.resume(1)
    with pytest.raises(InvalidInputError, match="keep is 0"):
        Checkpoints(tmp_path, {}, keep=0)

    class Bad:
        def state_dict(self) -> dict[str, object]:
            return {"key": [object()]}

    with pytest.raises(InvalidInputError, match="'bad/key/0' is object"):
        Checkpoints(tmp_path, {"bad": Bad()}).save(99)
    assert 99 not in job.checkpoints.steps()
    assert_same(before, snapshot(job.run.model))
    assert Checkpoints(tmp_path / "none", {}).resume() is None


def test_a_checkpoint_of_another_vocabulary_is_refused(tmp_path) -> None:
    job = Job(tmp_path)
    job.train()
    other = Job(tmp_path)
    other.run.scheduler._base = "0" * 16
    with pytest.raises(MismatchError, match="of a run that began with vocabulary"):
        other.checkpoints.resume()
