"""Texts → model inputs: what the arguments of `Tokenizer.__call__` mean; the rows are written by `rust/tei-core/src/rows.rs`.

Arguments and results follow transformers, whose users know them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tei import _core
from tei.encoding import Batch
from tei.errors import InvalidInputError
from tei.threads import threads

if TYPE_CHECKING:
    from tei.coding import Coding
    from tei.special_tokens import Part

__all__ = ["Options", "make_batch"]

STRATEGIES = ("longest_first", "only_first", "only_second")


@dataclass(frozen=True, kw_only=True)
class Options:
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


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One text of each row, encoded.

    Attributes:
        ids: Ids of all texts, int32 `[n_ids]`.
        row_offsets: Where each text begins, and the end, int64 `[n_texts + 1]`.
        offsets: Start and end of each id in its text (or its word, if texts are split into words), int64 `[n_ids, 2]`.
        word_ids: Number of each id's word in its text, int64 `[n_ids]`.
    """

    ids: NDArray[np.int32]
    row_offsets: NDArray[np.int64]
    offsets: NDArray[np.int64] | None = None
    word_ids: NDArray[np.int64] | None = None


def make_batch(tokenizer: "Coding", text: Any, text_pair: Any, options: Options) -> Batch:
    """What `Tokenizer.__call__` returns."""
    single = isinstance(text, str | bytes)
    if options.is_split_into_words:
        single = not len(text) or isinstance(text[0], str | bytes)
    if single and not text_pair:
        # As in transformers, where an empty second text is none.
        text_pair = None
    given = [[part] if single else _kept(part) for part in (text, text_pair) if part is not None]
    arrays, row_offsets, samples, encoded = _rows(tokenizer, given, options)
    if options.return_offsets_mapping:
        arrays["offset_mapping"] = _gather(arrays.pop("sources"), [e.offsets for e in encoded], 0)
    batch = _finish(arrays, row_offsets, options)
    if options.return_length:
        batch["length"] = np.diff(row_offsets) if options.return_tensors else np.diff(row_offsets).tolist()
    if options.return_overflowing_tokens:
        batch["overflow_to_sample_mapping"] = samples if options.return_tensors else samples.tolist()
    if options.return_tensors == "pt":
        from tei.torch.tensors import from_numpy

        batch = Batch(from_numpy(batch))
    elif single and options.return_tensors is None and not options.return_overflowing_tokens:
        batch = Batch({name: rows[0] if name != "length" else rows for name, rows in batch.items()})
    batch.find_word_ids = partial(_word_ids, tokenizer, given, options)
    return batch


def _kept(texts: Any) -> Any:
    """Texts that can be read more than once."""
    return list(texts) if isinstance(texts, Iterator) else texts


def _rows(
    tokenizer: "Coding", given: Sequence[Any], options: Options
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64], NDArray[np.int64], list[Encoded]]:
    """Columns of all rows one row after the other, where each row begins, and the text it is of."""
    parts = _parts(tokenizer, len(given), options)
    strategy = options.strategy
    room = 0 if strategy is None else options.room(sum(part.text is None for part in parts))
    encoded = _encode(tokenizer, given, options, None if strategy is None else room)
    if len({len(e.row_offsets) for e in encoded}) > 1:
        msg = f"{len(given[0])} texts and {len(given[1])} second texts: give a pair for each"
        raise InvalidInputError(msg)
    columns, row_offsets, samples = _core.assemble(
        [(e.ids, e.row_offsets) for e in encoded],
        [(None if part.token is None else tokenizer.vocab[part.token], part.text or 0, part.type_id) for part in parts],
        truncation=None if strategy is None else (strategy, room, options.stride, options.return_overflowing_tokens),
        padding=options.pads,
        pad_id=tokenizer.pad_token_id,
        columns=options.columns,
        wide=np.dtype(options.dtype) == np.int64,
    )
    return dict(zip(options.columns, columns, strict=True)), row_offsets, samples, encoded


def _parts(tokenizer: "Coding", count: int, options: Options) -> list["Part"]:
    template = tokenizer.spec.template
    parts = template.single if count == 1 else template.pair
    return [part for part in parts if options.add_special_tokens or part.text is not None]


