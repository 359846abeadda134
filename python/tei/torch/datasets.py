"""Raw texts as data sets of torch: in memory, or read as they come; and batches of texts of like length."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, get_worker_info

from tei.errors import EmptySourceError, InvalidInputError
from tei.sources import Source, read_batches

__all__ = ["LengthBuckets", "ResumableLoader", "TextDataset", "TextStream"]

# Batches of texts of like length are cut from this many texts at a time, so that the order stays nearly random.
POOL_BATCHES = 100


class TextDataset(Dataset[Any]):
    """Texts in memory, encoded batch by batch by `Collate`, so that they follow a vocabulary that changes.

    An item is a text, or a pair of text and label.

    Args:
        texts: The texts.
        labels: The class of each text; None for texts alone.

    Raises:
        EmptySourceError: There is no text.
        InvalidInputError: Texts and labels differ in number.

    Example:
        >>> TextDataset(["a", "b"], [0, 1])[1]
        ('b', 1)
    """

    def __init__(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> None:
        if not len(texts):
            raise EmptySourceError("the data set has no text; give at least one")
        if labels is not None and len(texts) != len(labels):
            raise InvalidInputError(f"{len(texts)} texts have {len(labels)} labels, expected one label a text")
        self.lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        self._items: list[Any] = list(texts) if labels is None else list(zip(texts, labels, strict=True))

    def __len__(self) -> int:
        """Number of texts."""
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        """One item."""
        return self._items[index]

    def __getitems__(self, indices: list[int]) -> Sequence[Any]:
        """A batch of items; the loader asks for one at once."""
        return itemgetter(*indices)(self._items) if len(indices) > 1 else [self._items[i] for i in indices]


class LengthBuckets(Sampler[list[int]]):
    """Batches of texts of like length in a random order, the same for the same seed and epoch: little padding.

    For `DataLoader(batch_sampler=...)`; `ResumableLoader` sets epoch and start.

    Args:
        lengths: Length of each text, in any unit.
        batch_size: Texts a batch.
        shuffle: False: in order of the texts, only each pool sorted by length.
        seed: Seed of the order.
        rank: Which part of the batches this process takes.
        ranks: Number of parts; all get equally many batches.

    Raises:
        InvalidInputError: A number is out of range.

    Example:
        >>> sorted(map(sorted, LengthBuckets([5, 1, 4, 2], batch_size=2)))
        [[0, 2], [1, 3]]
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray[Any, Any],
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < ranks:
            raise InvalidInputError(
                f"batch_size {batch_size} and rank {rank} of {ranks}: at least 1, and rank below ranks"
            )
        self._lengths = np.asarray(lengths)
        self._batch_size, self._shuffle, self._seed = batch_size, shuffle, seed
        self._rank, self._ranks = rank, ranks
        self._epoch = self._skip = 0

    def start(self, epoch: int, skip: int) -> None:
        """Where the next iteration begins: epoch, and how many of its batches are left out."""
        self._epoch, self._skip = epoch, skip

    def __len__(self) -> int:
        """Number of batches an epoch, for this rank."""
        return -(-len(self._lengths) // self._batch_size) // self._ranks

    def __iter__(self) -> Iterator[list[int]]:
        """Lists of places of texts."""
        generator = np.random.default_rng((self._seed, self._epoch))
        order = np.arange(len(self._lengths))
        if self._shuffle:
            generator.shuffle(order)
        pool = self._batch_size * POOL_BATCHES
        pools = [order[i : i + pool] for i in range(0, len(order), pool)]
        ordered = np.concatenate([part[np.argsort(self._lengths[part], kind="stable")] for part in pools])
        starts = np.arange(0, len(order), self._batch_size)
        if self._shuffle:
            generator.shuffle(starts)
        mine = starts[self._rank : len(self) * self._ranks : self._ranks]
        for start in mine[self._skip :].tolist():
            yield ordered[start : start + self._batch_size].tolist()


class TextStream(IterableDataset[list[str]]):
    """Batches of texts read from files or any iterable, in order; the same batches for any number of workers.

    For `DataLoader(stream, batch_size=None, collate_fn=Collate(...))`: worker `i` of `n` makes batches `i`, `i + n`, …,
    which is the order in which a loader asks for them. Each worker reads all texts; reading is the cheap part.

    Args:
        source: Texts or files, see `tei.count_words`; an iterator can be read once only, and by one worker.
        batch_size: Texts a batch.
        field: Field (JSONL) or column (CSV) of the texts.
        rank: Which part of the batches this process takes.
        ranks: Number of parts.

    Example:
        >>> list(TextStream(["a", "b", "c"], batch_size=2))
        [['a', 'b'], ['c']]
    """

    def __init__(
        self, source: Source, batch_size: int = 32, *, field: str | None = None, rank: int = 0, ranks: int = 1
    ) -> None:
        if batch_size < 1 or not 0 <= rank < ranks:
            raise InvalidInputError(
                f"batch_size {batch_size} and rank {rank} of {ranks}: at least 1, and rank below ranks"
            )
        self._source, self._batch_size, self._field = source, batch_size, field
        self._rank, self._ranks = rank, ranks
        # In shared memory: persistent workers keep the copy of this object that they were started with.
        self._skip = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def start(self, epoch: int, skip: int) -> None:  # noqa: ARG002 -- every epoch has the same order
        """Where the next iteration begins: how many batches are left out."""
        self._skip[0] = skip

    def __iter__(self) -> Iterator[list[str]]:
        """Lists of texts."""
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1 and isinstance(self._source, Iterator):
            raise InvalidInputError(
                "an iterator cannot be read by several workers; give a list or files, or num_workers=1"
            )
        place, places = (0, 1) if worker is None else (worker.id, worker.num_workers)
        mine = islice(self._batches(), self._rank, None, self._ranks)
        return islice(mine, int(self._skip[0]) + place, None, places)

    def _batches(self) -> Iterator[list[str]]:
        texts: list[str] = []
        for part in read_batches(self._source, field=self._field):
            texts.extend(part)
            whole = len(texts) - len(texts) % self._batch_size
            for start in range(0, whole, self._batch_size):
                yield texts[start : start + self._batch_size]
            del texts[:whole]
        if texts:
            yield texts


class ResumableLoader(DataLoader[Any]):
    """A `DataLoader` that goes on where it was: `state_dict` counts the batches given out, not those made ahead.

    Takes what `DataLoader` takes; batches must come from a `LengthBuckets` or a `TextStream`, or from any batch sampler
    or data set with a method `start(epoch, skip)`.

    Raises:
        InvalidInputError: Neither batch sampler nor data set can start in the middle.

    Example:
        >>> data = TextDataset(["a", "bb", "ccc"])
        >>> loader = ResumableLoader(data, batch_sampler=LengthBuckets(data.lengths, 1, shuffle=False), collate_fn=list)
        >>> loader.load_state_dict({"epoch": 0, "batches": 2})
        >>> list(loader), loader.state_dict()
        ([['ccc']], {'epoch': 1, 'batches': 0})
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        # The global generator must not be drawn from: after a resume, one draw more would change every dropout.
        super().__init__(*args, **{"generator": torch.Generator(), **options})
        self._parts: list[Any] = [part for part in (self.batch_sampler, self.dataset) if hasattr(part, "start")]
        if not self._parts:
            raise InvalidInputError(
                "batches must come from LengthBuckets or TextStream; others cannot start in the middle"
            )
        self._epoch = self._given = self._start = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """The batches of an epoch, or of what is left of it after `load_state_dict`."""
        self._given, self._start = self._start, 0
        for part in self._parts:
            part.start(self._epoch, self._given)
        for batch in super().__iter__():
            self._given += 1
            yield batch
        self._epoch, self._given = self._epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Epoch, and batches given out in it."""
        return {"epoch": self._epoch, "batches": self._given}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Makes the next iteration go on from a state."""
        self._epoch, self._given = int(state["epoch"]), int(state["batches"])
        self._start = self._given
