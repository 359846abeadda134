"""Training: induces a vocabulary from word counts.

The alphabet comes first: in the bytes scheme the 256 bytes, in others every character that occurs at least `min_count` times, as an initial and as a continuation
token, so that longest match can spell every word over it; a word with a rarer character is unknown. The rest are merges
of the most frequent pair of neighbours, as in byte pair encoding (Sennrich et al., 2016, "Neural Machine Translation of
Rare Words with Subword Units"). Among equal counts the pair of the older symbols wins; so the result depends on the
counts alone, not on the order of words or on threads.
"""

from collections.abc import Sequence

from tei import _core
from tei.counts import WordCounts
from tei.errors import InvalidInputError, MismatchError, SizeError, VocabularyError
from tei.pretrained import BERT_ROLES, TokenizerSpec
from tei.scheme import Scheme
from tei.special_tokens import AddedToken, Template

__all__ = ["train_spec"]

#: Special tokens of the bytes scheme that have a role by their name.
BYTE_ROLES = {"eos_token": "<|endoftext|>"}
#: Padding gets id 0, as in BERT.
SPECIAL_NAMES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def train_spec(
    counts: WordCounts,
    *,
    vocab_size: int = 8_000,
    scheme: Scheme | None = None,
    special_tokens: Sequence[str] | None = None,
    min_count: int = 2,
) -> TokenizerSpec:
    """Induces the vocabulary of a tokenizer.

    Args:
        counts: Word counts.
        vocab_size: Number of tokens, special ones and alphabet included.
        scheme: The scheme the words were counted with; that of `counts` if None.
        special_tokens: Tokens with the first ids, in this order, the scheme's unknown token among them; those named as
            in BERT get their role, and `[CLS]` with `[SEP]` the template. If None: `[PAD]`, the unknown token, `[CLS]`,
            `[SEP]`, `[MASK]`; in the bytes scheme none. There `<|endoftext|>` is the `eos_token`.
        min_count: Characters and pairs that occur fewer times get no token, bytes excepted; at least 1.

    Raises:
        EmptySourceError: If there is no word.
        InvalidInputError: If `min_count` is below 1.
        MismatchError: If the words were counted with another scheme.
        SizeError: If `vocab_size` is below special tokens and alphabet, or above what the words offer; the message gives
            the size that is possible.
        VocabularyError: If special tokens are empty, equal, equal once normalized, or lack the unknown token.

    Example:
        >>> counts = WordCounts.from_mapping({"hug": 10, "hugs": 5, "pug": 2})
        >>> train_spec(counts, vocab_size=18).tokens[5:]
        ('g', 'h', 'p', 's', 'u', '##g', '##h', '##p', '##s', '##u', '##ug', 'hug', 'hugs')
    """
    scheme = scheme or counts.scheme
    if scheme != counts.scheme:
        msg = (
            f"words were counted with {counts.scheme}, not with {scheme}: count them again with the scheme to train for"
        )
        raise MismatchError(msg)
    if min_count < 1:
        msg = f"min_count is {min_count}, must be at least 1"
        raise InvalidInputError(msg)
    roles = {**BERT_ROLES, **BYTE_ROLES} if scheme.is_lossless else {**BERT_ROLES, "unk_token": scheme.unknown_token}
    usual = () if scheme.is_lossless else [roles[name] for name in SPECIAL_NAMES]
    special = tuple(usual if special_tokens is None else special_tokens)
    _check_special_tokens(special, scheme)
    least = len({*special, *_core.byte_letters()} if scheme.is_lossless else special)
    if vocab_size < least:
        alphabet = "the 256 bytes" if scheme.is_lossless else "an alphabet"
        msg = f"vocab_size is {vocab_size}, below {least}: {len(special)} special tokens and {alphabet} must have room"
        raise SizeError(msg)
    tokens = _core.train(
        counts.core,
        vocab_size=vocab_size,
        min_count=min_count,
        special_tokens=list(special),
        continuation_prefix=scheme.continuation_prefix,
        max_word_chars=scheme.max_word_chars,
    )
    return _spec(tuple(tokens), scheme, special, {name: token for name, token in roles.items() if token in special})


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
        cleanup=not scheme.is_lossless,
        template=Template.bert(roles["cls_token"], roles["sep_token"]) if framed else Template(),
        roles=roles,
    )
