"""Token shards as a data set of torch: texts that were encoded once, read from disk as they are asked for."""

import os
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from tei.errors import EmptySourceError, InvalidInputError
from tei.shards import TokenShards

__all__ = ["TokenDataset", "pad"]


class TokenDataset(Dataset[Tensor]):
    r"""Rows of token shards, or all their tokens in blocks of one length, as language models are trained with.

    Works with any number of workers of a loader, which map the same files. Ids do not follow a vocabulary that changes:
    the shards say which tokenizer they were made with.

    Args:
        shards: What `Tokenizer.encode_files` wrote, or its directory.
        block: Tokens an item; the rows are taken as one sequence, and what is left at the end is left out. None: an item
            is a row.

    Attributes:
        lengths: Tokens of each item, int64; for `LengthBuckets`.

    Raises:
        InvalidInputError: The block is not of at least one token.
        EmptySourceError: There is no row, or fewer tokens than one block.

    Example:
        >>> import tempfile, pathlib, tei
        >>> tok = tei.Tokenizer.train(["a b c"], vocab_size=11, min_count=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (pathlib.Path(folder) / "lines.txt").write_text("a b\nc\na c\n")
        ...     _ = tok.encode_files(pathlib.Path(folder) / "lines.txt", out=pathlib.Path(folder) / "tokens")
        ...     rows = TokenDataset(pathlib.Path(folder) / "tokens")
        ...     blocks = TokenDataset(pathlib.Path(folder) / "tokens", block=2)
        ...     [tok.decode(row.tolist()) for row in rows], [tok.decode(block.tolist()) for block in blocks]
        (['a b', 'c', 'a c'], ['a b', 'c a'])
    """

    def __init__(self, shards: TokenShards | str | os.PathLike[str], block: int | None = None) -> None:
        self.shards = shards if isinstance(shards, TokenShards) else TokenShards(shards)
        if block is not None and block < 1:
            raise InvalidInputError(f"block is {block}, must be at least 1 token, or None for rows")
        self.block = block
        self._starts = list(accumulate((len(shard.ids) for shard in self.shards.shards), initial=0))
        self.lengths = self._lengths()
        if not len(self.lengths):
            raise EmptySourceError(f"{self.shards} has no item of {block or 'any'} tokens; encode more text")

    def __len__(self) -> int:
        """Number of items."""
        return len(self.lengths)

    def __getitem__(self, index: int) -> Tensor:
        """The ids of an item, int64."""
        index = range(len(self))[index]
        ids = self.shards[index] if self.block is None else self._tokens(index * self.block, self.block)
        return torch.from_numpy(ids.astype(np.int64))

    def _lengths(self) -> NDArray[np.int64]:
        if self.block is None:
            return np.concatenate(
                [np.diff(shard.row_offsets) for shard in self.shards.shards] or [np.zeros(0, np.int64)]
            )
        return np.full(self._starts[-1] // self.block, self.block, np.int64)

    def _tokens(self, start: int, count: int) -> NDArray[Any]:
        """Tokens of the whole sequence, which may lie in several shards."""
        parts = [
            shard.ids[max(start - first, 0) : max(start + count - first, 0)]
            for shard, first in zip(self.shards.shards, self._starts, strict=False)
        ]
        return np.concatenate(parts)


def pad(rows: Sequence[Tensor], pad_id: int = 0) -> dict[str, Tensor]:
    """Puts rows of different lengths into one array; a `collate_fn`, with `functools.partial` for another padding.

    Args:
        rows: int64 `[n]` each.
        pad_id: What follows the shorter ones.

    Returns:
        `input_ids` and `attention_mask`, int64 `[rows, longest]`.

    Example:
        >>> pad([torch.tensor([5]), torch.tensor([6, 7])])["input_ids"].tolist()
        [[5, 0], [6, 7]]
    """
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=pad_id)
    return {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}
