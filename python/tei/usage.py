"""How well a vocabulary fits text: what is emitted, how often, and what never is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.counts import WordCounts
from tei.errors import EmptySourceError, MismatchError

if TYPE_CHECKING:
    from tei.tokenizer import Tokenizer

__all__ = ["Usage", "count_usage"]

NOTHING = np.zeros(0, dtype=np.uint32)


@dataclass(frozen=True, eq=False)
class Usage:
    """What the words of a text emit under a vocabulary; immutable.

    Attributes:
        token_counts: int64 `[vocab_size]`, how often each token is emitted, by id. Special tokens around texts are not
            counted; unknown words emit the unknown token.
        words: Occurrences of words.
        tokens: Tokens emitted.
        unknown_words: Occurrences of words that cannot be spelled.
        characters: Characters of all occurrences, normalized.
        bytes: Their UTF-8 bytes.

    Example:
        >>> from tei import Tokenizer
        >>> tok = Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
        >>> usage = tok.usage(["low low zzz"])
        >>> usage.words, usage.tokens, usage.unknown_words, usage.fertility
        (3, 3, 1, 1.0)
    """

    token_counts: NDArray[np.int64]
    words: int
    tokens: int
    unknown_words: int
    characters: int
    bytes: int

    @property
    def fertility(self) -> float:
        """Tokens per word; 1 is the least."""
        return self.tokens / self.words

    @property
    def coverage(self) -> float:
        """Share of words that are spelled without the unknown token."""
        return 1 - self.unknown_words / self.words

    @property
    def compression(self) -> float:
        """Bytes per token."""
        return self.bytes / self.tokens

    @property
    def used(self) -> NDArray[np.int64]:
        """Ids of tokens that are emitted, ascending."""
        return np.flatnonzero(self.token_counts)

    @property
    def unused(self) -> NDArray[np.int64]:
        """Ids of tokens that are never emitted, ascending."""
        return np.flatnonzero(self.token_counts == 0)


def count_usage(tokenizer: "Tokenizer", counts: WordCounts, *, without: NDArray[np.uint32] = NOTHING) -> Usage:
    """Usage of a tokenizer's vocabulary by words.

    Args:
        tokenizer: The tokenizer.
        counts: Words, counted by the same scheme.
        without: Ids of tokens to leave out.

    Raises:
        EmptySourceError: If there is no word.
        MismatchError: If the words were counted by another scheme.
    """
    check_counts(tokenizer, counts)
    return usage_of(_core.count_usage(tokenizer.encoder, counts.core, without))


def usage_of(figures: tuple[Any, int, int, int, int, int]) -> Usage:
    """Usage from what the core counted."""
    emitted, *numbers = figures
    token_counts: NDArray[Any] = np.minimum(emitted, np.iinfo(np.int64).max).astype(np.int64)
    token_counts.flags.writeable = False
    return Usage(token_counts, *numbers)


def check_counts(tokenizer: "Tokenizer", counts: WordCounts, name: str = "counts") -> None:
    """Refuses words that the tokenizer would have cut differently.

    Raises:
        EmptySourceError: If there is no word.
        MismatchError: If the words were counted by another scheme.
    """
    if counts.scheme != tokenizer.scheme:
        msg = f"{name} were made by {counts.scheme}, the tokenizer uses {tokenizer.scheme}: count with tokenizer.count"
        raise MismatchError(msg)
    if not len(counts):
        msg = f"{name} hold no word: give at least one text that is not blank"
        raise EmptySourceError(msg)
