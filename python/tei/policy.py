"""Which tokens to drop and which to add: from word counts to a `ResizePlan`.

Trimming gives up tokens one at a time, the cheapest first, and gives an order of all sizes; growing then adds tokens for
what the rest spells with many pieces. Python decides here; the compiled core counts.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.counts import WordCounts
from tei.errors import InvalidInputError, MismatchError, SizeError
from tei.plan import ResizePlan
from tei.usage import check_counts, count_usage
from tei.vocabulary import fingerprint

if TYPE_CHECKING:
    from tei.tokenizer import Tokenizer

__all__ = ["Bounds", "plan_resize"]

Size = int | Literal["auto"]
Ids = NDArray[np.uint32]
Rows = tuple[NDArray[Any], NDArray[Any]]

# Smooth inverse frequency (Arora et al. 2017): pieces that occur everywhere say little about a new token.
INVERSE_FREQUENCY = 1e-3
# Fewer uses cannot tell a token from an accident.
MIN_GAIN = 5


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far `size='auto'` and `grow='auto'` may go; immutable.

    Held-out words are drawn from all texts, so text of its own repeats itself less than they do and grows about a third
    more than they say: the default leaves room for that within 3 %.

    Attributes:
        token_growth: Greatest share by which trimming may lengthen held-out text.
        drift: Greatest mean cost of a held-out token: how far trimming moves the model's input, 0 to about 2; only with
            weights.
        unknown_words: Greatest share of held-out words that trimming may make unknown.
        held_out_share: Share of the counts that is held out if the caller gives no held-out text.
        grow_share: Greatest share of new tokens among those kept.
        grow_gain: A new token must save this share of all tokens.
        max_pieces: Greatest number of pieces that become one token.
        base_change: Greatest share of the base text's tokens that one new token may change.
        base_words: So many of the base text's most frequent words must not become longer.
    """

    token_growth: float = 0.022
    drift: float = 0.022
    unknown_words: float = 1e-4
    held_out_share: float = 0.2
    grow_share: float = 0.25
    grow_gain: float = 1 / 20_000
    max_pieces: int = 6
    base_change: float = 0.005
    base_words: int = 10_000

    def __post_init__(self) -> None:
        """Checks that all are numbers that can bound something."""
        for name, value in vars(self).items():
            if not value >= 0 or (name == "held_out_share" and not 0 < value < 1):
                msg = f"bound {name} is {value}, must be at least 0, and held_out_share between 0 and 1"
                raise InvalidInputError(msg)


@dataclass(frozen=True)
class Trim:
    """Tokens in the order in which they are given up, and the state after each."""

    order: Ids
    uses: NDArray[np.uint64]
    costs: NDArray[np.float64]
    tokens: NDArray[np.uint64]
    unknown_words: NDArray[np.uint64]

    def column(self, name: str, start: float) -> NDArray[Any]:
        """A column with the state before the first token went in front."""
        values = getattr(self, name)
        return np.concatenate([np.array([start], values.dtype), values])


def plan_resize(
    tokenizer: "Tokenizer",
    counts: WordCounts,
    *,
    size: Size = "auto",
    grow: Size = 0,
    weights: Any = None,
    protect: Iterable[str] = (),
    held_out: WordCounts | None = None,
    base: WordCounts | None = None,
    bounds: Bounds | None = None,
) -> ResizePlan:
    """Plans which tokens go, and which come, so that a vocabulary fits words.

    Never dropped: special tokens, declared added tokens, `protect`, and tokens of one character that occurs in the counts
    or is common anywhere (Latin-1 and general punctuation). A token costs its count times the distance of its row to the length-weighted mean of the rows
    that replace it, counted again after each removal; without weights it costs the tokens it saves.

    Args:
        tokenizer: Whose vocabulary to change.
        counts: Words of the data, counted by the tokenizer's scheme.
        size: Number of tokens to keep, or `auto`: as few as the bounds allow on held-out words.
        grow: Number of tokens to add after that, or `auto`: as many as pay. Where the words offer fewer new tokens, the
            dearest of the dropped ones come back.
        weights: Embedding rows in id order, `[n, dim]` with `n` at least the number of tokens; any array of numbers.
        protect: Tokens to keep in any case.
        held_out: Words of other text of the same kind; a part of `counts` is set aside if None.
        base: Words of text that new tokens must leave as it is, see `Bounds`.
        bounds: How far `auto` may go.

    Returns:
        The plan. Its curve has a row for each possible size: `size`, `tokens`, `unknown_words` and, with weights, `drift`
        (mean cost of a token so far).

    Raises:
        EmptySourceError: If there is no word in the counts.
        InvalidInputError: If an option cannot be used.
        MismatchError: If counts, weights or protected tokens do not belong to the tokenizer.
        SizeError: If the size is below what is protected or above the vocabulary, or fewer tokens than `grow` pay.
    """
    bounds = bounds or Bounds()
    for name, words in (("counts", counts), ("held_out", held_out), ("base", base)):
        if words is not None:
            check_counts(tokenizer, words, name)
    rows = _rows(tokenizer, weights)
    protected = _protected(tokenizer, counts, protect)
    trim = Trim(*_core.trim_order(tokenizer.encoder, counts.core, protected, rows))
    if size == "auto":
        size = _auto_size(tokenizer, counts, held_out, protected, rows, bounds)
    removed = trim.order[: _check_size(size, tokenizer.vocab_size, int(protected.sum()))]
    grown = _grown(tokenizer, counts, removed, grow, base, bounds)
    if grow != "auto":
        grown = {**grown, **_restored(tokenizer, trim, removed, grown, int(grow) - len(grown))}
    return _Draft(tokenizer, counts, trim, removed, grown).plan(drift=rows is not None)


