"""Trimming, growing and the plans made of them."""

import itertools
import lzma
import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from tei import InvalidInputError, MismatchError, SizeError, Tokenizer, WordCounts, _core
from tei.policy import Bounds
from vocabularies import LETTERS, SPECIAL, make, tables, vocabularies

NOTHING = np.zeros(0, np.uint32)
ALPHABET = sorted({mark + letter for mark in ("", "##") for letter in LETTERS})


def rows_of(tok, seed):
    return np.random.default_rng(seed).normal(size=(tok.vocab_size, 6)).astype(np.float32)


@given(vocabularies, tables, st.none() | st.integers(0, 99), st.booleans())
def test_each_removal_is_the_cheapest_and_its_effect_exact(tokens, table, seed, keeps_alphabet):
    tok = make(sorted({*tokens, *ALPHABET} if keeps_alphabet else tokens))
    weights = None if seed is None else rows_of(tok, seed)
    rows = None if seed is None else dict(zip(tok.tokens, weights.astype(float), strict=True))
    counts = WordCounts.from_mapping(table, tok.scheme)
    protected = np.array([token in SPECIAL or (keeps_alphabet and token in ALPHABET) for token in tok.tokens])
    left = set(tok.tokens)
    pending = {token for i, token in enumerate(tok.tokens) if not protected[i]}
    passed, own = reference.visited(table, left), reference.emitted(table, left)
    uses = np.array([own[token] for token in tok.tokens], np.int64)
    expected = _core.forecast(tok.encoder, uses, sum(table.values()), weights)
    more = dict(zip(tok.tokens, (expected - uses).tolist(), strict=True))
    never = {token for token in pending - passed if more[token] <= 0}
    columns = _core.trim_order(tok.encoder, counts.core, protected, weights)
    for most in (0, 1, len(columns[0]) // 2, len(columns[0]) + 1):
        few = _core.trim_order(tok.encoder, counts.core, protected, weights, most)
        assert [column.tolist() for column in few] == [column[:most].tolist() for column in columns]
    for id_, uses, cost, after, unknown in zip(*columns, strict=True):
        token = tok.tokens[id_]
        emitted = reference.emitted(table, left)
        assert uses == emitted[token]
        if never:
            assert token == _last_unused(tok, never)
        else:
            assert token in pending
            costs = {t: (False, more[t]) for t in pending - passed}
            costs |= {t: reference.trim_cost(t, emitted[t], own[t], more[t], left, rows) for t in pending & passed}
            assert cost == pytest.approx(costs[token][1], abs=1e-4)
            assert costs[token][0] == min(breaks for breaks, _ in costs.values())
            assert cost <= min(c for breaks, c in costs.values() if breaks == costs[token][0]) + 1e-4
        left.remove(token)
        pending.remove(token)
        never.discard(token)
        passed |= reference.visited(table, left)
        emitted = reference.emitted(table, left)
        assert (after, unknown) == (emitted.total(), emitted[None])
    assert not pending


def _last_unused(tok, tokens):
    """The token of no word that goes first: of several characters, and of the highest id."""
    return max(tokens, key=lambda token: (len(reference.surface(token)[0]) > 1, tok.vocab[token]))


@pytest.mark.parametrize("size", [200, 900, 20_000])
def test_a_forecast_equals_its_slow_twin(size):
    random_, names = np.random.default_rng(size), [f"t{i}" if i % 9 else f"t-{i}" for i in range(size)]
    tok = make([*names[::2], *(f"##{name}" for name in names[1::2])])
    rows = random_.normal(size=(tok.vocab_size, 24)).astype(np.float32) + 0.5
    uses = random_.poisson(np.exp(2 * rows[:, 0] - 2)).astype(np.int64)
    found = _core.forecast(tok.encoder, uses, 3_000, rows)
    np.testing.assert_allclose(found, reference.forecast(tok.tokens, uses, 3_000, rows), rtol=0.005, atol=1e-4)
    bare = reference.forecast(tok.tokens, uses, 3_000)
    np.testing.assert_allclose(_core.forecast(tok.encoder, uses, 3_000), bare)
    assert not np.allclose(found, bare, rtol=0.1)
    # Those to whose rows uses are due are expected again.
    unseen = (uses == 0) & [reference.surface(token)[0].isalnum() for token in tok.tokens]
    assert found[unseen & (rows[:, 0] > 0.8)].mean() > 2 * found[unseen & (rows[:, 0] < 0.2)].mean()


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
@pytest.mark.parametrize("dim", [1, 6])
def test_rows_that_say_nothing_leave_a_forecast_by_counts(scale, dim):
    tok = make([*ALPHABET, "##ab", "##ac", "##cba"])
    rows = (np.random.default_rng(0).normal(size=(tok.vocab_size, dim)) * scale).astype(np.float32)
    for used in (0, 1, tok.vocab_size - 1, tok.vocab_size):
        uses = np.where(np.arange(tok.vocab_size) < used, 5, 0)
        found = _core.forecast(tok.encoder, uses, 40, rows)
        assert np.isfinite(found).all()
        assert ((found >= 4) == (uses > 0)).all()


def test_ties_go_to_the_rarer_token_then_to_the_later_id():
    tok = make([*ALPHABET, "##ab", "##ac", "##cba"])
    counts = WordCounts.from_mapping({"aab": 2, "bac": 2, "ccba": 1})
    kept = {*SPECIAL, *ALPHABET}
    orders = [tok.plan(counts, size=tok.vocab_size - n, protect=kept).target for n in range(4)]
    gone = [set(before) - set(after) for before, after in itertools.pairwise(orders)]
    assert gone == [{"##cba"}, {"##ac"}, {"##ab"}]


@given(vocabularies, tables, st.integers(0, 6), st.integers(1, 4), st.integers(2, 6))
def test_growth_equals_segmenting_again_for_each_candidate(tokens, table, count, min_gain, max_pieces):
    tok = make(sorted(tokens))
    counts = WordCounts.from_mapping(table, tok.scheme)
    options = {"count": count, "min_gain": min_gain, "max_pieces": max_pieces}
    assert _core.grow(tok.encoder, counts.core, NOTHING, **options) == reference.grow(table, tokens, **options)


@given(vocabularies, tables, tables)
def test_growth_leaves_a_base_text_as_it_is(tokens, table, base):
    tok = make(sorted({*tokens, *ALPHABET}))
    counts, guard = WordCounts.from_mapping(table), WordCounts.from_mapping(base)
    options = {"count": 9, "min_gain": 1, "max_pieces": 6}
    strict = _core.grow(tok.encoder, counts.core, NOTHING, base=guard.core, max_changed=0.0, keep_top=0, **options)
    after = {*tokens, *ALPHABET, *(token for token, _ in strict)}
    assert reference.emitted(base, after) == reference.emitted(base, {*tokens, *ALPHABET})
    mild = _core.grow(tok.encoder, counts.core, NOTHING, base=guard.core, max_changed=1.0, keep_top=99, **options)
    after = {*tokens, *ALPHABET, *(token for token, _ in mild)}
    for word in base:
        assert len(reference.segment(word, after)) <= len(reference.segment(word, {*tokens, *ALPHABET}))


@given(vocabularies, tables, st.data())
def test_a_plan_gives_the_tokens_its_curve_and_reasons_promise(tokens, table, data):
    tok = make(sorted({*tokens, *ALPHABET}))
    counts = WordCounts.from_mapping(table, tok.scheme)
    least = len({*SPECIAL, *ALPHABET})
    size, grow = data.draw(st.integers(least, tok.vocab_size)), data.draw(st.integers(0, 4))
    plan = tok.plan(counts, size=size, grow=0, protect=[*SPECIAL, *ALPHABET])
    small = tok.apply(plan)
    assert small.fingerprint == plan.target_fingerprint
    assert small.vocab_size == size
    assert set(plan.reasons) == set(tok.tokens) - set(plan.target)
    assert small.usage(counts).tokens == plan.curve["tokens"][plan.curve["size"] == size].item()
    more = tok.plan(counts, size=size, grow=grow, protect=[*SPECIAL, *ALPHABET])
    assert size <= len(more.target) <= size + grow
    assert set(plan.target) <= set(more.target)
    ids = [tok.vocab[token] for token in more.target if token in tok.vocab]
    assert ids == sorted(ids)
    assert tok.apply(more).usage(counts).tokens <= small.usage(counts).tokens


def test_new_rows_are_pieces_by_length_and_inverse_frequency():
    tok = make([*ALPHABET, "ab", "##cc"])
    counts = WordCounts.from_mapping({"abccb": 90, "b": 10})
    plan = tok.plan(counts, size=tok.vocab_size, grow=1, bounds=Bounds(grow_share=1))
    assert plan.target[-1] == "abccb"
    share = {"ab": 90 / 280, "##cc": 90 / 280, "##b": 90 / 280}
    weights = {piece: len(piece.removeprefix("##")) * 1e-3 / (1e-3 + p) for piece, p in share.items()}
    expected = np.zeros(tok.vocab_size)
    expected[[tok.vocab[piece] for piece in weights]] = np.array(list(weights.values())) / sum(weights.values())
    np.testing.assert_allclose(plan.matrix().toarray()[-1], expected)


def test_dropped_rows_come_back_from_the_pieces_that_replace_them():
    tok = make([*ALPHABET, "ab", "abab", "abba"])
    plan = tok.plan(WordCounts.from_mapping({"ab": 5, "ba": 1}), size=tok.vocab_size - 2)
    assert {token for token in tok.tokens if token not in plan.target} == {"abab", "abba"}
    back = plan.back_matrix().toarray()[tok.vocab["abab"]]
    expected = {"ab": 0.5, "##a": 0.25, "##b": 0.25}
    assert {plan.target[i]: back[i] for i in np.flatnonzero(back)} == expected


def test_a_token_that_trimming_drops_and_growing_finds_again_keeps_its_id_and_row():
    tok = make([*ALPHABET, "ab", "abc"])
    plan = tok.plan(WordCounts.from_mapping({"abc": 50, "a": 9}), size=tok.vocab_size - 2, grow=1)
    assert "abc" in plan.target
    assert plan.id_map[tok.vocab["abc"]] == plan.target.index("abc")
    assert not len(plan.added)


def test_where_too_few_new_tokens_pay_the_dearest_dropped_ones_come_back():
    tok = make([*ALPHABET, "ab", "abc", "ba"])
    counts = WordCounts.from_mapping({"abc": 4, "ba": 3, "ab": 2})
    options = {"size": tok.vocab_size - 3, "protect": [*SPECIAL, *ALPHABET]}
    assert tok.plan(counts, grow=0, **options).target == tok.tokens[:-3]
    assert set(tok.plan(counts, grow=2, **options).target) == {*tok.tokens[:-3], "abc", "ba"}
    assert tok.plan(counts, grow=9, **options).target == tok.tokens


def test_never_dropped_are_special_tokens_the_alphabet_and_what_is_asked_for():
    tok = make([*ALPHABET, "!", "##!", "ж", "abc", "cab"])
    counts = WordCounts.from_mapping({"ab": 1})
    with pytest.raises(SizeError, match=r"size is 1, must be from (\d+)") as error:
        tok.plan(counts, size=1, protect=["cab"])
    least = int(re.search(r"from (\d+)", str(error.value)).group(1))
    target = set(tok.plan(counts, size=least, protect=["cab"]).target)
    assert {"[UNK]", "[PAD]", "a", "##a", "b", "##b", "!", "##!", "cab"} <= target
    assert not {"abc", "ж", "中", "é"} & target


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"size": 99}, SizeError, "to 18, all there are"),
        ({"size": "small"}, InvalidInputError, "size is 'small'"),
        ({"size": True}, InvalidInputError, "size is True"),
        ({"grow": -1}, InvalidInputError, "grow is -1"),
        ({"grow": 1.5}, InvalidInputError, "grow is 1.5"),
        ({"grow": 2**70}, InvalidInputError, "grow is 1180591620717411303424"),
        ({"protect": "ab"}, InvalidInputError, "protect is 'ab'"),
        ({"protect": None}, InvalidInputError, "protect is None"),
        ({"protect": [["a"]]}, InvalidInputError, "protect is "),
        ({"bounds": {}}, InvalidInputError, "bounds are {}"),
        ({"weights": np.ones((18, 2), complex)}, InvalidInputError, "complex128"),
        ({"protect": ["zz"]}, MismatchError, "protected token 'zz'"),
        ({"weights": np.zeros((3, 4))}, MismatchError, r"shape \(3, 4\)"),
        ({"weights": np.zeros(18)}, MismatchError, r"shape \(18,\)"),
        ({"weights": np.full((18, 2), np.nan)}, InvalidInputError, "NaN in row 0"),
        ({"weights": "rows"}, InvalidInputError, "not an array of numbers"),
    ],
)
def test_refuses_what_it_cannot_use(options, error, match):
    tok = make([*ALPHABET, "ab", "abc", "bc"])
    with pytest.raises(error, match=match):
        tok.plan(["ab abc"], **options)


