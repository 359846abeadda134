"""Tokenizers of others: reads `tokenizer.json`, `vocab.txt`, directories and objects, and writes them back.

Everything a tokenizer is, is a [`TokenizerSpec`][tei.pretrained.TokenizerSpec]: plain data. What a spec cannot say is
refused by name, never dropped.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tei import _core
from tei.components import Decoder, read_decoder, read_scheme, read_template, section, write_decoder, write_scheme
from tei.errors import FileFormatError, UnsupportedError, VocabularyError
from tei.scheme import Scheme
from tei.special_tokens import ROLES, AddedToken, Template

__all__ = ["TokenizerSpec", "read_pretrained", "to_tokenizer_config", "to_tokenizer_json"]

BERT_ROLES = {
    "unk_token": "[UNK]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


@dataclass(frozen=True, kw_only=True)
class TokenizerSpec:
    """A tokenizer as plain data.

    Attributes:
        tokens: Tokens in id order.
        scheme: How text becomes words.
        added_tokens: Tokens matched in the text itself.
        template: What is put around texts.
        roles: Special tokens by role, as `{"pad_token": "[PAD]"}`.
        decoder: How ids become text; None: as the scheme's tokens go together.
        extras: The `truncation` and `padding` sections of `tokenizer.json`, kept as they were.
        config: `tokenizer_config.json`, kept as it was.
    """

    tokens: tuple[str, ...]
    scheme: Scheme = field(default_factory=Scheme.bert)
    added_tokens: tuple[AddedToken, ...] = ()
    template: Template = field(default_factory=Template)
    roles: Mapping[str, str] = field(default_factory=dict)
    decoder: Decoder | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def decoding(self) -> Decoder:
        """How ids become text, whether that is given or the scheme's own."""
        lossless = self.scheme.is_lossless
        return self.decoder or Decoder(prefix=self.scheme.continuation_prefix, cleanup=not lossless)

    @property
    def skipped(self) -> list[str]:
        """Tokens that decoding leaves out with `skip_special_tokens`: those that are shown as a special one is written."""
        special = {token.content for token in self.added_tokens if token.special}
        shown = {t.content: _core.normalize(t.content, self.scheme.rules) for t in self.added_tokens if t.normalized}
        return [t.content for t in self.added_tokens if shown.get(t.content, t.content) in special]

    def side(self, of: str) -> str:
        """Which side of rows is for `padding`, or for `truncation`: as configured, else `right`.

        Raises:
            FileFormatError: If it is configured to be something else.

        Example:
            >>> spec = TokenizerSpec(tokens=("[UNK]",), config={"padding_side": "left"})
            >>> spec.side("padding"), spec.side("truncation")
            ('left', 'right')
        """
        section = self.extras.get(of) or {}
        side = str(self.config.get(f"{of}_side") or section.get("direction") or "right").lower()
        if side not in ("right", "left"):
            msg = f"the tokenizer's configuration has a {of}_side of {side!r}, must be 'right' or 'left': correct it"
            raise FileFormatError(msg)
        return side


def read_pretrained(source: Any) -> TokenizerSpec:
    """Reads a tokenizer.

    Args:
        source: A `tokenizer.json`, a `vocab.txt`, a directory that holds one of them, a `tokenizers.Tokenizer`, or a
            fast tokenizer of transformers.

    Raises:
        FileFormatError: If a file is missing or broken.
        UnsupportedError: If the tokenizer is of a kind that tei cannot reproduce exactly.
        VocabularyError: If the vocabulary has holes or duplicates.
    """
    backend = getattr(source, "backend_tokenizer", source)
    if hasattr(backend, "to_str"):
        name = "encode_special_tokens" if backend is source else "split_special_tokens"
        _check_splitting(name, getattr(source, name, False), "the tokenizer")
        roles = {role: str(getattr(source, role)) for role in ROLES if getattr(source, role, None)}
        sides = {name: side for name in ("padding_side", "truncation_side") if (side := getattr(source, name, None))}
        return from_tokenizer_json(json.loads(backend.to_str()), sides, roles=roles, place="the tokenizer")
    if not isinstance(source, str | Path):
        msg = f"cannot make a tokenizer of {type(source).__name__}: give a path, a tokenizers.Tokenizer or a fast tokenizer"
        raise UnsupportedError(msg)
    return _read_path(Path(source))


def _check_splitting(name: str, value: Any, place: str) -> None:
    """Refuses a tokenizer that takes special tokens in a text for ordinary words."""
    if value:
        msg = f"{place} has {name}={value}, but tei always finds special tokens in a text: set it to False"
        raise UnsupportedError(msg)


