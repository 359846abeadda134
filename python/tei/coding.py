"""What a tokenizer does with texts: it turns them into ids, into model inputs, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from tei import _core, batching
from tei.arrays import as_ids, unmasked
from tei.encoding import Batch, Encoding, Ragged
from tei.options import Options
from tei.threads import threads
from tei.vocabulary import Vocabulary

if TYPE_CHECKING:
    import os

    from tei.pretrained import TokenizerSpec
    from tei.scheme import Scheme
    from tei.shards import TokenShards
    from tei.text_files import Paths

__all__ = ["Coding", "Texts", "compiled"]


class _Array(Protocol):
    """An array that speaks Arrow's C interface."""

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]: ...


class _Stream(Protocol):
    """A sequence of arrays that speaks Arrow's C interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


#: Whatever `encode_batch` reads texts from.
Texts = Iterable[str] | Iterable[bytes] | NDArray[Any] | _Array | _Stream


class Coding:
    """The part of `Tokenizer` that looks at texts: a vocabulary, its rules, and what they do.

    Args:
        spec: Vocabulary and rules.
        encoder: The compiled form of both, if there is one already.
    """

    def __init__(self, spec: TokenizerSpec, encoder: _core.Encoder | None = None) -> None:
        self._spec = spec
        self.plans: dict[tuple[Options, int], batching.Plan] = {}
        self._encoder = compiled(spec) if encoder is None else encoder

    @property
    def encoder(self) -> _core.Encoder:
        """The compiled encoder."""
        return self._encoder

    @property
    def spec(self) -> TokenizerSpec:
        """Everything the tokenizer is, as plain data."""
        return self._spec

    @property
    def scheme(self) -> Scheme:
        """How text becomes words."""
        return self._spec.scheme

    @property
    def tokens(self) -> tuple[str, ...]:
        """Tokens in id order."""
        return self._spec.tokens

    @cached_property
    def vocab(self) -> Vocabulary:
        """Token → id."""
        return Vocabulary(self._spec.tokens)

    @property
    def vocab_size(self) -> int:
        """Number of tokens, special ones included."""
        return len(self._spec.tokens)

    @cached_property
    def special_tokens(self) -> tuple[str, ...]:
        """Special tokens in id order: those with a role, in the template, or declared special."""
        declared = [token.content for token in self._spec.added_tokens if token.special]
        special = {*self._spec.roles.values(), *self._spec.template.tokens, *declared, self.scheme.unknown_token}
        return tuple(sorted(special - {""}, key=self.vocab.__getitem__))

    def __getattr__(self, name: str) -> Any:
        """`pad_token`, `pad_token_id` and the like: the token of a role, its id, or None."""
        role = name.removesuffix("_id")
        if name.startswith("_") or not role.endswith("_token"):
            raise AttributeError(name)
        token = self._spec.roles.get(role)
        return token if role == name or token is None else self.vocab[token]

    def __len__(self) -> int:
        return self.vocab_size

    def encode(self, text: str | bytes) -> Encoding:
        """Encodes one text in full detail, without special tokens around it.

        Args:
            text: Any str, or bytes that hold UTF-8. A lone surrogate counts as U+FFFD. The bytes scheme takes any bytes,
                and lone surrogates as they are.

        Returns:
            Ids, tokens, offsets (in characters of a str, in bytes of bytes) and word numbers, equal to those of
            `tokenizers`.

        Raises:
            EncodingError: If bytes are not UTF-8 and the scheme is not the bytes scheme.
            InvalidInputError: If the text is neither str nor bytes.

        Example:
            >>> import tei
            >>> tok = tei.Tokenizer.train(["ab abc"], vocab_size=13, min_count=1)
            >>> tok.encode("ab, AB").offsets
            [(0, 2), (2, 3), (4, 6)]
        """
        ids, offsets, word_ids = self._encoder.encode_aligned(text)
        return Encoding(ids, [self.tokens[i] for i in ids], offsets, word_ids)

    def encode_batch(self, texts: Texts, *, parallel: bool | None = None) -> Ragged:
        """Encodes texts to ids, without special tokens around them.

        Args:
            texts: A list, a tuple or another iterable of `str`, or of `bytes` that hold UTF-8; a numpy array of one
                dimension (dtype U, S, object or StringDType); or any array of strings that speaks Arrow's C interface
                (pyarrow, polars, …). A `str`, `bytes` and Arrow's strings are read without a copy. In the bytes scheme
                `bytes` may hold anything.
            parallel: Use all processors, one, or (None) what suits the size of the batch; in processes made by another
                (`multiprocessing`, fork) None means one.

        Raises:
            EncodingError: If bytes are not UTF-8 and must be; the message gives the text's index and the byte's offset.
            InvalidInputError: If an element is not a str, or is masked; the message gives its index.

        Example:
            >>> import tei
            >>> tok = tei.Tokenizer.train(["a b c"], vocab_size=11, min_count=1)
            >>> tok.encode_batch(["a", "b c"]).row_offsets.tolist()
            [0, 1, 3]
        """
        # For one short text, looking for a mask takes as long as a tenth of all.
        if not isinstance(texts, list):
            unmasked(texts)
        return Ragged(*self._encoder.encode_batch(texts, threads(parallel)))

    def encode_files(
        self,
        paths: Paths,
        separator: str | None = "\n",
        *,
        field: str | None = None,
        out: str | os.PathLike[str] | None = None,
        dtype: Literal["int32", "smallest"] = "int32",
        shard_tokens: int = 1 << 26,
        overwrite: bool = False,
        parallel: bool | None = None,
    ) -> Ragged | TokenShards:
        r"""Encodes the texts of files, without special tokens around them, and without an object of Python per text.

        Texts are what `str.split(separator)` makes of a file, but for an empty one at its end: a separator there ends
        the last text. Empty texts in between are texts. With `'\n'`, a carriage return at the end of a line is no part
        of it.

        Args:
            paths: A path or several; a name that ends in `.jsonl`, `.ndjson` or `.csv` says what the file holds, any
                other is a text file; `.gz`, `.xz` and `.zst` are unpacked. CSV is read as a whole.
            separator: What stands between the texts of a text file; None: each file is one text.
            field: The field (JSONL, where blank lines are no texts) or column (CSV) that holds the text; `text` if None.
            out: Directory for token shards. If it holds some of the same tokenizer, inputs and options that were not
                finished, work goes on after the last whole one. Memory then holds the ids of 16 MiB of text, or of the
                longest text.
            dtype: Type of the ids in shards: int32, or the smallest unsigned one that holds the vocabulary.
            shard_tokens: A shard ends with the text that brings it to this many ids, or to this many texts.
            overwrite: Replace the shards in `out`, whatever they were made of.
            parallel: As in `encode_batch`; what is read and how it is cut never depends on it.

        Returns:
            All rows in memory; if `out` is given, [`TokenShards`][tei.shards.TokenShards].

        Raises:
            EncodingError: If a file is not UTF-8; the message gives the file and the byte's offset.
            FileFormatError: If a file cannot be read, or a line is not JSON; the message gives its number.
            InvalidInputError: If the separator is empty, or a line has no text in the field.
            MismatchError: If `out` holds shards of another tokenizer, of other inputs or options.
            OutputError: If the shards cannot be written, as on a full disk; only whole ones are left.
            OutputExistsError: If `out` holds anything but shards.

        Example:
            >>> import tei, tempfile, pathlib
            >>> tok = tei.Tokenizer.train(["a b c"], vocab_size=11, min_count=1)
            >>> with tempfile.NamedTemporaryFile("w+") as file:
            ...     _ = file.write("a;b c;"), file.flush()
            ...     tok.encode_files(file.name, ";").row_offsets.tolist()
            [0, 1, 3]
        """
        from tei.text_files import encode_files

        return encode_files(
            self,
            paths,
            separator=separator,
            field=field,
            out=out,
            dtype=dtype,
            shard_tokens=shard_tokens,
            overwrite=overwrite,
            parallel=parallel,
        )

    def decode(self, ids: ArrayLike, *, skip_special_tokens: bool = False) -> str:
        """Text of a row of ids.

        Args:
            ids: Integers; ids outside the vocabulary are left out.
            skip_special_tokens: Whether added tokens that are declared special are left out.

        Returns:
            The text. In the bytes scheme it is the very text that was encoded; ids that stand for no text, as half a
            character does, give U+FFFD there.

        Raises:
            InvalidInputError: If something is no integer; the message gives its index.
        """
        if self.scheme.is_lossless:
            return _text(self.decode_bytes(ids, skip_special_tokens=skip_special_tokens))
        ids = as_ids(ids, self.vocab_size)
        return self._encoder.decode(ids, self._skipped(skip_special_tokens), self._spec.decoding)

    def decode_bytes(self, ids: ArrayLike, *, skip_special_tokens: bool = False) -> bytes:
        r"""The bytes that a row of ids stands for: in the bytes scheme, exactly those that were encoded.

        Args:
            ids: Integers; ids outside the vocabulary are left out.
            skip_special_tokens: Whether added tokens that are declared special are left out.

        Example:
            >>> import tei
            >>> tok = tei.Tokenizer.train(["a b"], scheme=tei.Scheme.bytes(), vocab_size=256)
            >>> tok.decode_bytes(tok.encode(b"caf\xe9").ids)
            b'caf\xe9'
        """
        if not self.scheme.is_lossless:
            return self.decode(ids, skip_special_tokens=skip_special_tokens).encode()
        return self._encoder.decode_bytes(as_ids(ids, self.vocab_size), self._skipped(skip_special_tokens))

    def decode_batch(
        self, rows: Iterable[ArrayLike], *, skip_special_tokens: bool = False, parallel: bool | None = None
    ) -> list[str]:
        """Texts of several rows of ids, see [`decode`][tei.coding.Coding.decode].

        Args:
            rows: A [`Ragged`][tei.encoding.Ragged], an array `[n_rows, width]`, or any rows of integers.
            skip_special_tokens: Whether added tokens that are declared special are left out.
            parallel: As in `encode_batch`.

        Example:
            >>> import tei
            >>> tok = tei.Tokenizer.train(["a b c"], vocab_size=11, min_count=1)
            >>> tok.decode_batch(tok.encode_batch(["a", "b c"]))
            ['a', 'b c']
        """
        if isinstance(rows, Ragged):
            ids, row_offsets = as_ids(rows.ids, self.vocab_size), rows.row_offsets
        else:
            parts = [as_ids(row, self.vocab_size, f"rows[{i}]") for i, row in enumerate(rows)]
            ids = np.concatenate([np.zeros(0, np.uint32), *parts])
            row_offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        skip = self._skipped(skip_special_tokens)
        return self._encoder.decode_batch(ids, row_offsets, skip, self._spec.decoding, threads(parallel))

    def _skipped(self, special: bool) -> NDArray[np.bool_]:  # noqa: FBT001 -- an option passed on
        return self._special_mask if special else np.zeros(0, bool)

    @cached_property
    def _special_mask(self) -> NDArray[np.bool_]:
        mask = np.zeros(self.vocab_size, bool)
        mask[[self.vocab[token] for token in self._spec.skipped]] = True
        return mask

    def __call__(
        self,
        text: str | Texts | Sequence[Sequence[str]],
        text_pair: str | Texts | Sequence[Sequence[str]] | None = None,
        *,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        add_special_tokens: bool = True,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool = True,
        return_attention_mask: bool = True,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        dtype: DTypeLike = np.int64,
        parallel: bool | None = None,
    ) -> Batch:
        """Texts → model inputs, with the arguments and results of transformers' tokenizers.

        Args:
            text: One text or several; whatever `encode_batch` takes.
            text_pair: The second text of each pair.
            padding: `True` or `'longest'`, `'max_length'`, or `False`.
            truncation: `True` or `'longest_first'`, `'only_first'`, `'only_second'`, or `False`; None truncates if
                `max_length` is given and rows are not padded. Texts are cut at the end, or, if the tokenizer was configured
                with a `truncation_side` of `'left'`, at the beginning.
            max_length: Greatest number of ids of a row, special tokens included.
            stride: How many ids each further row of a text repeats of the one before.
            is_split_into_words: Texts are lists of words.
            add_special_tokens: Put the template's special tokens around texts.
            pad_to_multiple_of: Round the padded width up to a multiple of this.
            padding_side: `'right'` or `'left'`; None: as the tokenizer was configured, which is `'right'` by default.
            return_tensors: `'np'`, `'pt'`, or None for lists.
            return_token_type_ids: Whether `token_type_ids` are part of the result.
            return_attention_mask: Whether `attention_mask` is part of the result.
            return_overflowing_tokens: Make further rows of what is cut off; `overflow_to_sample_mapping` has the text of
                each row.
            return_special_tokens_mask: 1 for special tokens and padding, 0 for text, as `special_tokens_mask`.
            return_offsets_mapping: Start and end of each id in its text (or word), in characters, as `offset_mapping`.
            return_length: Width of each row as `length`.
            dtype: int64, or int32 for tensors of half the size.
            parallel: As in `encode_batch`.

        Returns:
            `input_ids`, `token_type_ids`, `attention_mask` and what else was asked for; `[n_rows, width]` if tensors
            are. [`Batch.word_ids`][tei.encoding.Batch.word_ids] has the word of each id.

        Raises:
            InvalidInputError: If an option is unknown or out of range, or rows of different lengths are to become one tensor.
            MemoryError: If the system has no memory for the padded rows.

        Example:
            >>> import tei
            >>> tok = tei.Tokenizer.train(["a b c"], vocab_size=11, min_count=1)
            >>> batch = tok(["a b c"], max_length=4, return_overflowing_tokens=True)
            >>> [[tok.tokens[i] for i in row] for row in batch.input_ids], batch.word_ids(1)
            ([['[CLS]', 'a', 'b', '[SEP]'], ['[CLS]', 'c', '[SEP]']], [None, 2, None])
        """
        options = Options(
            padding,
            truncation,
            max_length,
            stride,
            is_split_into_words,
            add_special_tokens,
            pad_to_multiple_of,
            padding_side or self._spec.side("padding"),
            return_tensors,
            return_token_type_ids,
            return_attention_mask,
            return_overflowing_tokens,
            return_special_tokens_mask,
            return_offsets_mapping,
            return_length,
            dtype,
            parallel,
        )
        return batching.make_batch(self, text, text_pair, options)


def _text(data: bytes) -> str:
    """Bytes as text: lone surrogates come back, what is no text is U+FFFD."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def compiled(spec: TokenizerSpec) -> _core.Encoder:
    """The encoder of a vocabulary and its rules."""
    ids = {token: i for i, token in enumerate(spec.tokens)}
    return _core.Encoder(
        list(spec.tokens),
        unknown_token=spec.scheme.unknown_token,
        continuation_prefix=spec.scheme.continuation_prefix,
        rules=spec.scheme.rules,
        max_word_chars=spec.scheme.max_word_chars,
        added_tokens=[
            (ids[t.content], t.content, t.single_word, t.lstrip, t.rstrip, t.normalized, t.in_model)
            for t in spec.added_tokens
        ],
        trim=spec.template.trim,
    )
