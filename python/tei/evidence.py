"""What a policy decides by: the words, the order in which tokens can go, and what could come."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tei import _core
from tei.counts import WordCounts
from tei.errors import InvalidInputError, MismatchError
from tei.usage import Usage, check_counts, count_usage

if TYPE_CHECKING:
    from tei.tokenizer import Tokenizer

__all__ = ["Bounds", "Decision", "Evidence", "TrimOrder"]

Ids = NDArray[np.uint32]

# Fewer uses cannot tell a token from an accident.
MIN_GAIN = 5


def is_number(value: Any, *, whole: bool = False) -> bool:
    """Whether a value can be a limit: a number from 0 on."""
    kinds = int | np.integer if whole else int | float | np.integer | np.floating
    return isinstance(value, kinds) and not isinstance(value, bool) and bool(value >= 0)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far `size='auto'` and `grow='auto'` may go; immutable.

    Held-out words are drawn from all texts, so text of its own repeats itself less than they do and grows about a third
    more than they say: the default leaves room for that within 3 %.

    Attributes:
        token_growth: Greatest share by which trimming may lengthen held-out text; the last sixth of it only where that
            gives up many tokens.
        drift: Greatest mean cost of a held-out token: how far trimming moves the model's input, 0 to about 2; only with
            weights.
        far: What is far for one held-out token to move. That is a bound on a quantile: with `far_share`, on that of 95 %.
        far_share: Greatest share of held-out tokens that trimming may move that far; only with weights.
        unknown_words: Greatest share of held-out words that trimming may make unknown.
        held_out_share: Share of the counts that is held out if the caller gives no held-out text.
        grow_share: Greatest share of new tokens among those kept.
        grow_gain: A new token must save this share of all tokens.
        max_pieces: Greatest number of pieces that become one token.
        base_change: Greatest share of the base text's tokens that one new token may change.
        base_words: So many of the base text's most frequent words must not become longer.
    """

    token_growth: float = 0.0264
    drift: float = 0.03
    far: float = 1.0
    far_share: float = 0.05
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
            whole = isinstance(type(self).__dict__[name], int)
            if not is_number(value, whole=whole) or (name == "held_out_share" and not 0 < value < 1):
                kind = "a whole number" if whole else "a number"
                msg = f"bound {name} is {value!r}, must be {kind} of at least 0, and held_out_share between 0 and 1"
                raise InvalidInputError(msg)


@dataclass(frozen=True)
class TrimOrder:
    """Tokens in the order in which they are given up, the cheapest first, and the state after each.

    Attributes:
        order: uint32 `[n]`, ids.
        uses: uint64 `[n]`, how often each was emitted just before it went.
        costs: float64 `[n]`, its cost then.
        tokens: uint64 `[n]`, tokens that the words emit after it is gone.
        unknown_words: uint64 `[n]`, occurrences of unknown words after it is gone.
    """

    order: Ids
    uses: NDArray[np.uint64]
    costs: NDArray[np.float64]
    tokens: NDArray[np.uint64]
    unknown_words: NDArray[np.uint64]

    def after(self, ids: Iterable[int], usage: Usage) -> "TrimOrder":
        """The same behind tokens that are never emitted, from what the words emit at first."""
        first = np.array(sorted(ids), np.uint32)
        starts = {"order": first, "tokens": usage.tokens, "unknown_words": usage.unknown_words}
        columns = {name: np.full(len(first), starts.get(name, 0), column.dtype) for name, column in vars(self).items()}
        return TrimOrder(**{name: np.concatenate([columns[name], column]) for name, column in vars(self).items()})

    @classmethod
    def empty(cls) -> "TrimOrder":
        """No token goes."""
        ids, counts = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
        return cls(ids, counts, np.zeros(0), counts, counts)

    def column(self, name: str, start: float) -> NDArray[Any]:
        """A column with the state before the first token went in front."""
        values = getattr(self, name)
        return np.concatenate([np.array([start], values.dtype), values])


