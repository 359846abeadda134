"""Rules other than BERT's: equal to Hugging Face `tokenizers` for any combination of components."""

import json
from typing import Any

import pytest
import tokenizers
from hypothesis import assume, given
from hypothesis import strategies as st
from schemes import texts
from schemes import tokenizers as random_tokenizers

from tei import Scheme, Tokenizer


def assert_equal(tok: Tokenizer, oracle: tokenizers.Tokenizer, text: str) -> None:
    want = oracle.encode(text, add_special_tokens=False)
    got = tok.encode(text)
    assert got.ids == want.ids
    assert (got.offsets, got.word_ids) == (want.offsets, want.word_ids)
    assert tok.encode_batch([text]).to_list() == [want.ids]


@given(random_tokenizers(), st.lists(texts, min_size=1, max_size=8))
def test_any_rules_equal_those_of_tokenizers(oracle: tokenizers.Tokenizer, texts: list[str]) -> None:
    tok = Tokenizer.from_pretrained(oracle)
    for text in texts:
        assert_equal(tok, oracle, text)