def _encode(tokenizer: "Coding", given: Sequence[Any], options: Options, room: int | None) -> list[Encoded]:
    """Encodes the texts; no more than needed if only the first `room` ids are."""
    if options.return_offsets_mapping:
        return [_encode_aligned(tokenizer, texts, options) for texts in given]
    if options.return_overflowing_tokens or options.is_split_into_words:
        room = None
    # One id more tells a text that is too long from one that just fits.
    limit = None if room is None else room + 1
    cut = [_encode_ids(tokenizer, texts, options, limit) for texts in given]
    if room is not None and room % 2 and len(cut) == 2 and len(cut[0].row_offsets) == len(cut[1].row_offsets):
        # Where both are too long, the longer one gets the odd place, so their real lengths matter.
        short = np.minimum(*(np.diff(e.row_offsets) for e in cut))
        if short.max(initial=0) > room:
            return [_encode_ids(tokenizer, texts, options, None) for texts in given]
    return cut


def _encode_ids(tokenizer: "Coding", texts: Any, options: Options, limit: int | None) -> Encoded:
    flat, firsts = _flat_words(texts) if options.is_split_into_words else (texts, None)
    ids, row_offsets = tokenizer.encoder.encode_batch(flat, threads(options.parallel), limit)
    return Encoded(ids=ids, row_offsets=row_offsets if firsts is None else row_offsets[firsts])


def _encode_aligned(tokenizer: "Coding", texts: Any, options: Options) -> Encoded:
    flat, firsts = _flat_words(texts) if options.is_split_into_words else (texts, None)
    ids, row_offsets, offsets, word_ids = tokenizer.encoder.encode_batch_aligned(flat, threads(options.parallel))
    if firsts is not None:
        numbers = np.arange(firsts[-1]) - np.repeat(firsts[:-1], np.diff(firsts))
        word_ids, row_offsets = np.repeat(numbers, np.diff(row_offsets)), row_offsets[firsts]
    return Encoded(ids=ids, row_offsets=row_offsets, offsets=offsets.reshape(-1, 2), word_ids=word_ids)


def _flat_words(texts: Iterable[Sequence[str]]) -> tuple[list[str], NDArray[np.int64]]:
    """All words of all texts, and the number of the first word of each text, and their count."""
    words: list[str] = []
    firsts = [0]
    for i, text in enumerate(texts):
        if isinstance(text, str | bytes):
            msg = f"texts[{i}] is {type(text)}, not a list of words: split it, or leave is_split_into_words out"
            raise InvalidInputError(msg)
        words.extend(text)
        firsts.append(len(words))
    return words, np.array(firsts, np.int64)


def _gather(sources: NDArray[np.int64], columns: Sequence[NDArray[np.int64] | None], other: int) -> NDArray[np.int64]:
    """What belongs to each id, from columns over all ids of each text; `other` for special tokens and padding."""
    column = np.concatenate([c for c in columns if c is not None])
    gathered = np.full((len(sources), *column.shape[1:]), other, np.int64)
    gathered[sources >= 0] = column[sources[sources >= 0]]
    return gathered


def _word_ids(tokenizer: "Coding", given: Sequence[Any], options: Options) -> list[list[int | None]]:
    """Number of the word of each id of each row; None for special tokens and padding."""
    options = replace(options, return_offsets_mapping=True)
    arrays, row_offsets, _, encoded = _rows(tokenizer, given, options)
    numbers = _gather(arrays["sources"], [e.word_ids for e in encoded], -1).tolist()
    named = [None if number < 0 else number for number in numbers]
    return [named[start:end] for start, end in pairwise(row_offsets.tolist())]


def _finish(arrays: dict[str, NDArray[Any]], row_offsets: NDArray[np.int64], options: Options) -> Batch:
    """Flat columns as lists of rows, or as matrices."""
    if options.return_tensors is None:
        return Batch({name: _lists(array, row_offsets) for name, array in arrays.items()})
    if options.return_tensors not in ("np", "pt"):
        msg = f"return_tensors is {options.return_tensors!r}, must be 'np', 'pt' or None"
        raise InvalidInputError(msg)
    widths = np.diff(row_offsets)
    if len(widths) and widths.min() != widths.max():
        msg = "rows have different lengths: give padding=True to make one tensor of them, or truncation=True"
        raise InvalidInputError(msg)
    shape = (len(widths), int(widths[0]) if len(widths) else 0)
    return Batch({name: array.reshape(*shape, *array.shape[1:]) for name, array in arrays.items()})


def _lists(array: NDArray[Any], row_offsets: NDArray[np.int64]) -> list[Any]:
    items = array.tolist()
    if array.ndim > 1:
        items = [tuple(item) for item in items]
    return [items[start:end] for start, end in pairwise(row_offsets.tolist())]