def _rows(tokenizer: "Tokenizer", weights: Any) -> NDArray[np.float32] | None:
    if weights is None:
        return None
    try:
        rows = np.ascontiguousarray(weights, dtype=np.float32)
    except (TypeError, ValueError) as error:
        msg = f"weights are {type(weights).__name__}, not an array of numbers: {error}"
        raise InvalidInputError(msg) from error
    if rows.ndim != 2 or rows.shape[1] == 0 or rows.shape[0] < tokenizer.vocab_size:
        msg = f"weights have shape {rows.shape}, need ({tokenizer.vocab_size} or more, dim): give the embedding matrix"
        raise MismatchError(msg)
    return rows


def _protected(tokenizer: "Tokenizer", counts: WordCounts, protect: Iterable[str]) -> NDArray[np.bool_]:
    protected: NDArray[np.bool_] = _core.alphabet(tokenizer.encoder, counts.core)
    declared = [token.content for token in tokenizer.spec.added_tokens]
    for token in (*tokenizer.special_tokens, *declared, *protect):
        if token not in tokenizer.vocab:
            msg = f"protected token {token!r} is not in the vocabulary: give tokens as they stand there, '##' included"
            raise MismatchError(msg)
        protected[tokenizer.vocab[token]] = True
    return protected


def _check_size(size: Any, vocab_size: int, least: int) -> int:
    """Number of tokens to drop."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        msg = f"size is {size!r}, must be a number of tokens or 'auto'"
        raise InvalidInputError(msg)
    if not least <= size <= vocab_size:
        msg = (
            f"size is {size}, must be from {least}, the tokens that are protected, to {vocab_size}, all there are; "
            "use grow to add tokens"
        )
        raise SizeError(msg)
    return vocab_size - int(size)


def _auto_size(
    tokenizer: "Tokenizer",
    counts: WordCounts,
    held_out: WordCounts | None,
    protected: NDArray[np.bool_],
    rows: NDArray[np.float32] | None,
    bounds: Bounds,
) -> int:
    """The smallest size at which, and above which, held-out words stay within the bounds."""
    kept, held = counts.core, held_out.core if held_out else None
    if held is None:
        kept, held = _core.hold_out(counts.core, bounds.held_out_share, 0)
        if not len(kept) or not len(held):
            return tokenizer.vocab_size
    order = _core.trim_order(tokenizer.encoder, kept, protected, rows)[0]
    trim = Trim(*_core.trim_along(tokenizer.encoder, held, order, rows))
    usage = count_usage(tokenizer, WordCounts(held, counts.scheme))
    good = trim.tokens <= usage.tokens * (1 + bounds.token_growth)
    good &= trim.unknown_words <= usage.unknown_words + bounds.unknown_words * usage.words
    if rows is not None:
        good &= np.cumsum(trim.costs) <= bounds.drift * usage.tokens
    return tokenizer.vocab_size - int(np.argmin(np.append(good, False)))


def _grown(
    tokenizer: "Tokenizer", counts: WordCounts, removed: Ids, grow: Any, base: WordCounts | None, bounds: Bounds
) -> Mapping[str, int]:
    """New tokens with their gains; some may be tokens that trimming had dropped."""
    auto, kept = grow == "auto", tokenizer.vocab_size - len(removed)
    if not auto and (isinstance(grow, bool) or not isinstance(grow, int | np.integer) or grow < 0):
        msg = f"grow is {grow!r}, must be a number of tokens from 0 on, or 'auto'"
        raise InvalidInputError(msg)
    tokens = count_usage(tokenizer, counts).tokens
    count = int(bounds.grow_share * kept) if auto else int(grow)
    found = _core.grow(
        tokenizer.encoder,
        counts.core,
        removed,
        count=count,
        min_gain=max(MIN_GAIN, round(tokens * bounds.grow_gain)) if auto else MIN_GAIN,
        max_pieces=bounds.max_pieces,
        base=None if base is None else base.core,
        max_changed=bounds.base_change,
        keep_top=bounds.base_words,
    )
    return dict(found)


def _restored(
    tokenizer: "Tokenizer", trim: Trim, removed: Ids, grown: Mapping[str, int], room: int
) -> Mapping[str, int]:
    """The dearest of the dropped tokens, where the text offers fewer new ones than there is room for."""
    pairs = zip(removed[::-1].tolist(), trim.uses[: len(removed)][::-1].tolist(), strict=True)
    used = ((tokenizer.tokens[i], uses) for i, uses in pairs if uses)
    return dict(itertools.islice(((token, uses) for token, uses in used if token not in grown), room))


@dataclass(frozen=True)
class _Draft:
    """What has been decided, on its way to a plan."""

    tokenizer: "Tokenizer"
    counts: WordCounts
    trim: Trim
    removed: Ids
    grown: Mapping[str, int]

    def plan(self, *, drift: bool) -> ResizePlan:
        tok = self.tokenizer
        back = {tok.vocab[token] for token in self.grown if token in tok.vocab}
        dropped = np.array([i for i in self.removed.tolist() if i not in back], dtype=np.uint32)
        added = [token for token in self.grown if token not in tok.vocab]
        gone = set(dropped.tolist())
        target = [token for i, token in enumerate(tok.tokens) if i not in gone] + added
        return ResizePlan.from_tokens(
            tok.tokens,
            target,
            added=self._added(added),
            dropped=self._dropped(dropped, added),
            source_fingerprint=tok.fingerprint,
            target_fingerprint=fingerprint(target, tok.scheme.to_json()),
            reasons=self._reasons(dropped, added),
            curve=self._curve(drift=drift),
        )

    def _added(self, added: list[str]) -> Mapping[str, Rows]:
        """Pieces of the vocabulary before, by length and smooth inverse frequency."""
        usage = count_usage(self.tokenizer, self.counts)
        share = usage.token_counts / usage.tokens
        importance = self._lengths() * (INVERSE_FREQUENCY / (INVERSE_FREQUENCY + share))
        nothing = np.zeros(0, np.uint32)
        pieces, ends = _core.spell(self.tokenizer.encoder, nothing, [], added)
        return _weighted(added, pieces, ends, importance)

    def _dropped(self, dropped: Ids, added: list[str]) -> Mapping[str, Rows]:
        """Pieces of the vocabulary after, by length."""
        tok = self.tokenizer
        names = [tok.tokens[i] for i in dropped.tolist()]
        pieces, ends = _core.spell(tok.encoder, dropped, added, names)
        new_ids = np.full(tok.vocab_size + len(added), -1, dtype=np.int64)
        keeps = np.ones(len(new_ids), bool)
        keeps[dropped] = False
        new_ids[keeps] = np.arange(keeps.sum())
        lengths = np.concatenate([self._lengths(), self._lengths(added)])
        return _weighted(names, new_ids[pieces], ends, lengths[keeps])

    def _lengths(self, tokens: Iterable[str] | None = None) -> NDArray[np.float64]:
        """Characters that tokens spell."""
        prefix = self.tokenizer.scheme.continuation_prefix
        names = self.tokenizer.tokens if tokens is None else tokens
        return np.array([len(t.removeprefix(prefix)) or len(t) or 1 for t in names], dtype=np.float64)

    def _reasons(self, dropped: Ids, added: list[str]) -> Mapping[str, str]:
        uses = dict(zip(self.trim.order.tolist(), self.trim.uses.tolist(), strict=True))
        names = {self.tokenizer.tokens[i]: uses[i] for i in dropped.tolist()}
        reasons = {token: f"cheap: {n} uses to spell otherwise" if n else "unused" for token, n in names.items()}
        return {**reasons, **{token: f"grown: saves {self.grown[token]} tokens" for token in added}}

    def _curve(self, *, drift: bool) -> Mapping[str, NDArray[Any]]:
        usage, trim = count_usage(self.tokenizer, self.counts), self.trim
        curve: dict[str, NDArray[Any]] = {
            "size": self.tokenizer.vocab_size - np.arange(len(trim.order) + 1),
            "tokens": trim.column("tokens", usage.tokens).astype(np.int64),
            "unknown_words": trim.column("unknown_words", usage.unknown_words).astype(np.int64),
        }
        if drift:
            curve["drift"] = np.cumsum(trim.column("costs", 0.0)) / usage.tokens
        return curve


def _weighted(names: list[str], pieces: NDArray[Any], ends: NDArray[Any], importance: Any) -> Mapping[str, Rows]:
    """Convex weights of each token's pieces, in the order of its spelling."""
    weights = importance[pieces]
    if names:
        weights /= np.repeat(np.add.reduceat(weights, ends[:-1]), np.diff(ends))
    spans = [slice(start, end) for start, end in itertools.pairwise(ends.tolist())]
    return {name: (pieces[span], weights[span]) for name, span in zip(names, spans, strict=True)}