def _read_path(path: Path) -> TokenizerSpec:
    if not path.exists():
        msg = f"{path} does not exist: give the path of a local file or directory, nothing is downloaded"
        raise FileFormatError(msg)
    if path.is_dir():
        found = [path / name for name in ("tokenizer.json", "vocab.txt") if (path / name).is_file()]
        if not found:
            msg = f"{path} holds neither tokenizer.json nor vocab.txt: give the directory of a saved tokenizer or model"
            raise FileFormatError(msg)
        path = found[0]
    config = _read_json(path.parent / "tokenizer_config.json", missing={})
    _check_splitting("split_special_tokens", config.get("split_special_tokens"), str(path.parent))
    if path.suffix != ".json":
        return from_vocab_txt(path, config)
    roles = _read_json(path.parent / "special_tokens_map.json", missing={})
    return from_tokenizer_json(_read_json(path), config, roles=roles, place=str(path))


def _read_json(path: Path, *, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    if missing is not None and not path.is_file():
        return missing
    try:
        document = json.loads(path.read_bytes().decode())
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}; give the path of a local file, nothing is downloaded"
        raise FileFormatError(msg) from error
    except ValueError as error:
        msg = f"{path} is not JSON in UTF-8: {error}; save the tokenizer again"
        raise FileFormatError(msg) from error
    if not isinstance(document, dict):
        msg = f"{path} holds a {type(document).__name__}, not an object: save the tokenizer again"
        raise FileFormatError(msg)
    return document


def from_vocab_txt(path: Path, config: Mapping[str, Any]) -> TokenizerSpec:
    """Reads a `vocab.txt` of BERT, one token a line; `config` is the `tokenizer_config.json` beside it.

    Raises:
        FileFormatError: If the file is missing or not UTF-8.
        VocabularyError: If a token occurs twice or the unknown token is missing.
    """
    try:
        lines = path.read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path} as UTF-8 text: {error}"
        raise FileFormatError(msg) from error
    tokens = tuple(line.removesuffix("\r") for line in lines[: len(lines) - (lines[-1] == "")])
    roles = {role: _content(config.get(role, token), str(path)) for role, token in BERT_ROLES.items()}
    lowercase = bool(config.get("do_lower_case", True))
    accents = config.get("strip_accents")
    scheme = Scheme(
        lowercase=lowercase,
        strip_accents=lowercase if accents is None else bool(accents),
        split_ideographs=bool(config.get("tokenize_chinese_chars", True)),
        unknown_token=roles["unk_token"],
    )
    present = {role: token for role, token in roles.items() if token in set(tokens)}
    template = Template()
    if {"cls_token", "sep_token"} <= present.keys():
        template = Template.bert(present["cls_token"], present["sep_token"])
    added = tuple(AddedToken(content=token) for token in present.values())
    return TokenizerSpec(
        tokens=tokens, scheme=scheme, added_tokens=added, template=template, roles=present, config=config
    )


def from_tokenizer_json(
    document: Mapping[str, Any], config: Mapping[str, Any], *, roles: Mapping[str, Any], place: str
) -> TokenizerSpec:
    """Reads the content of a `tokenizer.json`.

    Args:
        document: The parsed file.
        config: The `tokenizer_config.json` beside it, or nothing.
        roles: The `special_tokens_map.json` beside it, or nothing.
        place: Name of the source, for messages.

    Raises:
        FileFormatError: If a section is missing.
        UnsupportedError: If a component is of a kind tei cannot reproduce exactly; the message names it.
        VocabularyError: If ids have holes, or a post-processor has others.
    """
    model = document.get("model")
    if not isinstance(model, dict) or not isinstance(document.get("added_tokens", []), list):
        msg = f"{place} has no model section: it is not a tokenizer.json; save the tokenizer again"
        raise FileFormatError(msg)
    _check_sections(document, place)
    scheme = read_scheme(document, place)
    if not isinstance(model.get("vocab"), dict):
        msg = f"{place} has no vocabulary in its model section: save the tokenizer again"
        raise FileFormatError(msg)
    added = [_checked(token, i, place) for i, token in enumerate(document.get("added_tokens", []))]
    tokens = _dense(model["vocab"], {token["content"]: token["id"] for token in added}, place)
    template = read_template(document.get("post_processor"), {token: i for i, token in enumerate(tokens)}, place)
    declared = {
        **{role: config.get(role) for role in ROLES},
        **{role: roles.get(role) for role in ROLES if role in roles},
    }
    contents = {role: _content(token, place) for role, token in declared.items() if token}
    found = {role: token for role, token in contents.items() if token in set(tokens)}
    known = {role: token for role, token in BERT_ROLES.items() if token in {entry["content"] for entry in added}}
    return TokenizerSpec(
        tokens=tokens,
        scheme=scheme,
        added_tokens=tuple(_added_token(token, model["vocab"]) for token in added),
        template=template,
        roles={**known, **found, **({"unk_token": scheme.unknown_token} if scheme.unknown_token else {})},
        decoder=None if scheme.is_lossless else read_decoder(document.get("decoder"), place),
        extras={name: document[name] for name in ("truncation", "padding") if document.get(name)},
        config=config,
    )


