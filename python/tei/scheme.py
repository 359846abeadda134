"""How text becomes words: the rules a vocabulary is induced by and encodes with."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from tei.errors import InvalidInputError

__all__ = ["Scheme"]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Normalizer, pre-tokenizer and the marks of a vocabulary; immutable.

    Build one with [`Scheme.bert`][tei.scheme.Scheme.bert].

    Attributes:
        clean_text: Remove control characters, turn white space into blanks.
        split_ideographs: Make each CJK ideograph a word of its own.
        strip_accents: Decompose canonically and drop nonspacing marks.
        lowercase: Lowercase each character.
        continuation_prefix: What a token begins with that continues a word.
        unknown_token: The token for a word that cannot be spelled.
        max_word_chars: A word of more characters is unknown.
    """

    clean_text: bool = True
    split_ideographs: bool = True
    strip_accents: bool = True
    lowercase: bool = True
    continuation_prefix: str = "##"
    unknown_token: str = "[UNK]"
    max_word_chars: int = 100

    def __post_init__(self) -> None:
        if not self.continuation_prefix:
            msg = "continuation_prefix is empty: continuation tokens need a mark, '##' is the usual one"
            raise InvalidInputError(msg)
        if self.max_word_chars < 1:
            msg = f"max_word_chars is {self.max_word_chars}, must be at least 1"
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

    @property
    def normalizer(self) -> tuple[bool, bool, bool, bool]:
        """The four switches in the order the core takes them."""
        return self.clean_text, self.split_ideographs, self.strip_accents, self.lowercase

    def to_json(self) -> str:
        """The scheme as canonical JSON: equal schemes give equal strings."""
        return json.dumps(asdict(self), sort_keys=True)

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
