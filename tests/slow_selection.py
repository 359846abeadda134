"""The slow twin of choosing tokens: spells every word anew for every number, with tokens as strings."""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from reference import path, spelling, surface

UNIT, ROUNDS, LEAST_GAIN, MAX_PIECES = 64, 8, 1e-4, 6


def select(
    counts: Mapping[str, int], *, size: int, kept: Sequence[str], candidates: Sequence[str], max_bytes: int = 10**9
) -> list[tuple[str, float, float]]:
    """Chooses tokens, each with how often it is expected and how many tokens it saves."""
    masses, tokens = _masses(counts), {*kept, *candidates}
    unseen = _prune(masses, tokens, kept, size)
    best, count = _total(masses, tokens), size // 5
    for _ in range(ROUNDS):
        gains = _gains(masses, unseen, tokens, max_bytes)
        new = sorted(gains, key=lambda t: (-gains[t], _key(t)))[:count]
        if not new:
            break
        tried = tokens | set(new)
        left = _prune(masses, tried, kept, size)
        total = _total(masses, tried)
        gain = 1 - total / best
        if gain >= 0:
            tokens, unseen, best = tried, left, total
        if gain < LEAST_GAIN:
            break
        count = count * 2 // 3
    uses = _emitted(masses, {}, tokens)
    chosen = sorted(tokens - set(kept), key=lambda t: (-uses[t], _key(t)))
    return [(t, uses[t] / UNIT, (_cost(t, uses[t], tokens) or 0) / UNIT) for t in chosen]


def _masses(counts: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Of each word, the mass of text that has it again, and of text that has an unseen word in its place."""
    once, twice = (sum(count == n for count in counts.values()) for n in (1, 2))
    twofold = 2 * max(once + 2 * twice, 1)
    discount = (UNIT * once + twofold // 2) // twofold
    unseen = {
        # Rust rounds halves away from zero.
        word: min(
            count * UNIT, discount + math.floor(0.26 * UNIT * math.sqrt(count) * math.sqrt(math.sqrt(count)) + 0.5)
        )
        for word, count in counts.items()
    }
    return {word: (counts[word] * UNIT - unseen[word], unseen[word]) for word in counts}


def _key(token: str) -> tuple[bytes, bool]:
    text, mark = surface(token)
    return text.encode(), mark != ""


def _spelled(masses: Mapping, tokens: Collection[str]) -> Iterator[tuple[str, list[str], int, int]]:
    """Each word with its pieces, the mass that meets them, and the mass that meets its own token."""
    for word, (again, unseen) in masses.items():
        own = word in tokens and surface(word)[1] == ""
        pieces = spelling(word, tokens) if own else path(word, tokens)[0]
        yield word, pieces or [], unseen if own else again + unseen, again if own else 0


def _total(masses: Mapping, tokens: Collection[str]) -> int:
    return sum(mass * len(pieces) + own for _, pieces, mass, own in _spelled(masses, tokens))


def _emitted(masses: Mapping, unseen: Mapping, tokens: Collection[str]) -> Counter:
    uses = Counter()
    for word, pieces, mass, own in _spelled(masses, tokens):
        uses[word] += own
        for piece in pieces:
            uses[piece] += mass
    for token, mass in unseen.items():
        for piece in spelling(token, tokens):
            uses[piece] += mass
    return uses


def _unseen_pieces(masses: Mapping, tokens: Collection[str]) -> dict[str, int]:
    """Of each token that others spell, the mass of text with an unseen piece in its place, that of longer ones included."""
    unseen = {}
    for token in sorted(tokens, key=lambda token: -len(_key(token)[0])):
        if len(spelling(token, tokens) or []) > 1:
            uses = _emitted(masses, unseen, tokens)[token] - _own(masses, token)
            unseen[token] = min(uses, math.floor(0.8 * UNIT * math.sqrt(uses / UNIT) + 0.5))
    return unseen


def _own(masses: Mapping, token: str) -> int:
    return 0 if surface(token)[1] else masses.get(token, (0, 0))[0]


def _cost(token: str, uses: int, tokens: Collection[str]) -> int | None:
    pieces = spelling(token, tokens)
    return pieces and uses * (len(pieces) - 1)


def _prune(masses: Mapping, tokens: set[str], kept: Sequence[str], size: int) -> dict[str, int]:
    """Removes tokens; returns the mass of unseen pieces of those that are left."""
    unseen = _unseen_pieces(masses, tokens)
    while len(tokens) - len(set(kept)) > size:
        uses = _emitted(masses, unseen, tokens)
        costs = {token: _cost(token, uses[token], tokens) for token in tokens - set(kept)}
        falling = sorted((token for token in costs if costs[token] is not None), key=_key, reverse=True)
        gone = min(falling, key=lambda token: (costs[token], uses[token]))
        tokens.remove(gone)
        unseen.pop(gone, None)
    return unseen


def _gains(masses: Mapping, unseen: Mapping, tokens: Collection[str], max_bytes: int) -> Counter:
    """What each longer string, put where a piece begins, would save in the words as they are spelled now.

    Strings that save nothing, or in no more text than one occurrence, are left out.
    """
    gains, met = Counter(), Counter()
    words = ((word, "", pieces, mass, own) for word, pieces, mass, own in _spelled(masses, tokens))
    others = ((*surface(token), spelling(token, tokens), mass, 1) for token, mass in unseen.items())
    for word, mark, pieces, mass, own in itertools.chain(words, others):
        cuts = [0]
        for piece in pieces:
            cuts.append(cuts[-1] + len(surface(piece)[0]))
        if len(pieces) < 2 or cuts[-1] != len(word):
            continue
        for first, start in enumerate(cuts[:-1]):
            for end in range(cuts[first + 1] + 1, cuts[min(first + MAX_PIECES, len(pieces))] + 1):
                text = word[start:end]
                token = ("##" if first else mark) + text
                whole = text == word
                weight = (0 if own else masses[word][0]) if whole else mass
                if len(text.encode()) > max_bytes or _key(token) != (text.encode(), first > 0 or mark != ""):
                    continue
                at, spelled = end, 1
                while at not in cuts:
                    at += len(surface(path(word[at:], tokens, "##")[0][0])[0])
                    spelled += 1
                saved = cuts.index(at) - first - spelled
                gains[token] += weight * saved
                met[token] += weight if saved > 0 else 0
    return Counter({token: gain for token, gain in gains.items() if gain > 0 and met[token] > UNIT})
