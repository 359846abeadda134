"""Workers of a data loader follow the vocabulary: each batch is of one version, and of a right one."""

import multiprocessing
import pickle

import pytest
import torch
from torch.utils.data import DataLoader

from runs import Run, Scripted, texts
from tei.errors import MismatchError, SizeError
from tei.torch import Collate, LengthBuckets, TextDataset, TextStream, VersionedBatch
from tei.torch.channel import Channel, Position
from tei.torch.following import Follower, publish_all

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]

TEXTS = texts(3, 400)


def check(batch: VersionedBatch, tokenizers: dict, max_length: int = 12) -> None:
    """A batch equals what the tokenizer of its version makes of its texts, whose numbers are its labels."""
    chosen = [TEXTS[i] for i in batch["labels"].tolist()]
    expected = tokenizers[batch.version](
        chosen, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert torch.equal(batch["attention_mask"], expected["attention_mask"])


def changes() -> Scripted:
    """Growth, tombstones, return."""
    names = [a + b + c for a in "abcd" for b in "abcd" for c in "ef"]
    steps = [([name], []) for name in names]
    steps[7:9] = [([], [names[2], names[3]]), ([names[2]], [names[4]])]
    return Scripted(*steps)


@pytest.mark.parametrize(("method", "workers"), [(None, 0), ("fork", 1), ("fork", 4), ("spawn", 2), ("forkserver", 2)])
def test_batches_of_all_versions_are_right(method: str | None, workers: int) -> None:
    run = Run(changes())
    data = TextDataset(TEXTS, range(len(TEXTS)))
    loader = DataLoader(
        data,
        batch_sampler=LengthBuckets(data.lengths, 10),
        collate_fn=Collate(run.scheduler, max_length=12),
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context=method,
    )
    tokenizers, seen = {0: run.tokenizer}, set()
    for epoch in range(2):
        for i, batch in enumerate(loader):
            check(batch, tokenizers)
            seen.add(batch.version)
            run.scheduler.observe(batch)
            if i % 4 == 3 and run.scheduler.version < 12:
                run.scheduler.step()
                tokenizers[run.scheduler.version] = run.scheduler.tokenizer
        if epoch == 0:
            run.scheduler.compact()
            tokenizers[run.scheduler.version] = run.scheduler.tokenizer
    assert len(seen) > 3
    assert max(seen) == run.scheduler.version


def test_streams_give_the_same_batches_for_any_number_of_workers(tmp_path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    run = Run()

    def batches(workers: int, stream: TextStream) -> list[list[list[int]]]:
        loader = DataLoader(stream, batch_size=None, collate_fn=Collate(run.scheduler), num_workers=workers)
        return [batch["input_ids"].tolist() for batch in loader]

    alone = batches(0, TextStream(path, batch_size=7))
    assert alone == batches(3, TextStream(path, batch_size=7))
    assert alone == [Collate(run.tokenizer)(TEXTS[i : i + 7])["input_ids"].tolist() for i in range(0, len(TEXTS), 7)]
    halves = [batches(2, TextStream(path, batch_size=7, rank=rank, ranks=2)) for rank in (0, 1)]
    assert [batch for pair in zip(*halves, strict=False) for batch in pair] == alone[: 2 * len(halves[1])]
    with pytest.raises(ValueError, match="an iterator cannot be read by several workers"):
        batches(2, TextStream(iter(TEXTS)))


def test_pinning_and_moving_keep_the_version() -> None:
    run = Run(Scripted((["abcd"], [])))
    run.scheduler.observe(TEXTS)
    run.scheduler.step()
    batch = Collate(run.scheduler)(TEXTS[:3])
    assert batch.to("cpu").version == pickle.loads(pickle.dumps(batch)).version == 1
    loader = DataLoader(TextDataset(TEXTS), batch_size=8, collate_fn=Collate(run.scheduler), pin_memory=True)
    assert next(iter(loader)).version == 1


def test_tensors_share_the_memory_of_the_arrays() -> None:
    run = Run()
    arrays = {}

    class Kept(Follower):
        def __call__(self, *args, **options):
            made = super().__call__(*args, **options)
            arrays.update(made)
            return made

    run.scheduler.follower = Kept(run.tokenizer, Channel())
    batch = Collate(run.scheduler)(TEXTS[:3])
    for name, array in arrays.items():
        assert batch[name].data_ptr() == array.__array_interface__["data"][0]


def _write(channel: Channel, count: int) -> None:
    for version in range(1, count + 1):
        change = {"number": version, "filler": "x" * (version * 7 % 50)}
        if not channel.publish(version, change):
            channel.restart(version, {"number": version, "everything": True})


def test_readers_never_see_half_a_change_while_the_log_begins_anew() -> None:
    channel, count = Channel(capacity=1000), 3000
    writer = multiprocessing.get_context("fork").Process(target=_write, args=(channel, count))
    writer.start()
    position, last, restarts = Position(), 0, 0
    while last < count:
        changes, position = channel.read(position)
        for change in changes:
            # Either the next one, or a summary of all that were missed.
            assert change["number"] == last + 1 or ("everything" in change and change["number"] >= last)
            restarts += "everything" in change
            last = change["number"]
        assert position.version == last
    writer.join()
    assert restarts > 1


def test_a_full_log_begins_anew_and_a_small_channel_is_refused() -> None:
    run = Run(changes())
    run.scheduler._channel = Channel(capacity=640)
    run.scheduler.follower = late = Follower(run.tokenizer, run.scheduler._channel)
    for _ in range(10):
        run.scheduler.observe(TEXTS[:9])
        run.scheduler.step()
    assert run.scheduler._channel.position.generation > 0
    tokenizer, version = late.current()
    assert (tokenizer.fingerprint, version) == (run.scheduler.tokenizer.fingerprint, 10)
    with pytest.raises(SizeError, match="holds 40 bytes"):
        publish_all(Channel(capacity=40), 1, run.tokenizer)


def test_a_broken_log_is_an_error_and_no_endless_wait(monkeypatch) -> None:
    monkeypatch.setattr("tei.torch.channel.PATIENCE", 0.05)
    channel = Channel()
    channel.publish(1, {"added": ["x"]})
    channel._log[20] ^= 1
    with pytest.raises(MismatchError, match="cannot be read"):
        channel.read(Position())
