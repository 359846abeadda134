"""Training: induces a vocabulary from word counts.

The alphabet comes first: in the bytes scheme the 256 bytes, in others every character that occurs at least `min_count`
times, as an initial and as a continuation token, so that longest match can spell every word over it; a character that
the scheme always parts from its neighbours is an initial token only. A word with a rarer character is unknown. The rest
are merges of the most frequent pair of neighbours, as in byte pair encoding (Sennrich et al., 2016, "Neural Machine
Translation of Rare Words with Subword Units"). Among equal counts the pair of the older symbols wins.

With `quality`, twice as many merges are made as there is room for, and tokens are chosen by how much longer text would
be without them under longest match, counted anew after each removal; then other strings are tried in their place until
nothing improves. Judged on its own text, a vocabulary that knows every word by heart would look best. So a part of each
word's count stands for unseen words: it is spelled as the word would be if it were no token itself (leaving-one-out, as
Ney, Essen and Kneser, 1994, estimate what was not seen). So does a part of each piece's uses, down to characters. What
occurs once is made a token only where there is nothing else.

Either result depends on the counts alone, not on the order of words, on threads or on a hash seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from tei import _core
from tei.counts import WordCounts, bare_encoder
from tei.errors import InvalidInputError, MismatchError, SizeError, VocabularyError
from tei.pretrained import BERT_ROLES, TokenizerSpec
from tei.scheme import Scheme
from tei.special_tokens import AddedToken, Template

__all__ = ["Induction", "Reason", "induce", "train_spec"]

#: Special tokens of the bytes scheme that have a role by their name.
BYTE_ROLES = {"eos_token": "<|endoftext|>"}
#: Padding gets id 0, as in BERT.
SPECIAL_NAMES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


@dataclass(frozen=True)
class Reason:
    """Why a token is in a vocabulary.

    Attributes:
        kind: `special`, `character`, `required`, `merged` from a pair, or `chosen` for what it saves.
        count: Of a merged token, how often the pair occurred; of a chosen one, how often the token is expected in as
            much text as was counted; otherwise 0.
        saved: Of a chosen token, how many tokens more that text would have without it.
    """

    kind: Literal["special", "character", "required", "merged", "chosen"]
    count: float
    saved: float


@dataclass(frozen=True, kw_only=True)
class Induction:
    """An induced vocabulary.

    Attributes:
        spec: What a tokenizer is made of.
        reasons: Why each token is there, in id order.
    """

    spec: TokenizerSpec
    reasons: tuple[Reason, ...]


def train_spec(counts: WordCounts, **options: Any) -> TokenizerSpec:
    """What a tokenizer is made of, induced with the arguments of [`induce`][tei.training.induce]."""
    return induce(counts, **options).spec


def induce(
    counts: WordCounts,
    *,
    vocab_size: int = 8_000,
    scheme: Scheme | None = None,
    special_tokens: Sequence[str] | None = None,
    required_tokens: Sequence[str] = (),
    min_count: int = 2,
    limit_alphabet: int | None = None,
    max_token_bytes: int | None = None,
    quality: bool = True,
) -> Induction:
    """Induces the vocabulary of a tokenizer.

    Args:
        counts: Word counts.
        vocab_size: Number of tokens, special ones and alphabet included.
        scheme: The scheme the words were counted with; that of `counts` if None.
        special_tokens: Tokens with the first ids, in this order, the scheme's unknown token among them; those named as
            in BERT get their role, and `[CLS]` with `[SEP]` the template. If None: `[PAD]`, the unknown token, `[CLS]`,
            `[SEP]`, `[MASK]`; in the bytes scheme none. There `<|endoftext|>` is the `eos_token`.
        required_tokens: Tokens that the vocabulary has whatever the counts say, normalized and with the scheme's prefix
            if they continue a word.
        min_count: Characters and pairs that occur fewer times get no token, bytes excepted; at least 1.
        limit_alphabet: Only so many characters get tokens, the most frequent ones, bytes excepted; all if None.
        max_token_bytes: No other token of several characters has more bytes; at least 1, no limit if None.
        quality: Choose tokens by what new text needs; if False, take the merges as they come.

    Raises:
        EmptySourceError: If there is no word.
        InvalidInputError: If `min_count`, `limit_alphabet` or `max_token_bytes` is below 1, or the counts are too large.
        MismatchError: If the words were counted with another scheme.
        SizeError: If `vocab_size` is below special tokens, required tokens and alphabet, or above what the words offer;
            the message gives the size that is possible.
        VocabularyError: If special tokens are empty, equal, equal once normalized, or lack the unknown token; or if a
            required token could never be met in a text.

    Example:
        >>> counts = WordCounts.from_mapping({"hug": 10, "hugs": 5, "pug": 2})
        >>> induction = induce(counts, vocab_size=18)
        >>> induction.spec.tokens[5:]
        ('g', 'h', 'p', 's', 'u', '##g', '##h', '##p', '##s', '##u', 'hug', 'hugs', '##ug')
        >>> induction.reasons[-2]
        Reason(kind='chosen', count=4.125, saved=4.125)
    """
    scheme = scheme or counts.scheme
    if scheme != counts.scheme:
        msg = (
            f"words were counted with {counts.scheme}, not with {scheme}: count them again with the scheme to train for"
        )
        raise MismatchError(msg)
    for name, value in {
        "min_count": min_count,
        "limit_alphabet": limit_alphabet,
        "max_token_bytes": max_token_bytes,
    }.items():
        if value is not None and value < 1:
            msg = f"{name} is {value}, must be at least 1"
            raise InvalidInputError(msg)
    roles = {**BERT_ROLES, **BYTE_ROLES} if scheme.is_lossless else {**BERT_ROLES, "unk_token": scheme.unknown_token}
    usual = () if scheme.is_lossless else [roles[name] for name in SPECIAL_NAMES]
    special = tuple(usual if special_tokens is None else special_tokens)
    _check_special_tokens(special, scheme)
    _check_required_tokens(required_tokens, scheme)
    least = len({*special, *_core.byte_letters()} if scheme.is_lossless else special)
    if vocab_size < least:
        alphabet = "the 256 bytes" if scheme.is_lossless else "an alphabet"
        msg = f"vocab_size is {vocab_size}, below {least}: {len(special)} special tokens and {alphabet} must have room"
        raise SizeError(msg)
    induced = _core.train(
        counts.core,
        scheme.rules,
        vocab_size=vocab_size,
        min_count=min_count,
        special_tokens=list(special),
        required_tokens=list(required_tokens),
        continuation_prefix=scheme.continuation_prefix,
        max_word_chars=scheme.max_word_chars,
        limit_alphabet=limit_alphabet,
        max_token_bytes=max_token_bytes,
        quality=quality,
    )
    tokens = tuple(token for token, *_ in induced)
    spec = _spec(tokens, scheme, special, {name: token for name, token in roles.items() if token in special})
    return Induction(spec=spec, reasons=tuple(Reason(cast("Any", kind), *numbers) for _, kind, *numbers in induced))


def _check_required_tokens(required: Sequence[str], scheme: Scheme) -> None:
    """Refuses tokens that no word could ever hold."""
    for token in required:
        surface = token.removeprefix(scheme.continuation_prefix) or token
        counter = _core.WordCounter()
        counter.add(bare_encoder(scheme), [surface], 1)
        words = [word for word, _ in counter.finish().most_common()]
        if words != [surface]:
            msg = (
                f"required token {token!r} is {words} in a text: give one word, or part of one, as the scheme writes it"
            )
            raise VocabularyError(msg)


def _check_special_tokens(special: Sequence[str], scheme: Scheme) -> None:
    """Refuses special tokens that a reader, or a lowercased text, could not tell apart."""
    if scheme.unknown_token and scheme.unknown_token not in special:
        msg = f"special_tokens {list(special)} lack the scheme's unknown token {scheme.unknown_token!r}: add it"
        raise VocabularyError(msg)
    seen: dict[str, str] = {}
    for token in special:
        key = _core.normalize(token, scheme.rules).strip()
        if not key:
            msg = f"special token {token!r} is empty once normalized: give it visible characters"
            raise VocabularyError(msg)
        if key in seen:
            msg = f"special tokens {seen[key]!r} and {token!r} are both {key!r} once normalized: leave one out"
            raise VocabularyError(msg)
        seen[key] = token


def _spec(tokens: tuple[str, ...], scheme: Scheme, special: Sequence[str], roles: dict[str, str]) -> TokenizerSpec:
    framed = {"cls_token", "sep_token"} <= roles.keys()
    return TokenizerSpec(
        tokens=tokens,
        scheme=scheme,
        added_tokens=tuple(AddedToken(content=token) for token in special),
        template=Template.bert(roles["cls_token"], roles["sep_token"]) if framed else Template(),
        roles=roles,
    )
