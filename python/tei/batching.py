"""Texts → model inputs, by the options of a call; `rust/tei-core/src/rows.rs` writes the rows.

Results follow transformers, whose users know them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.arrays import unmasked
from tei.encoding import Batch
from tei.errors import EncodingError, InvalidInputError
from tei.options import Options
from tei.threads import threads

if TYPE_CHECKING:
    from tei.coding import Coding

__all__ = ["make_batch"]

# A program asks for a handful of kinds of rows, over and over.
KEPT_PLANS = 64


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What options come to for one tokenizer, and for texts or for pairs; kept from call to call.

    Attributes:
        options: The options.
        columns: Names of the arrays that hold an item for each place of a row.
        rows: How texts become rows.
        limit: How many ids of each text are asked for; None for all.
    """

    options: Options
    columns: list[str]
    rows: _core.RowPlan
    limit: int | None

    @classmethod
    def make(cls, tokenizer: "Coding", options: Options, count: int) -> Self:
        """The plan for `count` texts a row.

        Raises:
            InvalidInputError: If an option cannot be used.
        """
        options.check_numbers()
        template = tokenizer.spec.template
        parts = template.single if count == 1 else template.pair
        parts = tuple(part for part in parts if options.add_special_tokens or part.text is not None)
        strategy = options.strategy
        room = 0 if strategy is None else options.room(sum(part.text is None for part in parts))
        ids = [None if part.token is None else tokenizer.vocab[part.token] for part in parts]
        if options.return_tensors not in (None, "np", "pt"):
            msg = f"return_tensors is {options.return_tensors!r}, must be 'np', 'pt' or None"
            raise InvalidInputError(msg)
        left = tokenizer.spec.side("truncation") == "left"
        whole = strategy is None or options.return_overflowing_tokens or options.is_split_into_words or left
        return cls(
            options=options,
            columns=options.columns,
            rows=_core.RowPlan(
                [
                    (token, part.text or 0, part.type_id, part.further(special=options.add_special_tokens))
                    for token, part in zip(ids, parts, strict=True)
                ],
                truncation=None
                if strategy is None
                else (strategy, room, options.stride, options.return_overflowing_tokens, left),
                padding=options.pads,
                pad_id=tokenizer.pad_token_id,
                columns=options.columns,
                wide=options.is_wide,
            ),
            # One id more tells a text that is too long from one that just fits.
            limit=None if whole else room + 1,
        )


class Encoded(NamedTuple):
    """One text of each row, encoded.

    Attributes:
        ids: Ids of all texts, int32 `[n_ids]`.
        row_offsets: Where each text begins, and the end, int64 `[n_texts + 1]`.
        offsets: Start and end of each id in its text (or its word, if texts are split into words), int64 `[n_ids, 2]`.
        word_ids: Number of each id's word in its text, int64 `[n_ids]`.
        heads: The offsets of each id where it is the first of a row, if they may be others, int64 `[n_ids, 2]`.
    """

    ids: NDArray[np.int32]
    row_offsets: NDArray[np.int64]
    offsets: NDArray[np.int64] | None = None
    word_ids: NDArray[np.int64] | None = None
    heads: NDArray[np.int64] | None = None


def make_batch(tokenizer: "Coding", text: Any, text_pair: Any, options: Options) -> Batch:
    """What `Tokenizer.__call__` returns."""
    if text is None:
        raise InvalidInputError("text is None: give a str, or several in a list")
    single = isinstance(text, str | bytes)
    if options.is_split_into_words:
        text, text_pair = _listed("text", text), _listed("text_pair", text_pair)
        single = not text or isinstance(text[0], str | bytes)
    if single and not text_pair:
        # As in transformers, where an empty second text is none.
        text_pair = None
    given = [[part] if single else _kept(unmasked(part)) for part in (text, text_pair) if part is not None]
    plan = _plan(tokenizer, options, len(given))
    rows = _rows(tokenizer, given, plan)
    batch = Batch(_finish(rows, plan, single=single))
    batch.find_word_ids = partial(_word_ids, tokenizer, given, options)
    return batch


def _plan(tokenizer: "Coding", options: Options, count: int) -> Plan:
    plans = tokenizer.plans
    try:
        plan = plans.get((options, count))
    except TypeError as error:
        name, value = next(item for item in options._asdict().items() if not _is_hashable(item[1]))
        msg = f"{name} is {value!r}, a {type(value).__name__}: give one value"
        raise InvalidInputError(msg) from error
    if plan is None:
        plan = Plan.make(tokenizer, options, count)
        if len(plans) >= KEPT_PLANS:
            plans.clear()
        plans[options, count] = plan
    return plan


