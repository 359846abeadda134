"""Components of a `tokenizer.json`: normalizer, pre-tokenizer, decoder and post-processor ↔ scheme and template.

What has no exact equal here is refused by name, never dropped.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tei import _core
from tei.errors import FileFormatError, TeiError, UnsupportedError
from tei.scheme import SWITCHES, Scheme, Steps
from tei.special_tokens import Part, Template

__all__ = ["read_scheme", "read_template", "require", "section", "write_scheme"]

Component = Mapping[str, Any]


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
    require((document.get("decoder") or {"type": "WordPiece"}).get("type"), ["WordPiece"], "decoder", place)
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


def read_template(processor: Component | None, place: str) -> Template:
    """The special tokens that a post-processor puts around texts.

    Args:
        processor: The section `post_processor`.
        place: Name of the source, for messages.

    Raises:
        FileFormatError: If a field is missing.
        UnsupportedError: If it is of a kind tei cannot reproduce exactly; the message names it.
    """
    processor = section(processor, "post-processor", place)
    if processor is None:
        return Template()
    kind = processor.get("type")
    require(kind, [*TEMPLATES, "Sequence"], "post-processor", place)
    try:
        if kind != "Sequence":
            return _typed(TEMPLATES[str(kind)](processor))
        parts = processor["processors"]
        if len(parts) > 1:
            require(f"Sequence of {len(parts)}", ["Sequence of one"], "post-processor", place)
        return read_template(parts[0] if parts else None, place)
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


def _template(processor: Component) -> Template:
    specials = processor["special_tokens"]
    single, pair = (tuple(p for part in processor[name] for p in _parts(part, specials)) for name in ("single", "pair"))
    return Template(single, pair)


def _parts(part: Component, specials: Component) -> Sequence[Part]:
    if "Sequence" in part:
        return [Part(text="AB".index(part["Sequence"]["id"]), type_id=part["Sequence"]["type_id"])]
    special = part["SpecialToken"]
    return [Part(token=token, type_id=special["type_id"]) for token in specials[special["id"]]["tokens"]]


def _roberta(processor: Component) -> Template:
    trim = bool(processor["add_prefix_space"]) if processor["trim_offsets"] else None
    return Template.roberta(processor["cls"][0], processor["sep"][0], trim=trim)


TEMPLATES: dict[str, Callable[[Component], Template]] = {
    "BertProcessing": lambda processor: Template.bert(processor["cls"][0], processor["sep"][0]),
    "RobertaProcessing": _roberta,
    "TemplateProcessing": _template,
}
