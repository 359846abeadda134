"""How text becomes words: the rules a vocabulary is induced by and encodes with."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

from tei.errors import InvalidInputError

__all__ = ["Scheme", "Steps"]

#: Steps of a normalizer or a pre-tokenizer, each its name and its arguments.
Steps = tuple[tuple[str, ...], ...]

#: The switches of BERT's normalizer, in the order they take effect, with the names `tokenizers` uses.
SWITCHES = {
    "clean_text": "clean_text",
    "split_ideographs": "handle_chinese_chars",
    "strip_accents": "strip_accents",
    "lowercase": "lowercase",
}


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Normalizer, pre-tokenizer and the marks of a vocabulary; immutable.

    [`Scheme.bert`][tei.scheme.Scheme.bert] gives the rules of BERT, [`Scheme.bytes`][tei.scheme.Scheme.bytes] those that
    lose nothing. Other rules are steps with the names and the exact
    meaning that they have in Hugging Face `tokenizers`, taken one after the other; an empty tuple is no step at all.

    Attributes:
        clean_text: Remove control characters, turn white space into blanks.
        split_ideographs: Make each CJK ideograph a word of its own.
        strip_accents: Decompose canonically and drop nonspacing marks.
        lowercase: Lowercase each character.
        continuation_prefix: What a token begins with that continues a word; empty in `Scheme.bytes()` alone.
        unknown_token: The token for a word that cannot be spelled; empty in `Scheme.bytes()` alone.
        max_word_chars: A word of more characters is unknown.
        normalizer: `("NFC",)`, `("NFD",)`, `("NFKC",)`, `("NFKD",)`, `("Lowercase",)`, `("StripAccents",)`,
            `("Strip", "left", "right")`, `("Replace", old, new)`, `("Prepend", text)`, or `("BertNormalizer",
            "clean_text", "handle_chinese_chars", "strip_accents", "lowercase")` with the switches that are on. If None,
            BERT's with the four switches above, which are off otherwise.
        pre_tokenizer: `("BertPreTokenizer",)`, `("Whitespace",)`, `("WhitespaceSplit",)`, `("Digits",)`, `("Digits",
            "individual_digits")`, or `("Punctuation", behavior)` with `Isolated`, `Removed`, `Contiguous`,
            `MergedWithPrevious` or `MergedWithNext`. If None, BERT's.

    Example:
        >>> scheme = Scheme(normalizer=[["NFKC"], ["Lowercase"]], pre_tokenizer=[["Whitespace"], ["Digits"]])
        >>> scheme.normalizer
        (('NFKC',), ('Lowercase',))
    """

    clean_text: bool = True
    split_ideographs: bool = True
    strip_accents: bool = True
    lowercase: bool = True
    continuation_prefix: str = "##"
    unknown_token: str = "[UNK]"
    max_word_chars: int = 100
    normalizer: Steps | None = None
    pre_tokenizer: Steps | None = None

    def __post_init__(self) -> None:
        if self.max_word_chars < 0:
            msg = f"max_word_chars is {self.max_word_chars}, must be at least 0"
            raise InvalidInputError(msg)
        fixed: dict[str, Any] = {name: _frozen(getattr(self, name), name) for name in ("normalizer", "pre_tokenizer")}
        if self.normalizer is not None:
            # Equal rules are equal schemes: what has no effect has one value.
            fixed.update(dict.fromkeys(SWITCHES, False))
        for name, value in fixed.items():
            object.__setattr__(self, name, value)
        self._check_marks()

    def _check_marks(self) -> None:
        marks = (self.continuation_prefix, self.unknown_token)
        if ("ByteWords",) in (self.pre_tokenizer or ()):
            if (self.normalizer, self.pre_tokenizer, marks) != ((), (("ByteWords",),), ("", "")):
                msg = "ByteWords goes with no other step, prefix or unknown token: use Scheme.bytes()"
                raise InvalidInputError(msg)
            return
        if not self.continuation_prefix:
            msg = "continuation_prefix is empty: continuation tokens need a mark, '##' is the usual one"
            raise InvalidInputError(msg)
        if not self.unknown_token:
            msg = "unknown_token is empty: words that cannot be spelled need one, '[UNK]' is the usual one"
            raise InvalidInputError(msg)

    @classmethod
    def bert(cls, *, lowercase: bool = True, strip_accents: bool | None = None) -> Self:
        """The rules of BERT: cleaning, words of ideographs, punctuation apart, `##`, `[UNK]`.

        Ids are equal to those of Hugging Face `tokenizers` with `BertNormalizer` and `BertPreTokenizer`.

        Args:
            lowercase: Whether the vocabulary is uncased.
            strip_accents: Whether accents are dropped; None does what `lowercase` says, as BERT does.

        Example:
            >>> Scheme.bert(lowercase=False).strip_accents
            False
        """
        return cls(lowercase=lowercase, strip_accents=lowercase if strip_accents is None else strip_accents)

    @classmethod
    def bytes(cls) -> Self:
        """Nothing is lost: the words of GPT-4's pattern, over bytes; every str and every bytes comes back from its ids.

        A word carries the blank before it (`Ġ` where tokens are shown), so a token means the same wherever it stands:
        there is no continuation prefix, and no unknown token. A vocabulary holds the 256 bytes and any other byte
        strings, written in the letters of GPT-2. The words are those of `cl100k_base` but for this: marks belong to their
        letters; only ASCII blanks and signs join the word behind them; scripts that are written without spaces have
        words of their own, of at most 32 characters; any word of more than 64 characters is cut after every 64.

        Example:
            >>> import tei
            >>> tok = tei.Tokenizer.train(["to be or not to be"], scheme=Scheme.bytes(), vocab_size=258)
            >>> tok.encode("not be é").tokens
            ['n', 'o', 't', 'Ġbe', 'Ġ', 'Ã', '©']
            >>> tok.decode(tok.encode("not be é").ids)
            'not be é'
        """
        return cls(
            normalizer=(), pre_tokenizer=(("ByteWords",),), continuation_prefix="", unknown_token="", max_word_chars=256
        )

    @property
    def is_lossless(self) -> bool:
        """Whether every text comes back from its ids: true of `Scheme.bytes()` alone."""
        return self.pre_tokenizer == (("ByteWords",),)

    @property
    def rules(self) -> tuple[Steps, Steps]:
        """All steps of the normalizer and of the pre-tokenizer, as the core takes them.

        Example:
            >>> Scheme.bert(lowercase=False).rules
            ((('BertNormalizer', 'clean_text', 'handle_chinese_chars'),), (('BertPreTokenizer',),))
        """
        switches = (name for field, name in SWITCHES.items() if getattr(self, field))
        normalizer = (("BertNormalizer", *switches),) if self.normalizer is None else self.normalizer
        return normalizer, (("BertPreTokenizer",),) if self.pre_tokenizer is None else self.pre_tokenizer

    def to_json(self) -> str:
        """The scheme as canonical JSON: equal schemes give equal strings."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of [`to_json`][tei.scheme.Scheme.to_json].

        Raises:
            InvalidInputError: If a field is unknown or of the wrong type.
        """
        fields: dict[str, Any] = json.loads(text)
        try:
            return cls(**fields)
        except TypeError as error:
            msg = f"scheme {text!r} does not fit this version of tei: {error}"
            raise InvalidInputError(msg) from error


def _frozen(steps: Iterable[Iterable[str]] | None, name: str) -> Steps | None:
    if steps is None:
        return None
    return tuple(_frozen_step(step, name) for step in steps)


def _frozen_step(step: Iterable[str], name: str) -> tuple[str, ...]:
    words = () if isinstance(step, str) else tuple(step)
    if isinstance(step, str) or not all(isinstance(word, str) for word in words):
        msg = f"{name} has the step {step!r}: a step is a tuple of str, its name and its arguments"
        raise InvalidInputError(msg)
    return words
