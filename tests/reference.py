"""Slow twins: each says in a few lines what a fast path must do, so that the two can be compared on any input."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise


def train(
    counts: Mapping[str, int], *, vocab_size: int, min_count: int, special: Sequence[str], prefix: str, max_chars: int
) -> list[str]:
    """Induces a vocabulary by counting all pairs anew before each merge; stops early if the words offer no more."""
    known = {word: count for word, count in counts.items() if len(word) <= max_chars}
    characters = Counter()
    for word, count in known.items():
        for character in word:
            characters[character] += count
    alphabet = sorted(character for character, count in characters.items() if count >= min_count)
    spells = [(mark, character) for mark in ("", prefix) for character in alphabet]
    tokens = dict.fromkeys([*special, *(mark + surface for mark, surface in spells)])
    words = [
        ([alphabet.index(word[0]), *(len(alphabet) + alphabet.index(character) for character in word[1:])], count)
        for word, count in known.items()
        if set(word) <= set(alphabet)
    ]
    while len(tokens) < vocab_size:
        pairs = Counter()
        for word, count in words:
            for pair, times in _mergeable(word).items():
                pairs[pair] += times * count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < min_count:
            break
        words = [(_merged(word, best, len(spells)), count) for word, count in words]
        (mark, left), (_, right) = (spells[symbol] for symbol in best)
        spells.append((mark, left + right))
        # In front, the prefix with something after it would read as a continuation.
        if mark or not (left + right).startswith(prefix) or left + right == prefix:
            tokens[mark + left + right] = None
    return list(tokens)


def _mergeable(word: Sequence[int]) -> Counter:
    """How often each pair can be merged in a word: merging it says so."""
    return Counter({pair: len(word) - len(_merged(word, pair, -1)) for pair in pairwise(word)})


def _merged(word: Sequence[int], pair: tuple[int, int], symbol: int) -> list[int]:
    merged, i = [], 0
    while i < len(word):
        found = tuple(word[i : i + 2]) == pair
        merged.append(symbol if found else word[i])
        i += 1 + found
    return merged