def _listed(name: str, words: Any) -> Any:
    """Words, or lists of words, as a list."""
    if words is None or isinstance(words, list | tuple | str | bytes):
        return words
    try:
        return list(unmasked(words, name))
    except TypeError as error:
        msg = f"{name} is {type(words)}, not a list of words, or of such lists: split it first"
        raise InvalidInputError(msg) from error


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _kept(texts: Any) -> Any:
    """Texts that can be read more than once."""
    return list(texts) if hasattr(texts, "__next__") else texts


class Rows(NamedTuple):
    """All rows of a batch.

    Attributes:
        columns: Name → all rows one after the other.
        row_offsets: Where each row begins, and the end, int64 `[n_rows + 1]`.
        samples: Number of the text or pair each row is of, int64 `[n_rows]`; None if each is of its own.
        width: The width of all rows; None if they differ.
        encoded: The texts they are made of, if offsets are asked for.
    """

    columns: dict[str, NDArray[Any]]
    row_offsets: NDArray[np.int64]
    samples: NDArray[np.int64] | None
    width: int | None
    encoded: list[Encoded]


def _rows(tokenizer: "Coding", given: Sequence[Any], plan: Plan) -> Rows:
    options, encoded = plan.options, []
    if len(given) == 1 and not (options.return_offsets_mapping or options.is_split_into_words):
        made = plan.rows.encode(tokenizer.encoder, given[0], threads(options.parallel), plan.limit)
    else:
        encoded = _encode(tokenizer, given, plan)
        if len(encoded) > 1 and len(encoded[0].row_offsets) != len(encoded[1].row_offsets):
            msg = f"{len(given[0])} texts and {len(given[1])} second texts: give a pair for each"
            raise InvalidInputError(msg)
        made = plan.rows.assemble([(e.ids, e.row_offsets) for e in encoded], threads(options.parallel))
    columns, row_offsets, samples, width = made
    return Rows(dict(zip(plan.columns, columns, strict=True)), row_offsets, samples, width, encoded)


def _encode(tokenizer: "Coding", given: Sequence[Any], plan: Plan) -> list[Encoded]:
    """Encodes the texts; no more of each than rows can hold."""
    options, limit = plan.options, plan.limit
    encode = _encode_aligned if options.return_offsets_mapping else _encode_ids
    encoded = [encode(tokenizer, texts, options, limit) for texts in given]
    if limit is not None and len(encoded) > 1 and _needs_lengths(encoded, limit - 1):
        return [encode(tokenizer, texts, options, None) for texts in given]
    return encoded


def _needs_lengths(pair: Sequence[Encoded], room: int) -> bool:
    """Whether both texts of a pair are too long: then the longer one gets the odd place, so real lengths matter."""
    lengths = [np.diff(e.row_offsets) for e in pair]
    return bool(room % 2 and len(lengths[0]) == len(lengths[1]) and np.minimum(*lengths).max(initial=0) > room)


def _encode_ids(tokenizer: "Coding", texts: Any, options: Options, limit: int | None) -> Encoded:
    flat, firsts = _flat_words(texts) if options.is_split_into_words else (texts, None)
    with _words_named(firsts):
        ids, row_offsets = tokenizer.encoder.encode_batch(flat, threads(options.parallel), limit)
    return Encoded(ids=ids, row_offsets=row_offsets if firsts is None else row_offsets[firsts])


def _encode_aligned(tokenizer: "Coding", texts: Any, options: Options, limit: int | None) -> Encoded:
    flat, firsts = _flat_words(texts) if options.is_split_into_words else (texts, None)
    encode = partial(tokenizer.encoder.encode_batch_aligned, flat, threads(options.parallel), limit)
    with _words_named(firsts):
        ids, row_offsets, offsets, word_ids = encode()
    # Only where texts are cut do rows begin within them.
    heads = encode(heads=True)[2].reshape(-1, 2) if tokenizer.spec.template.trim and options.strategy else None
    if firsts is not None:
        numbers = np.arange(firsts[-1]) - np.repeat(firsts[:-1], np.diff(firsts))
        word_ids, row_offsets = np.repeat(numbers, np.diff(row_offsets)), row_offsets[firsts]
    return Encoded(ids, row_offsets, offsets.reshape(-1, 2), word_ids, heads)


