"""What a tokenizer remembers of its plans, and the way back."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans import plan_between
from tei import FileFormatError, InvalidInputError, MismatchError, Tokenizer
from tei.files import dump_document, load_document
from tei.plan import ResizePlan
from tei.pretrained import TokenizerSpec
from tei.special_tokens import AddedToken
from tei.vocabulary import fingerprint
from vocabularies import LETTERS, SPECIAL, make

WORDS = sorted({mark + letter for mark in ("", "##") for letter in LETTERS})


def plan_to(tok, target, seed=0):
    random = plan_between(list(tok.tokens), target, seed)
    fingerprints = [fingerprint(tokens, tok.scheme.to_json()) for tokens in (tok.tokens, target)]
    return ResizePlan.from_tokens(
        tok.tokens,
        target,
        added={target[i]: random.added[i] for i in random.added},
        dropped={tok.tokens[i]: random.dropped[i] for i in random.dropped},
        source_fingerprint=fingerprints[0],
        target_fingerprint=fingerprints[1],
    )


@given(
    st.lists(
        st.permutations([*WORDS, "ab", "abc", "##ca"]).flatmap(lambda ts: st.integers(3, 13).map(lambda n: ts[:n])),
        min_size=1,
        max_size=4,
    )
)
def test_every_version_can_be_had_again(targets):
    made = [make(WORDS)]
    for target in targets:
        made.append(made[-1].apply(plan_to(made[-1], [*SPECIAL, *target])))
    for version, tok in enumerate(made):
        again = made[-1].at(version)
        assert (again.tokens, again.version, again.history) == (tok.tokens, version, tok.history)
        assert again.encode("abcab éb").ids == tok.encode("abcab éb").ids


@given(st.lists(st.sampled_from(["ab", "##abc", "中a", "é##", "##", "a"]), unique=True), st.text([*LETTERS, "#", " "]))
def test_appending_equals_building_anew(added, text):
    tok = make([token for token in WORDS if token != "a"])
    added = [token for token in added if token not in tok.vocab]
    plan = plan_to(tok, [*tok.tokens, *added])
    assert plan.keeps_all
    grown = tok.apply(plan)
    assert grown.encode(text) == Tokenizer(grown.spec).encode(text)
    assert grown.encode_batch([text])[0].tolist() == grown.encode(text).ids


def test_an_entry_says_what_happened_and_why(tmp_path):
    tok = make([*WORDS, "ab"])
    small = tok.apply(tok.plan(["ab ba"], size=tok.vocab_size - 1, protect=[*SPECIAL, *WORDS]), reason="no ab")
    assert dict(small.history[0]) == {
        "version": 1,
        "reason": "no ab",
        "source": tok.fingerprint,
        "target": small.fingerprint,
        "kept": tok.vocab_size - 1,
        "dropped": ["ab"],
        "dropped_ids": [tok.vocab["ab"]],
        "added": [],
        "added_ids": [],
        "order": None,
        "lost_tokens": [],
        "rows": {},
    }
    small.save(tmp_path)
    assert Tokenizer.load(tmp_path).at(0).tokens == tok.tokens


def test_a_declared_token_that_was_dropped_is_declared_again_when_it_returns():
    spec = TokenizerSpec(tokens=(*SPECIAL, *WORDS, "<x>"), added_tokens=(AddedToken(content="<x>", special=False),))
    tok = Tokenizer(spec)
    plan = plan_to(tok, [*SPECIAL, *WORDS])
    small = tok.apply(plan)
    assert small.encode("a<x>b").tokens == ["a", "[UNK]", "[UNK]", "[UNK]", "b"]
    assert small.apply(plan.inverse()).spec == small.at(0).spec == tok.spec


def test_declared_tokens_come_and_go_with_every_version():
    declared = tuple(AddedToken(content=name, special=False) for name in ("<x>", "<y>"))
    tok = Tokenizer(TokenizerSpec(tokens=(*SPECIAL, "<x>", *WORDS, "<y>"), added_tokens=declared))
    plan = plan_to(tok, [*SPECIAL, *WORDS, "<y>"])
    back = tok.apply(plan).apply(plan.inverse())
    assert [back.at(version).spec for version in (0, 1, 2)] == [tok.spec, tok.apply(plan).spec, tok.spec]
    assert back.at(1).encode("a<y>").tokens == ["a", "<y>"]
    assert tok.apply(plan.compose(plan.inverse())).at(0).spec == tok.spec


def test_retired_tokens_go_with_the_next_plan_and_come_back_with_the_version_before():
    tok = make([*WORDS, "ab", "abc"])
    revised = tok.revised(["cab"], retired=[tok.vocab["ab"]])
    for plan in (revised.plan(["cab abc"], size=revised.vocab_size - 1), revised.plan(["cab ca ca"] * 9, size=16)):
        assert plan.reasons["ab"] == "retired"
        after = revised.apply(plan)
        assert after.fingerprint == plan.target_fingerprint
        assert (after.at(0).fingerprint, after.at(0).retired) == (revised.fingerprint, revised.retired)
    assert len(plan.target) == 16
    with pytest.raises(MismatchError, match="revised since"):
        after.revised(["bb"]).at(0)


def test_the_history_cannot_be_changed_from_outside():
    tok = make([*WORDS, "ab"])
    small = tok.apply(tok.plan(["ba"], size=tok.vocab_size - 1))
    small.history[0]["dropped"].append("x")
    assert small.at(0).tokens == tok.tokens


def test_a_saved_directory_goes_on_with_its_history(tmp_path):
    tok = make([*WORDS, "ab"])
    small = tok.apply(tok.plan(["ba"], size=tok.vocab_size - 1))
    small.save(tmp_path)
    opened = Tokenizer.from_pretrained(tmp_path)
    assert (opened.version, opened.history, opened.at(0).tokens) == (1, small.history, tok.tokens)
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text().replace('"##a"', '"##aa"'))
    assert Tokenizer.from_pretrained(tmp_path).version == 0
    with pytest.raises(FileFormatError, match="different tokenizers"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tei.json").write_text((tmp_path / "tei.json").read_text()[:-9])
    with pytest.raises(FileFormatError, match=r"tei\.json"):
        Tokenizer.from_pretrained(tmp_path)


def test_a_plan_with_the_right_name_but_other_tokens_is_refused():
    tok = make([*WORDS, "ab"])
    plan = plan_to(make([*WORDS, "cc"]), [*SPECIAL, *WORDS])
    with pytest.raises(MismatchError, match="source tokens are not the tokenizer's"):
        tok.apply(replace(plan, source_fingerprint=tok.fingerprint))


def test_tokens_that_no_line_can_hold_are_saved_without_lines(tmp_path):
    make([*WORDS, "ab"]).save(tmp_path)
    tok = make([*WORDS, "a\nb"])
    tok.save(tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    assert Tokenizer.load(tmp_path).tokens == tok.tokens


def test_refuses_versions_it_does_not_know_and_an_altered_history(tmp_path):
    tok = make([*WORDS, "ab"])
    small = tok.apply(tok.plan(["ab ba"], size=tok.vocab_size - 1, protect=[*SPECIAL, *WORDS]))
    for version in (-1, 2, True, "0"):
        with pytest.raises(InvalidInputError, match="from 0 to 1"):
            small.at(version)
    small.save(tmp_path)
    record = load_document(tmp_path / "tei.json", "tokenizer", version=1)
    record["history"][0]["dropped"] = ["xy"]
    (tmp_path / "tei.json").write_bytes(dump_document("tokenizer", 1, json.loads(json.dumps(record))))
    with pytest.raises(FileFormatError, match="history was altered"):
        Tokenizer.load(tmp_path).at(0)