@dataclass(frozen=True)
class Decision:
    """What a policy decided: tokens with the reason for each, which may be empty where counting explains it.

    Attributes:
        drop: Tokens to drop.
        add: Tokens to add, or to take back if they are dropped too.
        evidence: What it was decided by, where that is not what the policy was given.
    """

    drop: Mapping[str, str]
    add: Mapping[str, str]
    evidence: "Evidence | None" = None

    @classmethod
    def of(cls, drop: Iterable[str] = (), add: Iterable[str] = ()) -> "Decision":
        """A decision from tokens alone, or from mappings from token to reason."""
        parts = [part if isinstance(part, Mapping) else dict.fromkeys(part, "") for part in (drop, add)]
        return cls(parts[0], parts[1])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a policy decides by; immutable.

    Attributes:
        tokenizer: Whose vocabulary to change.
        counts: Words of the data.
        protected: For each protected token, why; policies must not drop them.
        rows: float32 `[vocab_size or more, dim]`, the model's embedding rows, if there are any.
        held_out: Words of other text of the same kind, if there are any.
        base: Words of text that new tokens must leave as it is, if there are any.
        bounds: How far choices that are left to the policy may go.
        most: How many tokens can be dropped at most: finding out about a few takes little time.
    """

    tokenizer: "Tokenizer"
    counts: WordCounts
    protected: Mapping[str, str]
    rows: NDArray[np.float32] | None = None
    held_out: WordCounts | None = None
    base: WordCounts | None = None
    bounds: Bounds = Bounds()
    most: int | None = None

    @classmethod
    def gather(
        cls,
        tokenizer: "Tokenizer",
        counts: WordCounts,
        *,
        weights: Any = None,
        protect: Iterable[str] = (),
        held_out: WordCounts | None = None,
        base: WordCounts | None = None,
        bounds: Bounds | None = None,
        most: int | None = None,
    ) -> "Evidence":
        """Checks that everything belongs to the tokenizer; see `plan_resize`."""
        if not isinstance(bounds, Bounds | None):
            msg = f"bounds are {bounds!r}, must be tei.policy.Bounds(...)"
            raise InvalidInputError(msg)
        for name, words in (("counts", counts), ("held_out", held_out), ("base", base)):
            if words is not None:
                check_counts(tokenizer, words, name)
        alphabet = _core.alphabet(tokenizer.encoder, counts.core)
        protected, rows = protected_tokens(tokenizer, alphabet, protect), checked_rows(tokenizer, weights)
        return cls(tokenizer, counts, protected, rows, held_out, base, bounds or Bounds(), most)

    def with_counts(self, counts: WordCounts) -> "Evidence":
        """The same with other words."""
        check_counts(self.tokenizer, counts)
        alphabet = protected_tokens(self.tokenizer, _core.alphabet(self.tokenizer.encoder, counts.core), ())
        known = {part.name: getattr(self, part.name) for part in fields(Evidence)}
        return Evidence(**{**known, "counts": counts, "protected": {**alphabet, **self.protected}})

    @cached_property
    def usage(self) -> Usage:
        """What the words emit."""
        return count_usage(self.tokenizer, self.counts)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Which tokens have no place in the order: protected ones, and retired ones, which always go; bool `[vocab_size]`."""
        mask = np.zeros(self.tokenizer.vocab_size, dtype=bool)
        mask[[self.tokenizer.vocab[token] for token in self.protected] + list(self.tokenizer.retired)] = True
        return mask

    @cached_property
    def trim(self) -> TrimOrder:
        """All unprotected tokens, the cheapest first; no more than `most`, and those that are retired."""
        found = _core.trim_order(self.tokenizer.encoder, self.counts.core, self.mask, self.rows, self.most)
        return TrimOrder(*found).after(self.tokenizer.retired, self.usage)

    def cheapest(self, size: int) -> Ids:
        """Ids of the tokens to drop so that `size` are left, the cheapest first."""
        return self.trim.order[: self.tokenizer.vocab_size - size]

    def names(self, ids: NDArray[Any]) -> list[str]:
        """Tokens of ids."""
        return [*map(self.tokenizer.tokens.__getitem__, ids.tolist())]

    def grown(self, dropped: Ids, count: int, *, min_gain: int = MIN_GAIN) -> Mapping[str, int]:
        """At most `count` tokens that pay once others are dropped, the most useful first.

        Returns:
            For each token what it saves: tokens, or for a character unknown words. Some may be among the dropped.
        """
        found = _core.grow(
            self.tokenizer.encoder,
            self.counts.core,
            dropped,
            count=count,
            min_gain=min_gain,
            max_pieces=self.bounds.max_pieces,
            base=None if self.base is None else self.base.core,
            max_changed=self.bounds.base_change,
            keep_top=self.bounds.base_words,
        )
        return dict(found)

    def worthwhile(self, dropped: Ids) -> Mapping[str, int]:
        """All tokens that pay within the bounds once others are dropped."""
        count = int(self.bounds.grow_share * (self.tokenizer.vocab_size - len(dropped)))
        return self.grown(dropped, count, min_gain=max(MIN_GAIN, round(self.usage.tokens * self.bounds.grow_gain)))


