"""Saved tokenizers: the files others open, and `tei.json` with what only tei knows."""

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tei.errors import FileFormatError
from tei.files import dump_document, load_document, make_directory, write_atomic
from tei.pretrained import TokenizerSpec, read_pretrained, to_tokenizer_config, to_tokenizer_json
from tei.vocabulary import fingerprint

__all__ = ["load", "save", "take_over", "to_transformers"]

NAME, KIND, FORMAT = "tei.json", "tokenizer", 1


def save(
    directory: str | os.PathLike[str], spec: TokenizerSpec, *, version: int, history: Sequence[Mapping[str, Any]]
) -> None:
    """Writes all files of a tokenizer, each atomically, `tei.json` last.

    Raises:
        OutputError: If the system refuses to write.
        OutputExistsError: If `directory` is a file.
    """
    directory = Path(directory)
    make_directory(directory)
    record = {
        "version": version,
        "history": [dict(entry) for entry in history],
        "fingerprint": fingerprint(spec.tokens, spec.scheme.to_json()),
    }
    files = {
        "tokenizer.json": _json(to_tokenizer_json(spec)),
        "tokenizer_config.json": _json(to_tokenizer_config(spec)),
        "special_tokens_map.json": _json(dict(spec.roles)),
        "vocab.txt": "".join(f"{token}\n" for token in spec.tokens).encode(),
        NAME: dump_document(KIND, FORMAT, record),
    }
    # Lines cannot hold them, and others would read other ids there.
    if any(end in token for token in spec.tokens for end in "\r\n"):
        del files["vocab.txt"]
        (directory / "vocab.txt").unlink(missing_ok=True)
    for name, data in files.items():
        write_atomic(directory / name, data)


def load(directory: str | os.PathLike[str]) -> tuple[TokenizerSpec, int, Sequence[Mapping[str, Any]]]:
    """Reads what `save` wrote: spec, version and history.

    Raises:
        FileFormatError: If a file is missing or altered, or the vocabulary is not the one `tei.json` was saved with.
    """
    directory = Path(directory)
    record = load_document(directory / NAME, KIND, version=FORMAT)
    spec = read_pretrained(directory)
    found = fingerprint(spec.tokens, spec.scheme.to_json())
    if found != record["fingerprint"]:
        msg = (
            f"{directory / 'tokenizer.json'} has fingerprint {found}, but {NAME} was saved with {record['fingerprint']}: "
            "the files are from different tokenizers; save again, or open it with Tokenizer.from_pretrained"
        )
        raise FileFormatError(msg)
    return spec, record["version"], record["history"]


def take_over(source: Any) -> tuple[TokenizerSpec, int, Sequence[Mapping[str, Any]]]:
    """Reads a tokenizer of anybody's: spec, and version and history if it is a directory as `save` wrote it.

    Raises:
        FileFormatError: If `tei.json` is damaged, or of a newer version: its history would be lost without a word.
    """
    spec = read_pretrained(source)
    if isinstance(source, str | Path) and (Path(source) / NAME).is_file():
        record = load_document(Path(source) / NAME, KIND, version=FORMAT)
        if record["fingerprint"] == fingerprint(spec.tokens, spec.scheme.to_json()):
            return spec, record["version"], record["history"]
    return spec, 0, ()


def to_transformers(spec: TokenizerSpec) -> Any:
    """A `PreTrainedTokenizerFast` with the same ids."""
    backend = importlib.import_module("tokenizers").Tokenizer.from_str(
        json.dumps(to_tokenizer_json(replace(spec, extras={})))
    )
    fast = importlib.import_module("transformers").PreTrainedTokenizerFast
    options = {f"{of}_side": spec.side(of) for of in ("padding", "truncation")}
    if (length := spec.config.get("model_max_length")) is not None:
        options["model_max_length"] = length
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return fast(tokenizer_object=backend, model_input_names=inputs, **spec.roles, **options)


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=2).encode("utf-8") + b"\n"