def _content(token: Any, place: str) -> str:
    if isinstance(token, dict) and "content" not in token:
        msg = f"a configuration beside {place} has a special token {token!r} without content: save the tokenizer again"
        raise FileFormatError(msg)
    return str(token["content"] if isinstance(token, dict) else token)


def _dense(vocab: Mapping[str, int], added: Mapping[str, int], place: str) -> tuple[str, ...]:
    by_id: dict[int, str] = {}
    for token, token_id in {**vocab, **added}.items():
        if type(token_id) is not int:
            msg = f"{place} gives {token!r} the id {token_id!r} in its vocabulary, not an integer: save the tokenizer again"
            raise FileFormatError(msg)
        if by_id.setdefault(token_id, token) != token:
            msg = f"{place} gives id {token_id} to both {by_id[token_id]!r} and {token!r}: one of them must go"
            raise VocabularyError(msg)
    missing = next((i for i in range(len(by_id)) if i not in by_id), None)
    if missing is not None:
        msg = f"{place} has no token with id {missing} although it has {len(by_id)} tokens: ids must be dense from 0"
        raise VocabularyError(msg)
    return tuple(by_id[i] for i in range(len(by_id)))


def _check_sections(document: Mapping[str, Any], place: str) -> None:
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding"):
        section(document.get(name), name, place)
    padding = document.get("padding")
    if padding and not isinstance(padding.get("pad_token"), str):
        msg = (
            f"{place} has {padding.get('pad_token')!r} as pad_token of its padding, not a str: save the tokenizer again"
        )
        raise FileFormatError(msg)


ADDED = {"content": str, **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), bool)}


def _checked(token: Any, number: int, place: str) -> Mapping[str, Any]:
    found = section(token, f"added_tokens[{number}]", place) or {}
    for name, kind in {**ADDED, "id": int}.items():
        if type(found.get(name)) is not kind:
            wrong = f"has {found[name]!r:.40} as" if name in found else "lacks the field"
            msg = (
                f"{place} {wrong} {name} of added_tokens[{number}], expected {kind.__name__}: save the tokenizer again"
            )
            raise FileFormatError(msg)
    return found


def _added_token(token: Mapping[str, Any], vocab: Mapping[str, int]) -> AddedToken:
    return AddedToken(**{name: token[name] for name in ADDED}, in_model=token["content"] in vocab)


def to_tokenizer_json(spec: TokenizerSpec) -> dict[str, Any]:
    """The spec as the content of a `tokenizer.json` that Hugging Face `tokenizers` opens with the same ids."""
    vocab = {token: i for i, token in enumerate(spec.tokens)}
    outside = {token.content for token in spec.added_tokens if not token.in_model}
    scheme = spec.scheme
    padding = spec.extras.get("padding")
    # Others may pad with an id that has another name.
    if padding and padding["pad_token"] in vocab:
        padding = {**padding, "pad_id": vocab[padding["pad_token"]]}
    return {
        "version": "1.0",
        "truncation": spec.extras.get("truncation"),
        "padding": padding,
        "added_tokens": sorted((t.to_dict(vocab[t.content]) for t in spec.added_tokens), key=lambda t: int(t["id"])),
        **write_scheme(scheme),
        "post_processor": spec.template.to_dict(vocab),
        "decoder": write_decoder(spec.decoding, scheme),
        "model": {
            "type": "WordPiece",
            "unk_token": scheme.unknown_token,
            "continuing_subword_prefix": scheme.continuation_prefix,
            "max_input_chars_per_word": scheme.max_word_chars,
            "vocab": {token: i for token, i in vocab.items() if token not in outside},
        },
    }


def to_tokenizer_config(spec: TokenizerSpec) -> dict[str, Any]:
    """The spec as the content of a `tokenizer_config.json`: what was read, with ids brought up to date."""
    vocab = {token: i for i, token in enumerate(spec.tokens)}
    decoder = {str(vocab[t.content]): t.to_dict(vocab[t.content]) for t in spec.added_tokens}
    for entry in decoder.values():
        del entry["id"]
    defaults = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": spec.decoding.cleanup}
    if spec.scheme.normalizer is None:
        defaults |= {
            "do_lower_case": spec.scheme.lowercase,
            "strip_accents": spec.scheme.strip_accents,
            "tokenize_chinese_chars": spec.scheme.split_ideographs,
        }
    return {**defaults, **spec.config, **spec.roles, "added_tokens_decoder": decoder}
