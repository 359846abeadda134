"""`Tokenizer`: text to ids and back, training, usage, plans; immutable."""

# Reading, writing and training are imported where they are used: they would double the time of `import tei`.
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tei import _core, batching
from tei.counts import WordCounts, count_words
from tei.encoding import Batch, Encoding, Ragged
from tei.errors import InvalidInputError, MismatchError
from tei.fitting import Fitting
from tei.vocabulary import Vocabulary, fingerprint

if TYPE_CHECKING:
    import os

    from tei.plan import ResizePlan
    from tei.pretrained import TokenizerSpec
    from tei.scheme import Scheme
    from tei.sources import Source
    from tei.special_tokens import Part

__all__ = ["Tokenizer"]


class Tokenizer(Fitting):
    """Encodes text by longest match over a vocabulary, and plans how that vocabulary should change.

    A tokenizer never changes; [`apply`][tei.tokenizer.Tokenizer.apply] gives a new one with the next version number.
    Build one with `train`, `from_pretrained` or `load`.

    Example:
        >>> tok = Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
        >>> tok.decode(tok.encode("lower newest").ids)
        'lower newest'
    """

    def __init__(self, spec: TokenizerSpec, *, version: int = 0, history: Sequence[Mapping[str, Any]] = ()) -> None:
        self._spec = spec
        self._version = version
        self._history = tuple(history)
        ids = {token: i for i, token in enumerate(spec.tokens)}
        self._encoder = _core.Encoder(
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

    @classmethod
    def train(
        cls,
        source_or_counts: Source | WordCounts,
        vocab_size: int = 8_000,
        *,
        scheme: Scheme | None = None,
        special_tokens: Sequence[str] | None = None,
        min_count: int = 2,
        field: str | None = None,
    ) -> Self:
        """Induces a vocabulary from text; see [`train_spec`][tei.training.train_spec] for the rules.

        Args:
            source_or_counts: Word counts, or an iterable of str, a path, or a list of paths.
            vocab_size: Number of tokens, special ones and alphabet included.
            scheme: How text becomes words; that of the counts, or `Scheme.bert()`, if None.
            special_tokens: Tokens with the first ids; `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]` if None.
            min_count: Characters and pairs that occur fewer times get no token; at least 1.
            field: The field (JSONL) or column (CSV) that holds the text; `text` if None.

        Raises:
            EmptySourceError: If there is no word in the source.
            MismatchError: If the words were counted with another scheme.
            SizeError: If the size is below special tokens and alphabet, or above what the text offers.
            VocabularyError: If special tokens conflict.

        Example:
            >>> Tokenizer.train(["to be or not to be"], vocab_size=22, min_count=1).encode("note bore").tokens
            ['not', '##e', 'b', '##o', '##r', '##e']
        """
        from tei.training import train_spec

        counts = source_or_counts
        if not isinstance(counts, WordCounts):
            counts = count_words(counts, scheme, field=field)
        spec = train_spec(
            counts, vocab_size=vocab_size, scheme=scheme, special_tokens=special_tokens, min_count=min_count
        )
        return cls(spec)

    @classmethod
    def from_pretrained(cls, source: Any) -> Self:
        """Takes over a WordPiece tokenizer; ids stay equal to the original's.

        Args:
            source: A `tokenizer.json`, a `vocab.txt`, a directory that holds one of them, a `tokenizers.Tokenizer`, or
                a fast tokenizer of transformers. Nothing is downloaded.

        Raises:
            FileFormatError: If a file is missing or broken.
            UnsupportedError: If the tokenizer is of a kind that cannot be reproduced exactly; the message names it.
            VocabularyError: If the vocabulary has holes or duplicates.
        """
        from tei.pretrained import read_pretrained

        return cls(read_pretrained(source))

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """Loads what [`save`][tei.tokenizer.Tokenizer.save] wrote.

        Raises:
            FileFormatError: If a file is missing, altered, or of a newer version.
        """
        from tei import saved

        spec, version, history = saved.load(directory)
        return cls(spec, version=version, history=history)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`, `vocab.txt` and `tei.json`.

        transformers' `AutoTokenizer` and `tokenizers` open the directory with equal ids. Each file is replaced
        atomically; other files in the directory stay.
        """
        from tei import saved

        saved.save(directory, self._spec, version=self.version, history=self.history)

    def to_hf(self) -> Any:
        """The tokenizer as a `transformers.PreTrainedTokenizerFast` with the same ids; needs transformers."""
        from tei import saved

        return saved.to_transformers(self._spec)

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

    @property
    def version(self) -> int:
        """How many plans have been applied."""
        return self._version

    @property
    def history(self) -> tuple[Mapping[str, Any], ...]:
        """What each applied plan did, oldest first."""
        return self._history

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the vocabulary or the scheme."""
        return fingerprint(self._spec.tokens, self._spec.scheme.to_json())

    @cached_property
    def special_tokens(self) -> tuple[str, ...]:
        """Special tokens in id order: those with a role, in the template, or declared special."""
        declared = [token.content for token in self._spec.added_tokens if token.special]
        special = {*self._spec.roles.values(), *self._spec.template.tokens, *declared, self.scheme.unknown_token}
        return tuple(sorted(special, key=self.vocab.__getitem__))

    def __getattr__(self, name: str) -> Any:
        """`pad_token`, `pad_token_id` and the like: the token of a role, its id, or None."""
        role = name.removesuffix("_id")
        if name.startswith("_") or not role.endswith("_token"):
            raise AttributeError(name)
        token = self._spec.roles.get(role)
        return token if role == name or token is None else self.vocab[token]

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocab_size} tokens, version {self.version}, {self.fingerprint})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._spec, self._version, self._history)

    def encode(self, text: str) -> Encoding:
        """Encodes one text in full detail, without special tokens around it.

        Args:
            text: Any str; a lone surrogate counts as U+FFFD.

        Returns:
            Ids, tokens, character offsets and word numbers, equal to those of `tokenizers`.

        Example:
            >>> tok = Tokenizer.train(["ab abc"], vocab_size=13, min_count=1)
            >>> tok.encode("ab, AB").offsets
            [(0, 2), (2, 3), (4, 6)]
        """
        ids, offsets, word_ids = self._encoder.encode_aligned(text)
        return Encoding(ids, [self.tokens[i] for i in ids], offsets, word_ids)

    def encode_batch(self, texts: Iterable[str], *, parallel: bool | None = None) -> Ragged:
        """Encodes texts to ids, without special tokens around them.

        Args:
            texts: Texts; a list or a tuple is read without a copy.
            parallel: Use all cores, one, or (None) what suits the size of the batch.

        Raises:
            InvalidInputError: If an element is not a str; the message gives its index.

        Example:
            >>> tok = Tokenizer.train(["a b c"], vocab_size=11, min_count=1)
            >>> tok.encode_batch(["a", "b c"]).row_offsets.tolist()
            [0, 1, 3]
        """
        threads = 0 if parallel is None else _core.cpu_count() if parallel else 1
        return Ragged(*self._encoder.encode_batch(texts, threads))

    def decode(self, ids: ArrayLike, *, skip_special_tokens: bool = False) -> str:
        """Text of a row of ids.

        Args:
            ids: Integers; ids outside the vocabulary are left out.
            skip_special_tokens: Whether special tokens are left out.
        """
        row = np.ascontiguousarray(ids).astype(np.int64).reshape(-1)
        row = row[(row >= 0) & (row < self.vocab_size)].astype(np.uint32)
        skip = self._special_mask if skip_special_tokens else np.zeros(0, bool)
        return self._encoder.decode(row, skip, self._spec.cleanup)

    def decode_batch(self, rows: Iterable[ArrayLike], *, skip_special_tokens: bool = False) -> list[str]:
        """Texts of several rows of ids, see [`decode`][tei.tokenizer.Tokenizer.decode]."""
        return [self.decode(row, skip_special_tokens=skip_special_tokens) for row in rows]

    @cached_property
    def _special_mask(self) -> NDArray[np.bool_]:
        mask = np.zeros(self.vocab_size, bool)
        mask[[self.vocab[token] for token in self.special_tokens]] = True
        return mask

    def __call__(
        self,
        text: str | Sequence[str],
        text_pair: str | Sequence[str] | None = None,
        *,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        add_special_tokens: bool = True,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
    ) -> Batch:
        """Texts → model inputs, with the arguments and results of transformers' tokenizers.

        Args:
            text: One text or several.
            text_pair: The second text of each pair.
            padding: `True` or `'longest'`, `'max_length'`, or `False`.
            truncation: `True` or `'longest_first'`, `'only_first'`, `'only_second'`, or `False`; None truncates if
                `max_length` is given and rows are not padded.
            max_length: Greatest number of ids of a row, special tokens included.
            add_special_tokens: Put the template's special tokens around texts.
            pad_to_multiple_of: Round the padded width up to a multiple of this.
            return_tensors: `'np'`, `'pt'`, or None for lists.

        Returns:
            `input_ids`, `token_type_ids`, `attention_mask`; int64 `[n_texts, width]` if tensors are asked for.

        Raises:
            InvalidInputError: If an option is unknown, or rows of different lengths are to become one tensor.
        """
        single = isinstance(text, str)
        rows = [
            self.encode_batch([part] if isinstance(part, str) else part)
            for part in (text, text_pair)
            if part is not None
        ]
        if len({len(row) for row in rows}) > 1:
            msg = f"{len(rows[0])} texts and {len(rows[1])} second texts: give a pair for each"
            raise InvalidInputError(msg)
        parts = self._parts(len(rows), special=add_special_tokens)
        if truncation is None:
            # As in transformers: a length alone asks for truncation, unless rows are padded.
            truncation = max_length is not None and padding is False
        strategy = truncation if isinstance(truncation, str) else "longest_first" if truncation else "do_not_truncate"
        reserved = sum(part.text is None for part in parts)
        room = None if max_length is None else max_length - reserved
        where = batching.layout(parts, batching.truncated_lengths(rows, room, strategy))
        widths = batching.row_widths(where.totals, padding=padding, max_length=max_length, multiple=pad_to_multiple_of)
        arrays = self._assemble(parts, rows, where, widths)
        return _finish(arrays, widths, tensors=return_tensors, single=single)

    def _parts(self, count: int, *, special: bool) -> list[Part]:
        parts = self._spec.template.single if count == 1 else self._spec.template.pair
        return [part for part in parts if special or part.text is not None]

    def _assemble(
        self, parts: Sequence[Part], rows: Sequence[Ragged], where: batching.Layout, widths: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int64]]:
        pad_id = self.pad_token_id
        if pad_id is None and (where.totals < widths).any():
            msg = "this tokenizer has no pad_token, so rows cannot be padded: encode without padding"
            raise InvalidInputError(msg)
        special = [self.vocab[part.token] if part.token is not None else 0 for part in parts]
        width = int(widths.max(initial=0))
        ids, types = batching.assemble(parts, rows, where, special, width=width, pad_id=pad_id or 0)
        mask = (np.arange(width) < where.totals[:, None]).astype(np.int64)
        return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}

    def apply(self, plan: ResizePlan) -> Self:
        """The tokenizer after a plan, with the next version number.

        Args:
            plan: A plan made for this tokenizer.

        Raises:
            MismatchError: If the plan was made for another vocabulary, or drops a special token.
        """
        plan.check_source(self.fingerprint)
        lost = [token for token in self.special_tokens if token not in set(plan.target)]
        if lost:
            msg = f"the plan drops special tokens {lost}: protect them when planning"
            raise MismatchError(msg)
        target = set(plan.target)
        added = tuple(token for token in self._spec.added_tokens if token.content in target)
        spec = replace(self._spec, tokens=plan.target, added_tokens=added)
        entry = {
            "version": self.version + 1,
            "source": self.fingerprint,
            "target": plan.target_fingerprint,
            "kept": int((plan.id_map >= 0).sum()),
            "dropped": int((plan.id_map < 0).sum()),
            "added": len(plan.added),
        }
        return type(self)(spec, version=self.version + 1, history=(*self.history, entry))


def _rebuild(
    cls: type[Tokenizer], spec: TokenizerSpec, version: int, history: Sequence[Mapping[str, Any]]
) -> Tokenizer:
    return cls(spec, version=version, history=history)


def _finish(
    arrays: dict[str, NDArray[np.int64]], widths: NDArray[np.int64], *, tensors: str | None, single: bool
) -> Batch:
    if tensors is None:
        lists = {name: [row[:n].tolist() for row, n in zip(a, widths, strict=True)] for name, a in arrays.items()}
        return Batch({name: rows[0] if single else rows for name, rows in lists.items()})
    if len(set(widths.tolist())) > 1:
        msg = "rows have different lengths: give padding=True to make one tensor of them, or truncation=True"
        raise InvalidInputError(msg)
    if tensors == "np":
        return Batch(arrays)
    if tensors == "pt":
        from tei.torch.tensors import from_numpy

        return Batch(from_numpy(arrays))
    msg = f"return_tensors is {tensors!r}, must be 'np', 'pt' or None"
    raise InvalidInputError(msg)
