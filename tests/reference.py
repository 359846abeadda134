"""Slow twins: each says in a few lines what a fast path must do, so that the two can be compared on any input."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np


def train(
    counts: Mapping[str, int],
    *,
    vocab_size: int,
    min_count: int,
    special: Sequence[str],
    prefix: str,
    max_chars: int,
    alone: Collection[str] = (),
) -> list[str]:
    """Induces a vocabulary by counting all pairs anew before each merge; stops early if the words offer no more.

    Characters of `alone` need no continuation if they are only ever words by themselves.
    """
    known = {word: count for word, count in counts.items() if len(word) <= max_chars}
    characters = Counter()
    for word, count in known.items():
        for character in word:
            characters[character] += count
    alphabet = sorted(character for character, count in characters.items() if count >= min_count)
    spells = [(mark, character) for mark in ("", prefix) for character in alphabet]
    alone = {c for c in alone if not any(c in word and len(word) > 1 for word in known)}
    tokens = dict.fromkeys([*special, *(mark + c for mark, c in spells if not (mark and c in alone))])
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


# Words and their pieces: usage, trimming, growing.


def path(word: str, tokens: Collection[str], mark: str = "") -> tuple[list[str], str]:
    """The tokens that leftmost longest match visits, and what is left where none matches."""
    pieces = []
    while word:
        found = next((n for n in range(len(word), 0, -1) if mark + word[:n] in tokens), None)
        if found is None:
            break
        pieces.append(mark + word[:found])
        word, mark = word[found:], "##"
    return pieces, word


def segment(word: str, tokens: Collection[str], mark: str = "") -> list[str] | None:
    """Leftmost longest match; None if some part has no token."""
    pieces, rest = path(word, tokens, mark)
    return None if rest else pieces


def surface(token: str, prefix: str = "##") -> tuple[str, str]:
    """What a token spells and the mark of its position."""
    return (token[len(prefix) :], prefix) if token.startswith(prefix) and token != prefix else (token, "")


def spelling(token: str, tokens: Collection[str]) -> list[str] | None:
    """How other tokens spell a token."""
    text, mark = surface(token)
    return segment(text, set(tokens) - {token}, mark=mark)


def emitted(counts: Mapping[str, int], tokens: Collection[str]) -> Counter:
    """How often each token is emitted; `None` counts unknown words."""
    total = Counter()
    for word, count in counts.items():
        for token in segment(word, tokens) or [None]:
            total[token] += count
    return total


def visited(counts: Mapping[str, int], tokens: Collection[str]) -> set[str]:
    """Tokens that longest match passes, also in words that it cannot finish."""
    return {token for word in counts for token in path(word, tokens)[0]}


def trim_cost(
    token: str, uses: int, own: int, expected: float, tokens: Collection[str], rows: Mapping[str, Any] | None
) -> tuple[bool, float]:
    """Whether nothing spells a token, and what giving it up costs; of its uses, `own` are not taken over.

    In as much text again it comes `expected` times more often than its own uses.
    """
    pieces = spelling(token, tokens)
    taken = uses - min(uses, own)
    again = max(0.0, uses - taken + expected)
    if pieces is None:
        return True, again + taken
    longer = len(pieces) - 1
    if rows is None:
        return False, (again + taken) * longer
    mean = sum(len(surface(piece)[0]) * rows[piece] for piece in pieces)
    cosine = rows[token] @ mean / np.sqrt((rows[token] @ rows[token]) * (mean @ mean))
    moved = (1 - cosine) ** 2 * (0.62 if surface(token)[1] else 1)
    return False, (again + 0.1 * taken) * moved + 0.2 * (again + taken) * longer


def forecast(tokens: Sequence[str], uses: Sequence[int], words: int, rows: Any = None) -> Any:
    """How often each token comes in as much text again: by its uses, its row, and its place in the vocabulary."""
    uses, ids = np.array(uses, float), np.arange(len(tokens))
    is_word = np.array([not surface(token)[1] and token.isalpha() for token in tokens])
    general = min(20_000, words / 2) * 0.1 / (ids + 1) * is_word * (uses > 0)
    usable = np.array([len(surface(token)[0]) == 1 or surface(token)[0].isalnum() for token in tokens])
    seen = usable & (uses > 0)
    if rows is None or not seen.any() or (usable == seen).all():
        return uses + general
    chance = (uses > 0).astype(float)
    chance[usable] = _chances(rows[usable].astype(float), np.log(ids[usable] + 1), seen[usable].astype(float))
    return np.maximum((uses + 0.5) * (1 - (1 - chance) ** 2), uses - 1) + general


def _chances(rows: Any, places: Any, seen: Any) -> Any:
    """Logistic regression on a score that two steps of conjugate gradients fit, and on places."""
    part = slice(None, None, -(-len(rows) // 4096))
    known = rows[part] - rows[part].mean(axis=0)
    apart = -(-len(known) // 512)
    scale = apart * (known[::apart] ** 2).sum(axis=0)
    residual, values = known.T @ (seen[part] - seen[part].mean()), np.zeros(rows.shape[1])
    direction = residual / scale
    for _ in range(2):
        image = known.T @ (known @ direction)
        before = residual @ (residual / scale)
        step = before / (direction @ image)
        values += step * direction
        residual = residual - step * image
        direction = residual / scale + residual @ (residual / scale) / before * direction
    scores = rows @ values
    score, place = ((x - x.mean()) / x.std() for x in (scores, places))
    features = np.stack([np.ones(len(rows)), score, score**2, place, score * place, place**2], axis=1)
    weights, known = np.zeros(6), features[part]
    for _ in range(30):
        chance = 1 / (1 + np.exp(-known @ weights))
        spread = known.T @ (known * (chance * (1 - chance))[:, None]) + np.diag([0, 1, 1, 1, 1, 1])
        slope = known.T @ (seen[part] - chance) - weights * [0, 1, 1, 1, 1, 1]
        weights = weights + np.linalg.solve(spread, slope)
    return 1 / (1 + np.exp(-features @ weights))


def grow(
    counts: Mapping[str, int], tokens: Collection[str], *, count: int, min_gain: int, max_pieces: int
) -> list[tuple[str, int]]:
    """Adds characters of unknown words, then the run of pieces that saves most, by segmenting all words again for each."""
    tokens, grown, bounds = set(tokens), [], Counter()
    for character, uses in _unseen(counts, tokens):
        lacking = [token for token in (character, "##" + character) if token not in tokens]
        if uses >= min_gain and lacking and len(grown) + len(lacking) <= count:
            tokens.update(lacking)
            grown.extend((token, uses) for token in lacking)
    for word, times in counts.items():
        pieces = segment(word, tokens) or []
        for i in range(len(pieces)):
            for j in range(i + 2, min(len(pieces), i + max_pieces) + 1):
                text = "".join(surface(piece)[0] for piece in pieces[i:j])
                bounds[text.encode(), i > 0] += times * (j - i - 1)
    queue = {key: gain for key, gain in bounds.items() if gain >= min_gain}
    while queue and len(grown) < count:
        best = min(queue, key=lambda key: (-queue[key], key))
        del queue[best]
        token = "##" * best[1] + best[0].decode()
        gain = _gain(counts, tokens, token)
        if gain is None or gain < min_gain:
            continue
        if queue and gain < max(queue.values()):
            queue[best] = gain
        else:
            tokens.add(token)
            grown.append((token, gain))
    return grown


def _unseen(counts: Mapping[str, int], tokens: set[str]) -> list[tuple[str, int]]:
    """Characters of unknown words with the occurrences of those words, the most frequent first."""
    uses = Counter()
    for word, times in counts.items():
        if segment(word, tokens) is None:
            uses.update(dict.fromkeys(word, times))
    return sorted(uses.items(), key=lambda item: (-item[1], item[0]))


def _gain(counts: Mapping[str, int], tokens: set[str], token: str) -> int | None:
    known = {word: count for word, count in counts.items() if segment(word, tokens)}
    after = emitted(known, tokens | {token})
    return None if None in after else emitted(known, tokens).total() - after.total()
