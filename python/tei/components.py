"""Components of a `tokenizer.json`: normalizer, pre-tokenizer, decoder and post-processor ↔ scheme and template.

What has no exact equal here is refused by name, never dropped.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tei import _core
from tei.errors import FileFormatError, TeiError, UnsupportedError, VocabularyError
from tei.scheme import SWITCHES, Scheme, Steps
from tei.special_tokens import Part, Template

__all__ = [
    "Decoder",
    "read_decoder",
    "read_scheme",
    "read_template",
    "require",
    "section",
    "write_decoder",
    "write_scheme",
]

Component = Mapping[str, Any]


class Decoder(NamedTuple):
    """How tokens become text.

    Attributes:
        prefix: What a token begins with that follows the one before at once; any other comes after a blank. None: all do,
            as without a decoder.
        cleanup: Whether blanks before punctuation are tidied.
    """

    prefix: str | None
    cleanup: bool


def read_scheme(document: Component, place: str) -> Scheme:
    """The rules of a `tokenizer.json`.

    Args:
        document: The parsed file.
        place: Name of the source, for messages.

    Raises:
        FileFormatError: If a component or a field is missing or wrong.
        UnsupportedError: If a component is of a kind tei cannot reproduce exactly; the message names it.
    """
    model = document["model"]
    if document.get("pre_tokenizer") == byte_words() and not document.get("normalizer"):
        require((document.get("decoder") or {}).get("type"), ["ByteLevel"], "decoder", place)
        require(model.get("type"), ["WordPiece"], "model", place)
        require(repr(model.get("continuing_subword_prefix")), ["''"], "continuing_subword_prefix", place)
        return Scheme.bytes()
    require(model.get("type", "WordPiece"), ["WordPiece"], "model", place)
    read_decoder(document.get("decoder"), place)
    normalizer = _read(document.get("normalizer"), "normalizer", place)
    pre_tokenizer = _read(document.get("pre_tokenizer"), "pre-tokenizer", place)
    switches = {}
    if [kind for kind, *_ in normalizer] == ["BertNormalizer"]:
        switches = {field: name in normalizer[0] for field, name in SWITCHES.items()}
    return Scheme(
        **switches,
        continuation_prefix=_field(model, "continuing_subword_prefix", "##", place),
        unknown_token=_field(model, "unk_token", "[UNK]", place),
        max_word_chars=_field(model, "max_input_chars_per_word", 100, place),
        normalizer=None if switches else normalizer,
        pre_tokenizer=None if pre_tokenizer == (("BertPreTokenizer",),) else pre_tokenizer,
    )


def write_scheme(scheme: Scheme) -> dict[str, Any]:
    """The sections `normalizer` and `pre_tokenizer` of a `tokenizer.json` that `read_scheme` reads as `scheme`.

    Example:
        >>> write_scheme(Scheme(normalizer=[["NFC"], ["Lowercase"]], pre_tokenizer=[["Digits"]]))["pre_tokenizer"]
        {'type': 'Digits', 'individual_digits': False}
    """
    if scheme.is_lossless:
        return {"normalizer": None, "pre_tokenizer": byte_words()}
    normalizer, pre_tokenizer = scheme.rules
    return {"normalizer": _write(normalizer, "normalizer"), "pre_tokenizer": _write(pre_tokenizer, "pre-tokenizer")}


def read_decoder(component: Component | None, place: str) -> Decoder:
    """How the section `decoder` of a `tokenizer.json` makes text of tokens.

    Raises:
        UnsupportedError: If it is of a kind tei cannot reproduce exactly; the message names it.

    Example:
        >>> read_decoder(None, "the tokenizer")
        Decoder(prefix=None, cleanup=False)
    """
    if component is None:
        return Decoder(prefix=None, cleanup=False)
    require(component.get("type"), ["WordPiece"], "decoder", place)
    return Decoder(prefix=str(component.get("prefix", "##")), cleanup=bool(component.get("cleanup", True)))


def write_decoder(decoder: Decoder, scheme: Scheme) -> dict[str, Any] | None:
    """The section `decoder` of a `tokenizer.json`; that of the bytes scheme is one with it."""
    if scheme.is_lossless:
        return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return None if decoder.prefix is None else {"type": "WordPiece", **decoder._asdict()}


def byte_words() -> dict[str, Any]:
    """The section `pre_tokenizer` of the bytes scheme.

    Example:
        >>> [part["type"] for part in byte_words()["pretokenizers"]]
        ['Split', 'Split', 'ByteLevel']
    """
    words, longest = _core.byte_words()
    split = {"type": "Split", "behavior": "Isolated", "invert": False}
    letters = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    pieces = rf"[\s\S]{{1,{longest}}}"
    return {
        "type": "Sequence",
        "pretokenizers": [*({**split, "pattern": {"Regex": regex}} for regex in (words, pieces)), letters],
    }


def require(kind: Any, supported: Iterable[str], component: str, place: str) -> None:
    """Refuses a component of a kind that is not supported.

    Raises:
        UnsupportedError: If `kind` is none of `supported`; the message names it.
    """
    if kind not in supported:
        msg = (
            f"{place} has a {component} of kind {kind}, which tei cannot reproduce: supported is {', '.join(supported)}"
        )
        raise UnsupportedError(msg)


def section(found: Any, name: str, place: str) -> Component | None:
    """What a document has as one of its sections, or parts of them: an object or nothing.

    Raises:
        FileFormatError: If it is something else.
    """
    if found is not None and not isinstance(found, Mapping):
        raise FileFormatError(f"{place} has {found!r:.40} as its {name}, not an object: save the tokenizer again")
    return found


def _field(model: Component, name: str, default: Any, place: str) -> Any:
    """A field of the model section, of the type of its default; numbers are sizes."""
    found = model.get(name, default)
    if type(found) is not type(default) or (isinstance(found, int) and not 0 <= found < 1 << 63):
        expected = "a str" if isinstance(default, str) else "an integer from 0 on"
        msg = f"{place} has {found!r:.40} as {name} of its model section, not {expected}: save the tokenizer again"
        raise FileFormatError(msg)
    return found


def _read(component: Component | None, role: str, place: str) -> Steps:
    component = section(component, role, place)
    if component is None:
        return ()
    kind = component.get("type")
    require(kind, [*READERS[role], "Sequence"], role, place)
    try:
        if kind == "Sequence":
            return tuple(step for part in component[PARTS[role]] for step in _read(part, role, place))
        if kind == "Replace":
            require(" and ".join(component["pattern"]), ["String"], "Replace pattern", place)
        return ((str(kind), *READERS[role][str(kind)](component)),)
    except (AttributeError, KeyError, TypeError) as error:
        msg = f"{place} has a {role} of kind {kind} with a wrong or missing field ({error}): save the tokenizer again"
        raise FileFormatError(msg) from error


def _bert(component: Component) -> list[str]:
    lowercase = bool(component.get("lowercase", True))
    accents = component.get("strip_accents")
    on = {"strip_accents": lowercase if accents is None else bool(accents), "lowercase": lowercase}
    return [name for name in SWITCHES.values() if on.get(name, component.get(name, True))]


def _nothing(_: Component) -> list[str]:
    return []


#: For each role and kind, what a step says after its name.
READERS: dict[str, dict[str, Callable[[Component], Sequence[str]]]] = {
    "normalizer": {
        "BertNormalizer": _bert,
        **dict.fromkeys(("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"), _nothing),
        "Strip": lambda c: [side for side in ("left", "right") if c[f"strip_{side}"]],
        "Replace": lambda c: [c["pattern"]["String"], c["content"]],
        "Prepend": lambda c: [c["prepend"]],
    },
    "pre-tokenizer": {
        **dict.fromkeys(("BertPreTokenizer", "Whitespace", "WhitespaceSplit"), _nothing),
        "Punctuation": lambda c: [c.get("behavior", "Isolated")],
        "Digits": lambda c: ["individual_digits"] * bool(c["individual_digits"]),
    },
}
#: Where a Sequence keeps its parts.
PARTS = {"normalizer": "normalizers", "pre-tokenizer": "pretokenizers"}
#: The inverse of the readers; what is not here has no fields.
WRITERS: dict[str, Callable[[Sequence[str]], dict[str, Any]]] = {
    "BertNormalizer": lambda on: {name: name in on for name in SWITCHES.values()},
    "Strip": lambda sides: {f"strip_{side}": side in sides for side in ("left", "right")},
    "Replace": lambda texts: {"pattern": {"String": texts[0]}, "content": texts[1]},
    "Prepend": lambda texts: {"prepend": texts[0]},
    "Punctuation": lambda behavior: {"behavior": behavior[0]},
    "Digits": lambda switch: {"individual_digits": bool(switch)},
}


def _write(steps: Steps, role: str) -> dict[str, Any] | None:
    parts = [{"type": kind, **(WRITERS[kind](rest) if kind in WRITERS else {})} for kind, *rest in steps]
    if len(parts) > 1:
        return {"type": "Sequence", PARTS[role]: parts}
    return parts[0] if parts else None


def read_template(processor: Component | None, vocab: Mapping[str, int], place: str) -> Template:
    """The special tokens that a post-processor puts around texts.

    Args:
        processor: The section `post_processor`.
        vocab: Token → id.
        place: Name of the source, for messages.

    Raises:
        FileFormatError: If a field is missing.
        UnsupportedError: If it is of a kind tei cannot reproduce exactly; the message names it.
        VocabularyError: If a special token is not in the vocabulary, or has another id there.
    """
    processor = section(processor, "post-processor", place)
    if processor is None:
        return Template()
    kind = processor.get("type")
    require(kind, [*TEMPLATES, "Sequence"], "post-processor", place)
    try:
        if kind == "Sequence":
            return _chain([read_template(part, vocab, place) for part in processor["processors"]], place)
        return _checked(_typed(TEMPLATES[str(kind)](processor)), processor, vocab, place)
    except TeiError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        msg = f"{place} has a post-processor of kind {kind} with a wrong or missing field ({error}): save it again"
        raise FileFormatError(msg) from error


def _typed(template: Template) -> Template:
    for part in (*template.single, *template.pair):
        if type(part.type_id) is not int or not isinstance(part.token, str | None):
            raise TypeError(f"{part.token!r} with type_id {part.type_id!r}")
    return template


def _chain(templates: Sequence[Template], place: str) -> Template:
    """Post-processors one after the other: one of bytes may trim offsets before another puts tokens around texts."""
    telling = [template for template in templates if template != Template()]
    if len(telling) == 2 and telling[0] == Template(trim=telling[0].trim) and telling[1].trim is None:
        return replace(telling[1], trim=telling[0].trim)
    if len(telling) > 1:
        kinds = ["one", "one after ByteLevel"]
        require(f"Sequence of {len(telling)}", [f"Sequence of {kind}" for kind in kinds], "post-processor", place)
    return telling[0] if telling else Template()


def _checked(template: Template, processor: Component, vocab: Mapping[str, int], place: str) -> Template:
    """Refuses special tokens whose id is not the vocabulary's."""
    specials = processor.get("special_tokens", {}).values()
    given = [pair for special in specials for pair in zip(special["tokens"], special["ids"], strict=True)]
    given += [processor[end] for end in ("cls", "sep") if end in processor]
    for token, number in (pair for pair in given if pair[0] in template.tokens):
        if token not in vocab:
            msg = f"{place} puts {token!r} around texts, which its vocabulary lacks: add it, or another post-processor"
            raise VocabularyError(msg)
        if vocab[token] != number:
            msg = (
                f"{place} puts {token!r} around texts with id {number}, but its vocabulary gives it id {vocab[token]}: "
                "correct the id in the post-processor, or the vocabulary"
            )
            raise VocabularyError(msg)
    return template


def _template(processor: Component) -> Template:
    specials = processor["special_tokens"]
    single, pair = (tuple(p for part in processor[name] for p in _parts(part, specials)) for name in ("single", "pair"))
    return Template(single, pair)


def _parts(part: Component, specials: Component) -> Sequence[Part]:
    if "Sequence" in part:
        return [Part(text="AB".index(part["Sequence"]["id"]), type_id=part["Sequence"]["type_id"])]
    special = part["SpecialToken"]
    return [Part(token=token, type_id=special["type_id"]) for token in specials[special["id"]]["tokens"]]


def _trim(processor: Component) -> bool | None:
    return bool(processor["add_prefix_space"]) if processor["trim_offsets"] else None


TEMPLATES: dict[str, Callable[[Component], Template]] = {
    "BertProcessing": lambda processor: Template.bert(processor["cls"][0], processor["sep"][0]),
    "ByteLevel": lambda processor: Template(trim=_trim(processor)),
    "RobertaProcessing": lambda p: Template.roberta(p["cls"][0], p["sep"][0], trim=_trim(p)),
    "TemplateProcessing": _template,
}
