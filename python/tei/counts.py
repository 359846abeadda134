"""Word counts: how often each word occurs in a source; the input of training, usage and plans."""

# Files and sources are imported where they are used: they would double the time of `import tei`.
from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, cast

from tei import _core
from tei.errors import EmptySourceError, FileFormatError, InvalidInputError
from tei.scheme import Scheme

if TYPE_CHECKING:
    from tei.sources import Source

__all__ = ["WordCounts", "count_words"]

Progress = Callable[[int], None]


class WordCounts:
    """Distinct words with their counts under one scheme; immutable.

    Words are normalized; in the bytes scheme they are written in the letters of GPT-2, as tokens are, and a lone
    surrogate counts as U+FFFD. Their order is by falling count, then by bytes: independent of the order of texts, of threads
    and of hash seeds.

    Example:
        >>> counts = count_words(["to be or not to be"])
        >>> counts.most_common(2), counts.total, len(counts)
        ([('be', 2), ('to', 2)], 6, 4)
    """

    __slots__ = ("core", "scheme")

    def __init__(self, core: _core.WordCounts, scheme: Scheme) -> None:
        self.core = core
        self.scheme = scheme

    @classmethod
    def from_mapping(cls, counts: Mapping[str, int] | Iterable[tuple[str, int]], scheme: Scheme | None = None) -> Self:
        """Counts made elsewhere, of words that are already normalized.

        Args:
            counts: Words and how often they occur; equal words are added up, zeros left out.
            scheme: The scheme the words are made by; `Scheme.bert()` if None.

        Raises:
            InvalidInputError: If a word is not a str, or a count not an integer from 0 to 2**64 - 1; if a word of the
                bytes scheme is not written in letters.

        Example:
            >>> WordCounts.from_mapping({"a": 2, "b": 0}).most_common()
            [('a', 2)]
        """
        pairs = counts.items() if isinstance(counts, Mapping) else counts
        try:
            core = _core.WordCounts.from_pairs(list(pairs))
        except (TypeError, ValueError, OverflowError) as error:
            msg = f"counts must pair a str with an integer from 0 to 2**64 - 1: {error}"
            raise InvalidInputError(msg) from error
        counted = cls(core, scheme or Scheme.bert())
        if counted.scheme.is_lossless:
            letters = set(_core.byte_letters())
            if strange := next((word for word, _ in core.most_common() if not letters.issuperset(word)), None):
                msg = f"word {strange!r} is not written in letters of bytes: count texts, or write a blank as 'Ġ'"
                raise InvalidInputError(msg)
        return counted

    def most_common(self, n: int | None = None) -> list[tuple[str, int]]:
        """The `n` most frequent words with their counts; all if None."""
        return self.core.most_common(n)

    @property
    def total(self) -> int:
        """Sum of all counts."""
        return self.core.total()

    def __len__(self) -> int:
        return len(self.core)

    def __add__(self, other: WordCounts) -> WordCounts:
        """Both counts together.

        Raises:
            InvalidInputError: If they were made with different schemes.
        """
        if self.scheme != other.scheme:
            msg = f"word counts of different schemes cannot be added: {self.scheme} and {other.scheme}; count again"
            raise InvalidInputError(msg)
        return WordCounts(self.core.merged(other.core), self.scheme)

    def decay(self, factor: float) -> WordCounts:
        """Every count times `factor`, rounded to the nearest integer; words that round to zero are left out.

        Raises:
            InvalidInputError: If the factor is not between 0 and 1.
        """
        if not isinstance(factor, numbers.Real) or not 0 <= factor <= 1:
            msg = f"factor is {factor!r}, must be from 0 to 1"
            raise InvalidInputError(msg)
        return WordCounts(self.core.decayed(factor), self.scheme)

    def to_bytes(self) -> bytes:
        """The counts and their scheme as bytes that carry a version and a checksum; equal counts give equal bytes."""
        return self.core.to_bytes(self.scheme.to_json())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of [`to_bytes`][tei.counts.WordCounts.to_bytes].

        Raises:
            FileFormatError: If the bytes are anything else, truncated, altered, or of a newer version.

        Example:
            >>> counts = WordCounts.from_mapping({"a": 2})
            >>> WordCounts.from_bytes(counts.to_bytes()) == counts
            True
        """
        core, scheme = _core.WordCounts.from_bytes(data)
        try:
            return cls(core, Scheme.from_json(scheme))
        except ValueError as error:
            msg = f"word counts were made by a scheme this version of tei does not know: {error}"
            raise FileFormatError(msg) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the counts to a file, atomically; counts are what training and plans start from, and can be added up."""
        from tei.files import write_atomic

        write_atomic(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what [`save`][tei.counts.WordCounts.save] wrote.

        Raises:
            FileFormatError: If the file is missing, or not such a file as it was written.
        """
        from pathlib import Path

        try:
            return cls.from_bytes(Path(path).read_bytes())
        except OSError as error:
            msg = f"cannot read word counts {os.fspath(path)!r}: {error.strerror or error}"
            raise FileFormatError(msg) from error
        except FileFormatError as error:
            msg = f"{os.fspath(path)!r}: {error}"
            raise FileFormatError(msg) from error

    def __eq__(self, other: object) -> bool:
        """Equal words, counts and scheme."""
        return isinstance(other, WordCounts) and self.scheme == other.scheme and self.core == other.core

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles by value."""
        return type(self).from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return f"WordCounts({len(self)} words, {self.total} occurrences)"


def count_words(
    source: Source,
    scheme: Scheme | None = None,
    *,
    field: str | None = None,
    threads: int | None = None,
    memory_limit: int | str | None = None,
    progress: Progress | None = None,
    encoder: _core.Encoder | None = None,
) -> WordCounts:
    """Counts the words of a source, batch by batch, so that Ctrl-C ends it and texts need not be in memory at once.

    Args:
        source: An iterable of str, a path, or a list of paths; see [`tei.sources`][tei.sources]. Or strings of Arrow.
        scheme: How text becomes words; `Scheme.bert()` if None.
        field: The field (JSONL) or column (CSV) that holds the text; `text` if None.
        threads: Number of threads; None or 0 chooses. The result never depends on it.
        memory_limit: Memory for counting, in bytes or as in `"256 MiB"`, at least about 8 MiB; words beyond it go to
            temporary files, which are gone with the process however it ends, and are counted exactly all the same. The
            distinct words of the result must fit into memory in any case. No limit if None.
        progress: Called with the number of texts counted so far.
        encoder: Count words as this encoder of the same scheme sees them, its added tokens left out.

    Raises:
        EmptySourceError: If there is no word in the source.
        EncodingError: If a file is not UTF-8.
        FileFormatError: If a file cannot be read.
        InvalidInputError: If `threads` or `memory_limit` is no such number, or an element of the source is not a str.
        StorageError: If there is no room for temporary files.

    Example:
        >>> count_words(["a rose is", "a rose"], memory_limit="64 MiB").most_common(1)
        [('a', 2)]
    """
    from tei.sizes import parse_bytes

    if threads is not None and threads < 0:
        msg = f"threads is {threads}, must be at least 1, or 0 or None to choose"
        raise InvalidInputError(msg)
    scheme = scheme or Scheme.bert()
    encoder = encoder or bare_encoder(scheme)
    counter, texts = _core.WordCounter(None if memory_limit is None else parse_bytes(memory_limit)), 0
    for batch in _batches(source, field):
        counter.add(encoder, batch, threads or 0)
        texts += len(batch)
        if progress is not None:
            progress(texts)
    counts = WordCounts(counter.finish(), scheme)
    if not len(counts):
        msg = f"no word in the {texts} texts of the source: give at least one text that is not blank"
        raise EmptySourceError(msg)
    return counts


def _batches(source: Any, field: str | None) -> Iterable[Any]:
    """Batches of texts; an array of Arrow is one, a chunked one and a stream are several."""
    from tei.sources import read_batches

    if hasattr(source, "__arrow_c_array__"):
        return [source]
    if hasattr(source, "iterchunks"):
        return cast("Iterable[Any]", source.iterchunks())
    if hasattr(source, "__arrow_c_stream__"):
        return [source]
    return read_batches(source, field=field)


def bare_encoder(scheme: Scheme) -> _core.Encoder:
    """An encoder that knows the scheme's words, and no token."""
    return _core.Encoder(
        list(_core.byte_letters()) if scheme.is_lossless else [scheme.unknown_token],
        unknown_token=scheme.unknown_token,
        continuation_prefix=scheme.continuation_prefix,
        rules=scheme.rules,
        max_word_chars=scheme.max_word_chars,
        added_tokens=[],
    )
