"""Texts for training: a labelled data set, and collation of batches."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tei.errors import EmptySourceError, InvalidInputError
from tei.torch.following import VersionedBatch
from tei.torch.tensors import from_numpy

if TYPE_CHECKING:
    from tei.torch.scheduler import VocabularyScheduler

__all__ = ["Collate", "TextClassificationDataset", "trim"]

# A tei tokenizer or one of transformers: both take and give the same.
AnyTokenizer = Callable[..., Mapping[str, Any]]


class TextClassificationDataset(Dataset[dict[str, Tensor]]):
    """Texts with class labels, encoded once and padded to one length, for any `DataLoader` or `Trainer`.

    An item is a dictionary of `input_ids` and `attention_mask`, int64 `[max_len]`, and `labels`, an int64 scalar.

    Args:
        texts: The texts.
        labels: The class of each text, from 0.
        tokenizer: A tei tokenizer, or one of transformers.
        max_len: Length of an item in tokens, special ones included; longer texts are cut.

    Raises:
        EmptySourceError: There is no text.
        InvalidInputError: Texts and labels differ in number, or a label is not an integer from 0.

    Example:
        >>> def letters(texts, **options):
        ...     return {"input_ids": [[ord(c) - 96 for c in text] for text in texts]}
        >>> data = TextClassificationDataset(["ab", "c"], [0, 1], letters, max_len=3)
        >>> data[1]
        {'input_ids': tensor([3, 0, 0]), 'attention_mask': tensor([1, 0, 0]), 'labels': tensor(1)}
        >>> data.get_vocab_index(0)
        tensor([ 1,  2, -1])
    """

    def __init__(
        self, texts: Sequence[str], labels: Sequence[int], tokenizer: AnyTokenizer, max_len: int = 128
    ) -> None:
        if not len(texts):
            raise EmptySourceError("the data set has no text; give at least one")
        if len(texts) != len(labels):
            raise InvalidInputError(f"{len(texts)} texts have {len(labels)} labels, expected one label a text")
        self.labels = _class_numbers(labels)
        self.max_len = max_len
        self._pad_id = getattr(tokenizer, "pad_token_id", None) or 0
        rows = tokenizer(list(texts), truncation=True, max_length=max_len)["input_ids"]
        self._offsets = np.cumsum([0, *map(len, rows)])
        # Ids take four bytes each and no padding here; an item is padded when it is asked for.
        self._ids = np.fromiter((token for row in rows for token in row), dtype=np.int32, count=self._offsets[-1])

    @property
    def lengths(self) -> list[int]:
        """Number of tokens of each text; by it, texts of like length come into one batch."""
        return [int(length) for length in np.diff(self._offsets)]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One padded item."""
        ids = self.get_vocab_index(index)
        mask = ids >= 0
        return {
            "input_ids": ids.masked_fill(~mask, self._pad_id),
            "attention_mask": mask.long(),
            "labels": torch.tensor(self.labels[index]),
        }

    def get_vocab_index(self, index: int) -> Tensor:
        """Places of a text's tokens in the vocabulary, with -1 where there is only padding.

        No token has the index -1, so padding cannot be mistaken for one, whatever id the padding token has;
        `BagOfTokens` takes these rows as they are.

        Args:
            index: Number of the text; negative numbers count from the end.

        Returns:
            int64 `[max_len]`.
        """
        index = range(len(self))[index]
        row = torch.full((self.max_len,), -1)
        ids = self._ids[self._offsets[index] : self._offsets[index + 1]]
        row[: len(ids)] = torch.from_numpy(ids)
        return row


class Collate:
    """Texts, with or without labels, to padded tensors: the `collate_fn` of a `DataLoader` over raw texts.

    Args:
        tokenizer: A tei tokenizer, a `VocabularyScheduler` whose vocabulary to follow, or a tokenizer of transformers.
        max_length: Greatest length of a row in tokens, special ones included.

    Example:
        >>> class Letters:
        ...     def __call__(self, texts, **options):
        ...         rows = np.array([[ord(c) - 96 for c in text.ljust(3, chr(96))] for text in texts])
        ...         return {"input_ids": rows, "attention_mask": (rows > 0).astype(np.int64)}
        >>> batch = Collate(Letters())([("abc", 1), ("d", 0)])
        >>> batch["input_ids"].tolist(), batch["labels"].tolist()
        ([[1, 2, 3], [4, 0, 0]], [1, 0])
    """

    def __init__(self, tokenizer: "AnyTokenizer | VocabularyScheduler", max_length: int = 128) -> None:
        # Not `tokenizer`: transformers' Trainer calls `save_pretrained` on a collator's attribute of that name.
        self._tokenizer: AnyTokenizer = getattr(tokenizer, "follower", cast("AnyTokenizer", tokenizer))
        self.max_length = max_length

    def __call__(self, batch: Sequence[str] | Sequence[tuple[str, int]]) -> dict[str, Tensor]:
        """Encodes a batch.

        Args:
            batch: Texts, or pairs of text and label.

        Returns:
            The tokenizer's arrays as int64 tensors `[texts, longest]`, sharing their memory, and `labels` `[texts]`; a
            `VersionedBatch` where a vocabulary is followed.
        """
        texts: Sequence[Any]
        labels: Sequence[int]
        texts, labels = (batch, ()) if isinstance(batch[0], str) else zip(*batch, strict=True)
        options: dict[str, Any] = {"padding": True, "truncation": True, "max_length": self.max_length}
        batch_encoding = self._tokenizer(texts, **options, return_tensors="np")
        arrays = {name: np.asarray(array, dtype=np.int64) for name, array in batch_encoding.items()}
        tensors = from_numpy(arrays) | ({"labels": torch.tensor(labels)} if len(labels) else {})
        if isinstance(batch_encoding, VersionedBatch):
            return VersionedBatch.of(tensors, batch_encoding.version)
        return tensors


def trim(items: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Stacks padded items and cuts the columns that are padding in all of them; a `collate_fn`.

    Args:
        items: Dictionaries of tensors of equal shapes, one of them `attention_mask` `[length]`.

    Returns:
        The same keys; whatever is as long as the mask is cut to the longest item, the rest only stacked.

    Example:
        >>> one = {"input_ids": torch.tensor([5, 0, 0]), "attention_mask": torch.tensor([1, 0, 0])}
        >>> trim([one])["input_ids"]
        tensor([[5]])
    """
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    mask = batch.get("attention_mask")
    if mask is None:
        return batch
    used = mask.any(dim=0).nonzero()
    width = int(used[-1]) + 1 if len(used) else 1
    # Models may view a batch in another shape, which a part of a larger tensor does not allow.
    return {
        name: value[:, :width].contiguous() if value.shape == mask.shape else value for name, value in batch.items()
    }


def _class_numbers(labels: Sequence[int]) -> list[int]:
    numbers = np.asarray(labels)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or numbers.min() < 0:
        raise InvalidInputError(f"labels such as {labels[0]!r} are not class numbers; number the classes from 0")
    return [int(number) for number in numbers]
