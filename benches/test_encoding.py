"""The main paths of encoding under pytest-benchmark: `python -m pytest benches/test_encoding.py`, not part of the tests.

For a comparison over time: `--benchmark-save NAME`, later `--benchmark-compare`. Peers are in `compare.py`.
"""

from collections.abc import Callable
from typing import Any

import pytest

from must.corpora import DATA, corpus
from tei import Tokenizer
from tei.bench import first_megabytes
from tei.demo import model_directory

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="external text sets are absent; TEI_DATA names their directory"
)

Benchmark = Callable[..., Any]


@pytest.fixture(scope="module")
def tok() -> Tokenizer:
    return Tokenizer.from_pretrained(model_directory())


@pytest.fixture(scope="module")
def english() -> list[str]:
    return first_megabytes(corpus("technical English"), 2)


@pytest.mark.parametrize("name", ["technical English", "English novels", "Chinese", "mixed scripts", "code"])
def test_list(benchmark: Benchmark, tok: Tokenizer, name: str) -> None:
    texts = first_megabytes(corpus(name), 2)
    assert len(benchmark(tok.encode_batch, texts, parallel=False)) == len(texts)


def test_list_on_all_cores(benchmark: Benchmark, tok: Tokenizer, english: list[str]) -> None:
    assert len(benchmark(tok.encode_batch, english, parallel=True)) == len(english)


def test_one_string(benchmark: Benchmark, tok: Tokenizer, english: list[str]) -> None:
    text = next(text for text in english if len(text) > 138)[:138]
    assert len(benchmark(tok.encode_batch, [text])) == 1


def test_padded_batch(benchmark: Benchmark, tok: Tokenizer, english: list[str]) -> None:
    options = {"padding": "max_length", "truncation": True, "max_length": 128, "return_tensors": "np"}
    assert benchmark(tok, english[:256], **options).input_ids.shape == (256, 128)


def test_offsets(benchmark: Benchmark, tok: Tokenizer, english: list[str]) -> None:
    text = max(english, key=len)
    assert len(benchmark(tok.encode, text)) > 100


def test_lists(benchmark: Benchmark, tok: Tokenizer, english: list[str]) -> None:
    assert len(benchmark(lambda: tok.encode_batch(english).to_list())) == len(english)


def test_decoding(benchmark: Benchmark, tok: Tokenizer, english: list[str]) -> None:
    rows = list(tok.encode_batch(english[:256]))
    assert len(benchmark(tok.decode_batch, rows)) == 256


def test_opening(benchmark: Benchmark) -> None:
    assert benchmark(Tokenizer.from_pretrained, model_directory()).vocab_size == 30_522
