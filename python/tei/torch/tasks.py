"""Data sets for tasks that label words."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tei.errors import EmptySourceError, InvalidInputError
from tei.torch.data import AnyTokenizer

__all__ = ["TokenClassificationDataset"]

# What cross-entropy leaves out.
IGNORED = -100


class TokenClassificationDataset(Dataset[dict[str, Tensor]]):
    """Sentences of words with a label a word, for named entities or parts of speech.

    An item is a dictionary of `input_ids`, `attention_mask` and `labels`, int64 `[max_len]`. A word's label stands at its
    first token; its other tokens, special tokens and padding have -100, which losses and `tei.torch.fine_tune` leave out.

    Args:
        words: The words of each sentence.
        labels: The class of each word, from 0.
        tokenizer: A tei tokenizer, or a fast one of transformers.
        max_len: Length of an item in tokens, special ones included; longer sentences are cut.

    Raises:
        EmptySourceError: There is no sentence.
        InvalidInputError: A sentence has another number of labels than of words, or a label is negative.

    Example:
        >>> import tei
        >>> tok = tei.Tokenizer.train(["a b ab abb"], vocab_size=10, min_count=1)
        >>> data = TokenClassificationDataset([["b", "abb"]], [[1, 2]], tok, max_len=6)
        >>> [tok.tokens[i] for i in data[0]["input_ids"]], data[0]["labels"].tolist()
        (['[CLS]', 'b', 'ab', '##b', '[SEP]', '[PAD]'], [-100, 1, 2, -100, -100, -100])
    """

    def __init__(
        self,
        words: Sequence[Sequence[str]],
        labels: Sequence[Sequence[int]],
        tokenizer: AnyTokenizer,
        max_len: int = 128,
    ) -> None:
        if not len(words):
            raise EmptySourceError("the data set has no sentence; give at least one")
        if [len(row) for row in words] != [len(row) for row in labels] or min(
            map(min, filter(None, labels)), default=0
        ) < 0:
            raise InvalidInputError(f"{len(words)} sentences do not have one label from 0 for each of their words")
        options = {"padding": "max_length", "truncation": True, "max_length": max_len}
        batch = tokenizer([list(row) for row in words], is_split_into_words=True, return_tensors="pt", **options)
        self._ids, self._mask = batch["input_ids"], batch["attention_mask"]
        places = [batch.word_ids(i) for i in range(len(words))]  # type: ignore[attr-defined]
        self._labels = torch.tensor([_aligned(row, numbers) for row, numbers in zip(places, labels, strict=True)])

    def __len__(self) -> int:
        """Number of sentences."""
        return len(self._labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One padded item."""
        return {"input_ids": self._ids[index], "attention_mask": self._mask[index], "labels": self._labels[index]}


def _aligned(places: Sequence[int | None], labels: Sequence[int]) -> list[int]:
    before = [None, *places[:-1]]
    return [
        IGNORED if word is None or word == last else labels[word] for word, last in zip(places, before, strict=True)
    ]
