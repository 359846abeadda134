"""Usage and spelling, against their slow twins."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import reference
from schemes import texts, tokenizers
from tei import EmptySourceError, MismatchError, Scheme, Tokenizer, WordCounts, _core
from tei.vocabulary import digest, fingerprint
from vocabularies import SPECIAL, make, tables, vocabularies


@given(vocabularies, tables)
def test_usage_equals_segmenting_each_word(tokens, table):
    tok = make(sorted(tokens))
    usage = tok.usage(WordCounts.from_mapping(table, tok.scheme))
    expected = reference.emitted(table, tokens)
    unknown = expected.pop(None, 0)
    assert {tok.tokens[i]: usage.token_counts[i] for i in usage.used if i != tok.unk_token_id} == dict(expected)
    assert usage.unknown_words == usage.token_counts[tok.unk_token_id] == unknown
    assert usage.tokens == expected.total() + unknown
    assert usage.words == sum(table.values())
    assert usage.characters == sum(len(word) * count for word, count in table.items())
    assert usage.bytes == sum(len(word.encode()) * count for word, count in table.items())
    assert sorted([*usage.used, *usage.unused]) == list(range(tok.vocab_size))


@given(vocabularies, st.data())
def test_lengths_and_fingerprints_are_those_of_the_tokens(tokens, data):
    tok, others = make(sorted(tokens)), ["##", "##中é", "aé", ""]
    assert _core.lengths(tok.encoder, others).tolist() == [
        len(token.removeprefix("##")) or len(token) or 1 for token in (*tok.tokens, *others)
    ]
    assert tok.fingerprint == fingerprint(tok.tokens, tok.scheme.to_json())
    removed = data.draw(st.sets(st.integers(0, tok.vocab_size - 1)))
    left = [token for i, token in enumerate(tok.tokens) if i not in removed]
    assert digest(_core.framed(tok.encoder, sorted(removed), others), "é") == fingerprint([*left, *others], "é")


@given(vocabularies, st.data())
def test_spelling_leaves_out_the_token_itself_and_what_is_removed(tokens, data):
    tok = make(sorted(tokens))
    removed = data.draw(st.sets(st.sampled_from(sorted(tokens)))) if tokens else set()
    added = sorted(data.draw(vocabularies) - tokens)
    ids = np.array(sorted(tok.vocab[token] for token in removed), dtype=np.uint32)
    names = [*tok.tokens, *added]
    pieces, ends = _core.spell(tok.encoder, ids, added, sorted(tokens))
    after = {*tokens, *added} - removed
    for token, start, end in zip(sorted(tokens), ends, ends[1:], strict=False):
        expected = reference.spelling(token, after) or ["[UNK]"]
        assert [names[i] for i in pieces[start:end]] == expected


@given(tokenizers(), texts)
def test_what_a_text_leads_to_is_not_called_unreachable(oracle, text):
    tok = Tokenizer.from_pretrained(oracle)
    steps = [step[0] for step in tok.scheme.rules[0]]
    first = steps.index("StripAccents") if "StripAccents" in steps else len(steps)
    assume(not {"NFD", "NFKD", "BertNormalizer"} & {*steps[first:]})
    ids = {*tok.encode(text).ids, *tok.encode(f"a{text}").ids}
    words = WordCounts.from_mapping({"a": 1}, tok.scheme)
    assert not ids & {*tok.usage(words).unreachable.tolist()}


def test_what_no_text_leads_to_is_unreachable():
    tok = make(["a", "É", "##-", "##中", "中", "##b", "a-b", "a" * 101, "-"])
    usage = tok.usage(["a"])
    names = {tok.tokens[i] for i in usage.unreachable}
    assert names == {"É", "##-", "##中", "a-b", "a" * 101} | {*SPECIAL[2:]}
    lossless = Tokenizer.train(["a b"], vocab_size=256, scheme=Scheme.bytes())
    assert not len(lossless.usage(["a"]).unreachable)


def test_a_word_of_too_many_characters_is_unknown():
    tok = make(["a", "##a"])
    counts = WordCounts.from_mapping({"a" * 100: 1, "a" * 101: 2}, tok.scheme)
    assert (tok.usage(counts).unknown_words, tok.usage(counts).tokens) == (2, 102)


@given(tables, st.integers(0, 3))
def test_holding_out_splits_every_count(table, seed):
    counts = WordCounts.from_mapping(table)
    kept, held = _core.hold_out(counts.core, 0.2, seed)
    assert dict(kept.merged(held).most_common()) == table
    assert all(abs(count - 0.2 * table[word]) < 1 for word, count in held.most_common())
    assert _core.hold_out(counts.core, 0.2, seed)[1] == held


def test_holding_out_rare_words_takes_the_share_of_them():
    held = _core.hold_out(_core.WordCounts.from_pairs([(f"w{i}", 1) for i in range(20_000)]), 0.2, 0)[1]
    assert 0.18 < len(held) / 20_000 < 0.22


def test_counts_of_another_scheme_or_without_words_are_refused():
    tok = make(["a"])
    with pytest.raises(MismatchError, match="count with"):
        tok.usage(WordCounts.from_mapping({"a": 1}, Scheme.bert(lowercase=False)))
    with pytest.raises(EmptySourceError, match="hold no word"):
        tok.usage(WordCounts.from_mapping({}, tok.scheme))