def checked_rows(tokenizer: "Tokenizer", weights: Any) -> NDArray[np.float32] | None:
    """Embedding rows as the core takes them.

    Raises:
        InvalidInputError: If they are not numbers.
        MismatchError: If there is no row for a token.
    """
    if weights is None:
        return None
    # Tensors that are trained, on another device, or of a type that numpy lacks.
    try:
        is_real_tensor = hasattr(weights, "detach") and not weights.is_complex()
        rows = np.ascontiguousarray(weights.detach().float().cpu() if is_real_tensor else weights)
        if np.iscomplexobj(rows):
            raise TypeError(str(rows.dtype))
        rows = rows.astype(np.float32, copy=False)
    except (RuntimeError, TypeError, ValueError) as error:
        msg = f"weights are {type(weights).__name__}, not an array of numbers: {error}"
        raise InvalidInputError(msg) from error
    if rows.ndim != 2 or rows.shape[1] == 0 or rows.shape[0] < tokenizer.vocab_size:
        msg = f"weights have shape {rows.shape}, need ({tokenizer.vocab_size} or more, dim): give the embedding matrix"
        raise MismatchError(msg)
    return rows


def protected_tokens(tokenizer: "Tokenizer", alphabet: NDArray[np.bool_], protect: Iterable[str]) -> Mapping[str, str]:
    """Tokens that must stay, with the reason for each; `alphabet` marks those of one character that the text needs.

    Raises:
        InvalidInputError: If `protect` is no collection of tokens.
        MismatchError: If one is not in the vocabulary.
    """
    spec, needed = tokenizer.spec, np.flatnonzero(alphabet).tolist()
    protected = {
        tokenizer.tokens[i]: "characters of the text or of ASCII" for i in needed if i not in tokenizer.retired
    }
    protected |= dict.fromkeys(_asked_for(protect), "asked for with protect")
    padding = spec.extras.get("padding", {}).get("pad_token")
    protected |= {padding: "padding"} if padding in tokenizer.vocab else {}
    protected |= {token.content: "declared added tokens" for token in spec.added_tokens}
    protected |= dict.fromkeys(tokenizer.special_tokens, "special tokens")
    for token in protected:
        if token not in tokenizer.vocab:
            msg = f"protected token {token!r} is not in the vocabulary: give tokens as they stand there, '##' included"
            raise MismatchError(msg)
    return protected


def _asked_for(protect: Any) -> list[str]:
    tokens = None if isinstance(protect, str) or not isinstance(protect, Iterable) else [*protect]
    if tokens is None or not all(isinstance(token, str) for token in tokens):
        msg = f"protect is {protect!r}, must be a list of tokens, or any other collection of str"
        raise InvalidInputError(msg)
    return tokens


def explain_protected(protected: Mapping[str, str]) -> str:
    """How many tokens are protected for which reason, with examples."""
    return "; ".join(_groups(protected))


def _groups(protected: Mapping[str, str]) -> Iterator[str]:
    for cause in dict.fromkeys(protected.values()):
        tokens = [token for token, why in protected.items() if why == cause]
        yield f"{len(tokens)} {cause} ({' '.join(tokens[:5])}{' …' if len(tokens) > 5 else ''})"
