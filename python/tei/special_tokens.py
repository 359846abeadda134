"""Tokens that stand for something other than text, and where they go around it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

__all__ = ["ROLES", "AddedToken", "Part", "Template"]

#: What a special token can be for, with the names transformers uses.
ROLES = ("unk_token", "pad_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token")


@dataclass(frozen=True, kw_only=True)
class AddedToken:
    """A token that is matched in the text itself, before words are.

    Attributes:
        content: Its text.
        single_word: Match only where no word character touches it.
        lstrip: Swallow the white space before it.
        rstrip: Swallow the white space after it.
        normalized: Look for it in the normalized text, not in the raw one.
        special: Leave it out when decoding with `skip_special_tokens`.
        in_model: Whether words may also match it as an ordinary token.
    """

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = True
    in_model: bool = True

    def to_dict(self, token_id: int) -> dict[str, Any]:
        """As `tokenizer.json` writes it."""
        flags = {name: getattr(self, name) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        return {"id": token_id, "content": self.content, **flags}


@dataclass(frozen=True)
class Part:
    """One part of a template: a special token, or a text.

    Attributes:
        token: The special token; None where a text goes.
        text: 0 for the first text, 1 for the second; None for a special token.
        type_id: The token type id of its ids.
        uniform: Whether that holds in further rows of what is cut off, too, where the two texts have 0 and 1 otherwise;
            as `RobertaProcessing` has it, but only with special tokens.
    """

    token: str | None = None
    text: int | None = None
    type_id: int = 0
    uniform: bool = False

    def further(self, *, special: bool) -> int:
        """The token type id in further rows of what is cut off, with special tokens or without them."""
        return self.type_id if self.text is None or (self.uniform and special) else self.text


@dataclass(frozen=True)
class Template:
    """What is put around one text and around a pair of texts.

    Attributes:
        single: Parts around one text.
        pair: Parts around two.
        trim: Whether offsets leave out the blanks at the ends of a token: None for no, and if they do, whether a blank
            before the first token stays in; as `RobertaProcessing` and `ByteLevel` do with `trim_offsets` and
            `add_prefix_space`.
    """

    single: tuple[Part, ...] = (Part(text=0),)
    pair: tuple[Part, ...] = (Part(text=0), Part(text=1, type_id=1))
    trim: bool | None = None

    @classmethod
    def bert(cls, cls_token: str = "[CLS]", sep_token: str = "[SEP]") -> Self:
        """`[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`.

        Example:
            >>> [part.token or "A" for part in Template.bert().single]
            ['[CLS]', 'A', '[SEP]']
        """
        single = (Part(token=cls_token), Part(text=0), Part(token=sep_token))
        return cls(single, (*single, Part(text=1, type_id=1), Part(token=sep_token, type_id=1)))

    @classmethod
    def roberta(cls, cls_token: str = "<s>", sep_token: str = "</s>", *, trim: bool | None = None) -> Self:
        """`<s> A </s>` and `<s> A </s> </s> B </s>`, all of token type 0.

        Example:
            >>> [part.token or "AB"[part.text] for part in Template.roberta().pair]
            ['<s>', 'A', '</s>', '</s>', 'B', '</s>']
        """
        single = (Part(token=cls_token), Part(text=0, uniform=True), Part(token=sep_token))
        return cls(single, (*single, Part(token=sep_token), Part(text=1, uniform=True), Part(token=sep_token)), trim)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The special tokens it uses, each once."""
        return tuple(dict.fromkeys(part.token for part in (*self.single, *self.pair) if part.token is not None))

    def to_dict(self, vocab: Mapping[str, int]) -> dict[str, Any] | None:
        """As `tokenizer.json` writes it."""
        if self == Template():
            return None
        cls, sep = (part.token or "" for part in (self.single[0], self.single[-1]))
        if self == Template.roberta(cls, sep, trim=self.trim):
            ends = {name: [token, vocab[token]] for name, token in (("cls", cls), ("sep", sep))}
            flags = {"trim_offsets": self.trim is not None, "add_prefix_space": bool(self.trim)}
            return {"type": "RobertaProcessing", **ends, **flags}
        if self.trim is not None:
            trimming = {"type": "ByteLevel", "add_prefix_space": self.trim, "trim_offsets": True, "use_regex": True}
            around = replace(self, trim=None).to_dict(vocab)
            return {"type": "Sequence", "processors": [trimming, around]} if around else trimming
        special = {token: {"id": token, "ids": [vocab[token]], "tokens": [token]} for token in self.tokens}
        parts = {name: [_part_to_dict(part) for part in getattr(self, name)] for name in ("single", "pair")}
        return {"type": "TemplateProcessing", **parts, "special_tokens": special}


def _part_to_dict(part: Part) -> dict[str, Any]:
    if part.token is not None:
        return {"SpecialToken": {"id": part.token, "type_id": part.type_id}}
    return {"Sequence": {"id": "AB"[part.text or 0], "type_id": part.type_id}}
