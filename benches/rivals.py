"""Encoders that bring a vocabulary of their own: measured for speed, their ids are not to be compared.

Byte-level BPE encoders get OpenAI's cl100k ranks from the external text sets. Those that take any WordPiece
vocabulary, and so must give equal ids, are in `tei.peers`.
"""

import atexit
import base64
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from must.corpora import read_text
from tei.peers import PEERS, Peer, Tei

__all__ = ["EVERYONE", "BlingFire", "Gigatoken", "Rwkv", "TensorFlowText", "Tiktoken"]

BPE = "byte-level BPE"
# Of tiktoken's `cl100k_base`.
CL100K_WORDS = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"


@functools.cache
def _cl100k() -> Path:
    directory = tempfile.TemporaryDirectory()
    atexit.register(directory.cleanup)
    path = Path(directory.name) / "cl100k_base.tiktoken"
    path.write_text(read_text("vocabs/tiktoken/cl100k_base.tiktoken.xz"), encoding="utf-8")
    return path


class Gigatoken(Peer):
    """`gigatoken`: the fastest encoder of any kind; byte-level BPE with a cache of words."""

    name = "gigatoken"
    package = "gigatoken"
    algorithm = BPE

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import gigatoken

        super().__init__(tokenizer_json, threads)
        self.tokenizer = gigatoken.Tokenizer.from_tiktoken(_cl100k())
        self.sources = gigatoken.TextFileSource

    def ragged(self, texts: list[str]) -> Any:
        return self.tokenizer.encode_batch(texts, parallel=self.parallel)

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode_batch_list(list(texts), parallel=self.parallel)

    def padded(self, texts: list[str], length: int) -> Any:
        options = {"max_length": length, "pad_to_max_length": True, "truncate": True, "parallel": self.parallel}
        return self.tokenizer.encode_batch_padded(texts, 0, **options)[0]

    def files(self, path: Path) -> Any:
        return self.tokenizer.encode_files(self.sources([str(path)], separator=b"\n"), parallel=self.parallel)


class Tiktoken(Peer):
    """`tiktoken`: byte-level BPE."""

    name = "tiktoken"
    package = "tiktoken"
    algorithm = BPE

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import tiktoken

        super().__init__(tokenizer_json, threads)
        lines = _cl100k().read_bytes().splitlines()
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
        self.threads = threads
        self.tokenizer = tiktoken.Encoding(
            "cl100k", pat_str=CL100K_WORDS, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 100_257}
        )

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode_ordinary_batch(list(texts), num_threads=self.threads)


class Rwkv(Peer):
    """`rwkv-tokenizer`: longest match over bytes, no words."""

    name = "rwkv"
    package = "rwkv_tokenizer"
    algorithm = "byte longest match"

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import rwkv_tokenizer

        super().__init__(tokenizer_json, threads)
        self.tokenizer = rwkv_tokenizer.RWKVTokenizer()

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode_batch(list(texts))


class BlingFire(Peer):
    """`blingfire`: BERT's uncased vocabulary compiled into an automaton."""

    name = "blingfire"
    package = "blingfire"
    algorithm = "compiled automaton"

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import blingfire

        super().__init__(tokenizer_json, threads)
        self.library = blingfire
        self.model = blingfire.load_model(str(Path(blingfire.__file__).with_name("bert_base_tok.bin")))

    def ragged(self, texts: list[str]) -> Any:
        # No token is shorter than a byte.
        return [
            self.library.text_to_ids(self.model, text, 1 + len(text.encode()), 100, no_padding=True) for text in texts
        ]

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return [row.tolist() for row in self.ragged(list(texts))]


class TensorFlowText(Peer):
    """`tensorflow-text`: BERT's normalization and LinMaxMatch."""

    name = "tensorflow-text"
    package = "tensorflow_text"
    algorithm = "LinMaxMatch"

    def __init__(self, tokenizer_json: Path, threads: int) -> None:
        import tensorflow as tf
        import tensorflow_text

        super().__init__(tokenizer_json, threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tokens = list(Tei(tokenizer_json, 1).tokenizer.tokens)
        self.tokenizer = tensorflow_text.FastBertTokenizer(tokens, support_detokenization=False)

    def ragged(self, texts: list[str]) -> Any:
        return self.tokenizer.tokenize(texts)

    def lists(self, texts: Sequence[str]) -> list[list[int]]:
        return self.ragged(list(texts)).to_list()


EVERYONE: tuple[type[Peer], ...] = (Tei, *PEERS, Gigatoken, Tiktoken, Rwkv, BlingFire, TensorFlowText)
