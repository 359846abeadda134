"""The arguments of `Tokenizer.__call__`: what each may be, and what they ask for together; as those of transformers."""

import operator
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from tei.errors import InvalidInputError

__all__ = ["Options"]

STRATEGIES = ("longest_first", "only_first", "only_second")
# What no memory could hold; a length that is larger can only be a mistake.
MOST_IDS = 1 << 48


class Options(NamedTuple):
    """The arguments of `Tokenizer.__call__`, see there."""

    padding: bool | str
    truncation: bool | str | None
    max_length: int | None
    stride: int
    is_split_into_words: bool
    add_special_tokens: bool
    pad_to_multiple_of: int | None
    padding_side: str
    return_tensors: str | None
    return_token_type_ids: bool
    return_attention_mask: bool
    return_overflowing_tokens: bool
    return_special_tokens_mask: bool
    return_offsets_mapping: bool
    return_length: bool
    dtype: DTypeLike
    parallel: bool | None

    def check_numbers(self) -> None:
        """Looks at what must be a number of ids.

        Raises:
            InvalidInputError: If one is no integer, negative, or beyond any memory.
        """
        for name in ("max_length", "stride", "pad_to_multiple_of"):
            value = getattr(self, name)
            if value is None and name != "stride":
                continue
            try:
                fits = 0 <= operator.index(value) <= MOST_IDS
            except TypeError:
                fits = False
            if not fits:
                default = "0" if name == "stride" else "None"
                msg = f"{name} is {value!r}, must be an integer from 0 to {MOST_IDS}: give one of them, or {default}"
                raise InvalidInputError(msg)

    @property
    def strategy(self) -> str | None:
        """Which text is cut; None for none.

        Raises:
            InvalidInputError: If it is unknown.
        """
        truncation = self.truncation
        if truncation is None:
            # As in transformers: a length alone asks for truncation, unless rows are padded.
            truncation = self.max_length is not None and self.padding is False
        strategy = truncation if isinstance(truncation, str) else "longest_first" if truncation else "do_not_truncate"
        if strategy not in (*STRATEGIES, "do_not_truncate"):
            msg = f"truncation is {strategy!r}, must be one of {', '.join(STRATEGIES)}, do_not_truncate"
            raise InvalidInputError(msg)
        return None if strategy == "do_not_truncate" or self.max_length is None else strategy

    def room(self, special: int) -> int:
        """How many ids of text a row may hold beside its special tokens.

        Raises:
            InvalidInputError: If that is less than none.
        """
        room = (self.max_length or 0) - special
        if room < 0:
            msg = f"max_length leaves {room} places for text: it must be larger than the number of special tokens"
            raise InvalidInputError(msg)
        return room

    @property
    def pads(self) -> tuple[int | None, int, bool] | None:
        """Least width (None: the longest row), multiple, and whether padding comes first; None for no padding.

        Raises:
            InvalidInputError: If padding or its side is unknown, or `max_length` without a length.
        """
        if self.padding_side not in ("right", "left"):
            msg = f"padding_side is {self.padding_side!r}, must be 'right' or 'left'"
            raise InvalidInputError(msg)
        if self.padding is False or self.padding == "do_not_pad":
            return None
        if self.padding is not True and self.padding not in ("longest", "max_length"):
            msg = f"padding is {self.padding!r}, must be a bool, 'longest', 'max_length' or 'do_not_pad'"
            raise InvalidInputError(msg)
        if self.padding == "max_length" and self.max_length is None:
            msg = "padding='max_length' needs max_length: give it, or pad to the longest row"
            raise InvalidInputError(msg)
        width = self.max_length if self.padding == "max_length" else None
        return width, self.pad_to_multiple_of or 1, self.padding_side == "left"

    @property
    def is_wide(self) -> bool:
        """Whether tensors are int64.

        Raises:
            InvalidInputError: If they are neither that nor int32.
        """
        dtype = np.dtype(self.dtype)
        if dtype not in (np.int32, np.int64):
            msg = f"dtype is {dtype}, must be int64 or int32"
            raise InvalidInputError(msg)
        return bool(dtype == np.int64)

    @property
    def columns(self) -> list[str]:
        """Names of the arrays of the result that hold an item for each place of a row."""
        asked = {
            "input_ids": True,
            "token_type_ids": self.return_token_type_ids,
            "attention_mask": self.return_attention_mask,
            "special_tokens_mask": self.return_special_tokens_mask,
            "sources": self.return_offsets_mapping,
        }
        return [name for name, wanted in asked.items() if wanted]
