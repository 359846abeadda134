"""Trains one vocabulary in a process of its own and prints, as JSON, wall and CPU seconds and the peak of its memory.

`python -m must.induction_probe TRAINER FILE VOCAB_SIZE`. The file has a text a line; reading it is part of training. One
thread, unless RAYON_NUM_THREADS says otherwise. Imports are left out of the seconds.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memory import peak

THREADS = int(os.environ.setdefault("RAYON_NUM_THREADS", "1"))


def _lines(path: str) -> Iterator[str]:
    with Path(path).open(encoding="utf-8", newline="\n") as file:
        yield from file


def _tei(path: str, size: int, **options: Any) -> Callable[[], object]:
    import tei
    from tei import sources, training  # noqa: F401 -- loaded here, outside of what is timed

    scheme = tei.Scheme(split_ideographs=options.pop("split_ideographs", True))
    limit: dict[str, Any] = {"memory_limit": os.environ["MEMORY_LIMIT"]} if "MEMORY_LIMIT" in os.environ else {}
    return lambda: tei.Tokenizer.train(path, size, scheme=scheme, threads=THREADS, **limit, **options)


def _count(path: str, _size: int) -> Callable[[], object]:
    import tei
    from tei import sizes, sources  # noqa: F401 -- as above

    texts = list(_lines(path))
    return lambda: tei.count_words(texts, threads=1)


def _encode(path: str, _size: int) -> Callable[[], object]:
    from nanotoken import Tokenizer

    from tei.demo import model_directory

    tokenizer, texts = Tokenizer(str(model_directory() / "tokenizer.json")), list(_lines(path))

    def encode() -> object:
        return tokenizer.encode_batch(texts, add_special_tokens=False, parallel=False)

    # Its speed is known with all words in its cache.
    encode()
    return encode


def _gigabpe(path: str, size: int) -> Callable[[], object]:
    import gigabpe

    return lambda: gigabpe.train_bpe([path], size, threads=THREADS)


def _rustbpe(path: str, size: int) -> Callable[[], object]:
    import rustbpe

    return lambda: rustbpe.Tokenizer().train_from_iterator(_lines(path), size)


def _tokenizers(path: str, size: int) -> Callable[[], object]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    # Runs of ideographs are words, as they are for the others.
    tokenizer.normalizer = normalizers.BertNormalizer(handle_chinese_chars=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, min_frequency=2, show_progress=False)
    return lambda: tokenizer.train_from_iterator(_lines(path), trainer)


def _gigatoken(path: str, size: int) -> Callable[[], object]:
    import gigatoken

    return lambda: gigatoken.train_bpe(path, size, [])


def _bpeasy(path: str, size: int) -> Callable[[], object]:
    import bpeasy

    from tei import _core

    pattern, longest = _core.byte_words()
    return lambda: bpeasy.train_bpe(_lines(path), pattern, longest, size)


def _sentencepiece(path: str, size: int) -> Callable[[], object]:
    import sentencepiece

    train = sentencepiece.SentencePieceTrainer.train
    options = {"vocab_size": size, "model_type": "bpe", "num_threads": THREADS, "minloglevel": 2}
    return lambda: train(input=path, model_writer=io.BytesIO(), **options)


TRAINERS: dict[str, Callable[[str, int], Callable[[], object]]] = {
    "tei": _tei,
    "merges": lambda path, size: _tei(path, size, quality=False),
    "whole merges": lambda path, size: _tei(path, size, quality=False, split_ideographs=False),
    "whole tei": lambda path, size: _tei(path, size, split_ideographs=False),
    "count": _count,
    "nanotoken": _encode,
    "gigabpe": _gigabpe,
    "rustbpe": _rustbpe,
    "tokenizers": _tokenizers,
    "gigatoken": _gigatoken,
    "bpeasy": _bpeasy,
    "sentencepiece": _sentencepiece,
}


def main() -> None:
    """Train and print."""
    trainer, path, size = sys.argv[1:]
    train = TRAINERS[trainer](path, int(size))
    wall, cpu = time.perf_counter(), time.process_time()
    train()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": seconds[0], "cpu": seconds[1], "peak": peak()}))


if __name__ == "__main__":
    main()