def _flat_words(texts: Iterable[Sequence[str]]) -> tuple[list[str], NDArray[np.int64]]:
    """All words of all texts, and the number of the first word of each text, and their count."""
    words: list[str] = []
    firsts = [0]
    for i, text in enumerate(texts):
        if isinstance(text, str | bytes) or not isinstance(text, Iterable):
            msg = f"texts[{i}] is {type(text)}, not a list of words: split it, or leave is_split_into_words out"
            raise InvalidInputError(msg)
        words.extend(unmasked(text, f"texts[{i}]"))
        firsts.append(len(words))
    return words, np.array(firsts, np.int64)


@contextmanager
def _words_named(firsts: NDArray[np.int64] | None) -> Iterator[None]:
    """Errors of the core count all words of all texts: they are to name the text, and the word in it."""
    try:
        yield
    except (EncodingError, InvalidInputError) as error:
        found = re.match(r"texts\[(\d+)\]", str(error))
        if firsts is None or found is None:
            raise
        word = int(found[1])
        text = int(np.searchsorted(firsts, word, "right")) - 1
        raise type(error)(f"texts[{text}][{word - firsts[text]}]{str(error)[found.end() :]}") from None


def _gather(sources: NDArray[np.int64], columns: Sequence[NDArray[np.int64] | None], other: int) -> NDArray[np.int64]:
    """What belongs to each id, from columns over all ids of each text; `other` for special tokens and padding."""
    column = np.concatenate([c for c in columns if c is not None])
    gathered = np.full((len(sources), *column.shape[1:]), other, np.int64)
    gathered[sources >= 0] = column[sources[sources >= 0]]
    return gathered


def _offsets(sources: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
    """Start and end of each id of each row in its text."""
    offsets = _gather(sources, [e.offsets for e in rows.encoded], 0)
    heads = [e.heads for e in rows.encoded]
    if heads[0] is not None and len(sources):
        before = np.roll(sources, 1)
        before[rows.row_offsets[:-1] % len(sources)] = -2
        first = (sources >= 0) & (sources != before + 1)
        offsets[first] = _gather(sources[first], heads, 0)
    return offsets


def _word_ids(tokenizer: "Coding", given: Sequence[Any], options: Options) -> list[list[int | None]]:
    """Number of the word of each id of each row; None for special tokens and padding."""
    plan = _plan(tokenizer, options._replace(return_offsets_mapping=True), len(given))
    rows = _rows(tokenizer, given, plan)
    numbers = _gather(rows.columns["sources"], [e.word_ids for e in rows.encoded], -1).tolist()
    named = [None if number < 0 else number for number in numbers]
    return [named[start:end] for start, end in pairwise(rows.row_offsets.tolist())]


def _finish(rows: Rows, plan: Plan, *, single: bool) -> dict[str, Any]:
    """What was asked for, as lists or as tensors."""
    options, arrays = plan.options, rows.columns
    if options.return_offsets_mapping:
        arrays["offset_mapping"] = _offsets(arrays.pop("sources"), rows)
    result: dict[str, Any] = {}
    if options.return_tensors is None:
        result |= {name: _lists(array, rows.row_offsets) for name, array in arrays.items()}
    elif rows.width is None:
        msg = "rows have different lengths: give padding=True to make one tensor of them, or truncation=True"
        raise InvalidInputError(msg)
    else:
        count, width = len(rows.row_offsets) - 1, rows.width
        result |= {name: array.reshape((count, width, *array.shape[1:])) for name, array in arrays.items()}
    extra = {}
    if options.return_length:
        extra["length"] = np.diff(rows.row_offsets)
    if options.return_overflowing_tokens:
        extra["overflow_to_sample_mapping"] = (
            np.arange(len(rows.row_offsets) - 1) if rows.samples is None else rows.samples
        )
    elif single and options.return_tensors is None:
        result = {name: row for name, (row,) in result.items()}
    result |= extra if options.return_tensors else {name: array.tolist() for name, array in extra.items()}
    if options.return_tensors == "pt":
        from tei.torch.tensors import from_numpy

        return dict(from_numpy(result))
    return result


def _lists(array: NDArray[Any], row_offsets: NDArray[np.int64]) -> list[Any]:
    items = array.tolist()
    if array.ndim > 1:
        items = [tuple(item) for item in items]
    return [items[start:end] for start, end in pairwise(row_offsets.tolist())]