def test_bounds_must_be_numbers_from_zero_on():
    with pytest.raises(InvalidInputError, match="token_growth is -1"):
        Bounds(token_growth=-1)
    with pytest.raises(InvalidInputError, match="drift is nan"):
        Bounds(drift=float("nan"))


def paragraphs(path):
    with lzma.open(path, "rt", encoding="utf-8") as file:
        parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", file.read())]
    kept = [part for part in parts if len(part) > 60]
    random.Random(0).shuffle(kept)
    return kept


@pytest.fixture(scope="module")
def kernel(data_root, minilm):
    from safetensors.numpy import load_file

    tok = Tokenizer.from_pretrained(minilm)
    texts = paragraphs(data_root / "train/en_kernel_doc.txt.xz")
    weights = next(
        v for k, v in load_file(minilm / "model.safetensors").items() if k.endswith("word_embeddings.weight")
    )
    return tok, tok.count(texts[:8000]), tok.count(texts[-8000:]), weights


@pytest.mark.data
def test_narrow_text_needs_fewer_tokens_from_a_smaller_vocabulary(kernel):
    tok, counts, held_out, weights = kernel
    plan = tok.plan(counts, size=4000, grow=2000, weights=weights)
    assert len(plan.target) == 6000
    assert tok.apply(plan).usage(held_out).tokens <= 0.96 * tok.usage(held_out).tokens
    assert plan == tok.plan(counts, size=4000, grow=2000, weights=weights)


@pytest.mark.data
def test_auto_stays_within_its_bounds_on_text_it_has_not_seen(kernel):
    tok, counts, held_out, weights = kernel
    small = tok.apply(tok.plan(counts, weights=weights))
    assert small.vocab_size < 12_000
    assert small.usage(held_out).tokens <= 1.03 * tok.usage(held_out).tokens
    given = tok.plan(counts, weights=weights, held_out=held_out, bounds=Bounds(token_growth=0.01))
    assert tok.apply(given).usage(held_out).tokens <= 1.011 * tok.usage(held_out).tokens
