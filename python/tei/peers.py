"""Encoders of the same kind behind one interface, to be measured beside tei; none is needed to use tei.

Each gives ids without special tokens around a text, except in `padded`, which gives what a model takes. A way of
encoding that an encoder does not have is a method that it does not override.
"""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tei.tokenizer import Tokenizer

__all__ = ["PEERS", "HuggingFace", "Kitoken", "Nanotoken", "Peer", "Tei", "Tokie"]

WORDPIECE = "WordPiece"


class Peer:
    """An encoder that can be measured.

    Args:
        tokenizer_json: The tokenizer, as a file of Hugging Face `tokenizers`.
        threads: Processors it may use. An encoder without an option for that goes by `tei.bench.on_cpus`.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    algorithm: ClassVar[str] = WORDPIECE

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        self.tokenizer_json = tokenizer_json
        self.parallel = threads > 1

    @classmethod
    def installed(cls) -> bool:
        """Whether its package can be imported."""
        return importlib.util.find_spec(cls.package) is not None

    @classmethod
    def can(cls, mode: str) -> bool:
        """Whether it has the way of encoding that a method is named after."""
        return mode == "ragged" or getattr(cls, mode) is not getattr(Peer, mode)

    def ragged(self, texts: list[str]) -> Any:
        """All ids in the form that costs it least."""
        return self.lists(texts)

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        """A list of ids for each text."""
        raise NotImplementedError

    def padded(self, texts: list[str], length: int) -> Any:
        """An array `[n_texts, length]` of ids, cut and padded, with special tokens."""
        raise NotImplementedError

    def offsets(self, texts: list[str]) -> Any:
        """Ids with the place of each token in its text."""
        raise NotImplementedError

    def files(self, path: Path) -> Any:
        """All ids of a file, a text a line."""
        raise NotImplementedError


class Tei(Peer):
    """This library."""

    name = "tei"
    package = "tei"

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        super().__init__(tokenizer_json, threads)
        self.tokenizer = Tokenizer.from_pretrained(tokenizer_json)
        # More than one thread is what it chooses by itself where it pays.
        self.choice = None if self.parallel else False

    def ragged(self, texts: list[str]) -> Any:
        return self.tokenizer.encode_batch(texts, parallel=self.choice)

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode_batch(texts, parallel=self.choice).to_list()

    def padded(self, texts: list[str], length: int) -> Any:
        tensors = self.tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="np")
        return tensors["input_ids"]

    def offsets(self, texts: list[str]) -> Any:
        return [self.tokenizer.encode(text) for text in texts]

    def files(self, path: Path) -> Any:
        return self.tokenizer.encode_files([path], separator="\n")


class Nanotoken(Peer):
    """`nanotoken`: WordPiece with a cache of words."""

    name = "nanotoken"
    package = "nanotoken"

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import nanotoken

        super().__init__(tokenizer_json, threads)
        self.tokenizer = nanotoken.Tokenizer(str(tokenizer_json))
        self.sources = nanotoken.TextFileSource

    def ragged(self, texts: list[str]) -> Any:
        return self.tokenizer.encode_batch(texts, add_special_tokens=False, parallel=self.parallel)

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode_batch_list(texts, add_special_tokens=False, parallel=self.parallel)

    def padded(self, texts: list[str], length: int) -> Any:
        return self.tokenizer.encode_batch_padded(
            texts, max_length=length, padding="max_length", parallel=self.parallel
        )["input_ids"]

    def files(self, path: Path) -> Any:
        source = self.sources(str(path), separator="\n")
        return self.tokenizer.encode_files(source, add_special_tokens=False, parallel=self.parallel)


class HuggingFace(Peer):
    """Hugging Face `tokenizers`: what ids have to be equal to. Its threads follow TOKENIZERS_PARALLELISM."""

    name = "tokenizers"
    package = "tokenizers"

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import tokenizers

        super().__init__(tokenizer_json, threads)
        self.tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_json))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def ragged(self, texts: list[str]) -> Any:
        return self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def padded(self, texts: list[str], length: int) -> Any:
        import numpy as np

        self.tokenizer.enable_truncation(length)
        self.tokenizer.enable_padding(length=length)
        try:
            return np.array([encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts)], np.int64)
        finally:
            self.tokenizer.no_padding()
            self.tokenizer.no_truncation()

    def offsets(self, texts: list[str]) -> Any:
        return [encoding.offsets for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False)]


class Tokie(Peer):
    """`tokie`: WordPiece by an automaton."""

    name = "tokie"
    package = "tokie"

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import tokie

        super().__init__(tokenizer_json, threads)
        self.tokenizer = tokie.Tokenizer.from_json(str(tokenizer_json))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def ragged(self, texts: list[str]) -> Any:
        return self.tokenizer.encode_batch_flat(texts, add_special_tokens=False)

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def offsets(self, texts: list[str]) -> Any:
        return [self.tokenizer.encode_with_offsets(text, add_special_tokens=False).offsets for text in texts]

    def files(self, path: Path) -> Any:
        return self.tokenizer.encode_files([str(path)], separator=b"\n")


class Kitoken(Peer):
    """`kitoken`: WordPiece among others."""

    name = "kitoken"
    package = "kitoken"

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import kitoken

        super().__init__(tokenizer_json, threads)
        document = json.loads(tokenizer_json.read_text(encoding="utf-8"))
        # It would cut and pad every text as the file says.
        document.update(padding=None, truncation=None)
        self.tokenizer = kitoken.Kitoken.from_tokenizers(json.dumps(document).encode("utf-8"))

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode_all(list(texts), encode_specials=True)


PEERS: tuple[type[Peer], ...] = (Nanotoken, HuggingFace, Tokie, Kitoken)
