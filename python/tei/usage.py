"""How well a vocabulary fits text: what is emitted, how often, and what never is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.counts import WordCounts
from tei.errors import EmptySourceError, MismatchError

if TYPE_CHECKING:
    from tei.tokenizer import Tokenizer

__all__ = ["Usage", "count_usage", "unreachable"]

NOTHING = np.zeros(0, dtype=np.uint32)

# What may stand around a token in a text: whatever rules strip, join or cut at, they leave it whole in one of these or, but for
# rules that strip accents before they decompose, in none.
AROUND = ("{0}", "q{0}", "7{0}", "{0}{0}", "😀{0}", "{0}q", "q{0}q", "7{0}7", " {0}q", "q{0} q")


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
        tokenizer: Whose vocabulary it is.

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
    tokenizer: "Tokenizer" = field(repr=False)

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

    @cached_property
    def unreachable(self) -> NDArray[np.int64]:
        """Ids of tokens that no text leads to, ascending: what they spell is normalized or cut. None is special or added.

        Example:
            >>> from tei import Tokenizer
            >>> usage = Tokenizer.train(["a-b"], vocab_size=11, min_count=1, required_tokens=["##-"]).usage(["a"])
            >>> [usage.tokenizer.tokens[i] for i in usage.unreachable]
            ['##-']
        """
        tok = self.tokenizer
        apart = {*tok.special_tokens, *(token.content for token in tok.spec.added_tokens)}
        found = unreachable(tok, [token for token in tok.tokens if token not in apart])
        return np.array([tok.vocab[token] for token in found], dtype=np.int64)


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
    return usage_of(tokenizer, _core.count_usage(tokenizer.encoder, counts.core, without))


def unreachable(tokenizer: "Tokenizer", tokens: Sequence[str]) -> Mapping[str, str]:
    """Those of some tokens that no text leads to, with what becomes of the text that they spell.

    Where rules replace or prepend, none is known for sure.

    Args:
        tokenizer: Whose rules normalize and cut.
        tokens: Tokens of words.
    """
    # Every byte string is reached in the scheme of bytes; what a text that spells it becomes says nothing where others do.
    if tokenizer.scheme.is_lossless or any(step[0] in ("Prepend", "Replace") for step in tokenizer.scheme.rules[0]):
        return {}
    prefix, limit = tokenizer.scheme.continuation_prefix, tokenizer.scheme.max_word_chars
    surfaces = [token.removeprefix(prefix) or token for token in tokens]
    # Nearly all stand as they are, or behind a letter.
    usual = [surface if token == surface else "q" + surface for token, surface in zip(tokens, surfaces, strict=True)]
    met = [words == [text] for text, words in zip(usual, _core.split_words(tokenizer.encoder, usual), strict=True)]
    left = [i for i, surface in enumerate(surfaces) if not met[i] or len(surface) > limit]
    for text in AROUND:
        # What starts a word is not what goes on with one.
        cut = _core.split_words(tokenizer.encoder, [text.format(surfaces[i]) for i in left])
        inner = (int(tokens[i] != surfaces[i]) for i in left)
        met = [_stands(words, surfaces[i], at) for words, i, at in zip(cut, left, inner, strict=True)]
        left = [i for i, found in zip(left, met, strict=True) if not found or len(surfaces[i]) > limit]
    reasons = {}
    for i, words in zip(left, _core.split_words(tokenizer.encoder, [surfaces[i] for i in left]), strict=True):
        same = tokens[i].removesuffix(surfaces[i]) + words[0] if len(words) == 1 else tokens[i]
        is_known = same in tokenizer.vocab and same != tokens[i]
        reasons[tokens[i]] = f"duplicate: of {same}" if is_known else "unreachable: no text is cut into it"
    return reasons


def _stands(words: Sequence[str], surface: str, at: int) -> bool:
    """Whether one of the words begins with a string, or where `at` is 1, goes on with it."""
    return any(surface in word[1:] if at else word.startswith(surface) for word in words)


def usage_of(tokenizer: "Tokenizer", figures: tuple[Any, int, int, int, int, int]) -> Usage:
    """Usage from what the core counted."""
    emitted, words, tokens, unknown, characters, size = figures
    token_counts: NDArray[Any] = np.minimum(emitted, np.iinfo(np.int64).max).astype(np.int64)
    token_counts.flags.writeable = False
    return Usage(token_counts, words, tokens, unknown, characters, size, tokenizer)


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
