"""The vocabulary changes while training goes on: ids stay, rows follow, nothing half done."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import assert_same, snapshot
from runs import Classifier, Run, Scripted, texts
from tei import Tokenizer
from tei.components import Decoder
from tei.errors import InvalidInputError, MismatchError
from tei.policy import Grow
from tei.torch import Collate, VersionedBatch, VocabularyScheduler

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = torch.zeros(4, dtype=torch.long)


def batch(run: Run, seed: int = 1) -> VersionedBatch:
    made = Collate(run.scheduler)([(text, 0) for text in texts(seed, 4)])
    assert isinstance(made, VersionedBatch)
    return made


def step(run: Run, seed: int = 1) -> None:
    run.scheduler.observe(texts(seed, 20))
    run.scheduler.step()


def test_growing_keeps_ids_rows_and_moments_and_shortens_texts() -> None:
    run = Run(Grow(5))
    old = run.tokenizer
    run.train(batch(run))
    table = run.model.table.weight
    before = table.detach().clone()
    moments = run.optimizer.state[table]["exp_avg"].clone()
    step(run)
    new = run.scheduler.tokenizer
    assert new.tokens[: old.vocab_size] == old.tokens
    assert new.vocab_size == old.vocab_size + 5 == len(run.model.table.weight)
    assert run.model.table.weight is table
    assert torch.equal(table[: len(before)], before)
    assert torch.equal(run.optimizer.state[table]["exp_avg"][: len(before)], moments)
    assert len(new.encode_batch(texts(1, 20)).ids) < len(old.encode_batch(texts(1, 20)).ids)
    run.train(batch(run))
    assert run.scheduler.metrics["vocabulary"] == new.vocab_size
    assert run.scheduler.metrics["rows_added"] == 5
    usage = new.usage(texts(1, 20))
    assert run.scheduler.metrics["fertility"] == usage.fertility
    assert run.scheduler.metrics["unknown_rate"] == 0


def test_tombstones_come_back_with_their_ids_and_rows() -> None:
    run = Run(Scripted((["abcd"], []), ([], ["abcd"]), (["dcba", "abcd"], [])))
    step(run)
    tok = run.scheduler.tokenizer
    place = tok.vocab["abcd"]
    row = run.model.table.weight[place].detach().clone()
    assert tok.encode("abcd").ids == [place]
    step(run)
    assert place not in run.scheduler.tokenizer.encode("abcd").ids
    assert run.scheduler.tokenizer.retired == {place}
    assert run.scheduler.live.vocab_size == run.scheduler.tokenizer.vocab_size - 1
    assert len(run.model.table.weight) == tok.vocab_size
    with pytest.raises(ValueError, match="1 retired tokens cannot be saved"):
        run.scheduler.tokenizer.save("nowhere")
    step(run)
    assert run.scheduler.tokenizer.encode("abcd").ids == [place]
    assert run.scheduler.tokenizer.encode("dcba").ids == [place + 1]
    assert torch.equal(run.model.table.weight[place], row)
    assert run.scheduler.version == 3


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=6), st.integers(0, 99))
def test_any_changes_encode_as_the_live_vocabulary_and_keep_every_row(steps: list, seed: int) -> None:
    generator = np.random.default_rng(seed)
    run, known = Run(), {}
    for adds, drops, compact in steps:
        live = run.scheduler.live
        fresh = sorted({"".join(generator.choice(list("abcd"), 3)) for _ in range(adds)} - set(live.tokens))
        grown = [token for token in live.tokens[30:] if token in known]
        gone = list(generator.permutation(grown)[:drops])
        run.scheduler.policy = Scripted((fresh, gone))
        step(run)
        scheduler = run.scheduler
        table = run.model.table.weight
        with torch.no_grad():
            for token in fresh:
                if token in known:
                    assert table[scheduler.tokenizer.vocab[token]].tolist() == known[token]
                table[scheduler.tokenizer.vocab[token]] = torch.randn(6)
                known[token] = table[scheduler.tokenizer.vocab[token]].tolist()
        if compact:
            scheduler.compact()
            assert scheduler.tokenizer.tokens == scheduler.live.tokens
            assert len(table) == scheduler.live.vocab_size
        for token in scheduler.live.tokens:
            if token in known:
                assert table[scheduler.tokenizer.vocab[token]].tolist() == known[token]
        clean = Tokenizer(scheduler.live.spec)
        for text in texts(seed, 5):
            assert scheduler.tokenizer.encode(text).tokens == clean.encode(text).tokens
            ids = Collate(scheduler)([text])["input_ids"][0, 1:-1].tolist()
            assert ids == scheduler.tokenizer.encode(text).ids


def test_batches_of_before_a_compaction_are_renumbered_and_lost_rows_refused() -> None:
    run = Run(Scripted((["abcd", "dcba"], []), ([], ["abcd"])))
    step(run)
    with_lost, without = (Collate(run.scheduler)([(text, 0)]) for text in ("abcd", "dcba"))
    step(run)
    old = run.scheduler.tokenizer.vocab["dcba"]
    plan = run.scheduler.compact()
    assert list(plan.dropped) == [old - 1]
    assert without["input_ids"][0, 1] == old
    run.scheduler.observe(without)
    assert without["input_ids"][0, 1] == old - 1
    run.scheduler.observe(without)
    assert without["input_ids"][0, 1] == old - 1
    with pytest.raises(MismatchError, match="whose row a compaction gave up"):
        run.scheduler.observe(with_lost)
    assert run.scheduler.archive.tokens == ("abcd",)


def test_batches_of_a_future_version_or_with_ids_without_a_row_are_refused() -> None:
    run, other = Run(), Run(Scripted((["abcd"], [])))
    step(other)
    with pytest.raises(MismatchError, match="of vocabulary version 1, the model of 0"):
        run.scheduler.observe(batch(other))
    with pytest.raises(MismatchError, match="holds id 30, the vocabulary ends at 29"):
        run.scheduler.observe({"input_ids": torch.tensor([[2, 30, 3]])})


def test_what_is_no_batch_is_refused() -> None:
    run = Run()
    for seen in ("abcd", b"abcd", {"input_ids": [[2, 5, 3]]}, {"ids": torch.tensor([2])}):
        with pytest.raises(InvalidInputError, match=r"seen is one|input_ids of the batch are"):
            run.scheduler.observe(seen)


def test_going_back_forgets_the_rows_of_a_future_that_is_given_up() -> None:
    run = Run(Scripted((["abcd"], []), ([], ["abcd"])))
    state = run.scheduler.state_dict()
    step(run)
    step(run)
    run.scheduler.compact()
    assert run.scheduler.archive.tokens == ("abcd",)
    run.scheduler.load_state_dict(state)
    assert run.scheduler.archive is None


def test_a_vocabulary_of_any_size_has_room_in_the_channel() -> None:
    names = [
        f"{i:06x}".translate({ord(c): chr(0x430 + int(c, 16)) for c in "0123456789abcdef"}) for i in range(120_000)
    ]
    tok = Tokenizer(replace(Run().tokenizer.spec, tokens=(*Run().tokenizer.tokens, *names)))
    scheduler = VocabularyScheduler(tok, torch.nn.Embedding(tok.vocab_size, 1), policy=Scripted(([], [names[0]])))
    scheduler.observe(["abcd"])
    scheduler.step()
    scheduler.compact()
    assert scheduler.follower.current()[0].tokens == scheduler.tokenizer.tokens == scheduler.live.tokens


def test_a_batch_of_ids_is_counted_like_its_texts() -> None:
    one, two = Run(), Run()
    one.scheduler.observe(texts(1, 4))
    two.scheduler.observe(batch(two))
    assert one.scheduler.state_dict()["counts"] == two.scheduler.state_dict()["counts"]
    # Neither is it the decoder's business, nor that of what is declared.
    bare = Tokenizer(replace(one.tokenizer.spec, decoder=Decoder(prefix=None, cleanup=False), added_tokens=()))
    three = VocabularyScheduler(bare, one.model, one.optimizer)
    three.observe(Collate(three)([(text, 0) for text in texts(1, 4)]))
    assert three.state_dict()["counts"] == one.scheduler.state_dict()["counts"]


@pytest.mark.parametrize("stops", [0, 1, 2, 3])
def test_a_loaded_run_goes_on_exactly(stops: int) -> None:
    def script() -> Scripted:
        return Scripted((["abcd", "dcba"], []), ([], ["abcd"]), (["abcd", "aabb"], ["dcba"]), (["dcba"], []))

    whole = Run(script())
    for i in range(stops):
        whole.train(batch(whole, i))
        step(whole, i)
        if i == 1:
            whole.scheduler.compact()
    whole.scheduler.observe(texts(5, 9))
    state = whole.scheduler.state_dict()
    copies = copy.deepcopy([part.state_dict() for part in (whole.model, whole.optimizer)])
    other = Run(script(), seed=1)
    other.scheduler.load_state_dict(state)
    other.model.load_state_dict(copies[0])
    other.optimizer.load_state_dict(copies[1])
    assert other.scheduler.version == whole.scheduler.version
    for i in range(stops, 4):
        for run in (whole, other):
            torch.manual_seed(i)
            run.train(batch(run, i))
            step(run, i)
    assert whole.scheduler.live.tokens == other.scheduler.live.tokens
    assert whole.scheduler.tokenizer.fingerprint == other.scheduler.tokenizer.fingerprint
    assert whole.scheduler.metrics == other.scheduler.metrics
    assert_same(snapshot(whole.model, whole.optimizer), snapshot(other.model, other.optimizer))


def test_states_of_other_runs_are_refused() -> None:
    run = Run(Scripted((["abcd"], [])))
    step(run)
    state = run.scheduler.state_dict()
    before = snapshot(run.model)
    for damage, message in (
        ({"base": "0" * 16}, "began with vocabulary 0000000000000000"),
        ({"fingerprints": ["a", "b"]}, "have fingerprints"),
        ({"live": ["[UNK]"]}, "have fingerprints|unknown"),
        ({"counts": "?"}, "word counts cannot be read"),
        ({"metrics": 3}, "no state"),
        ({"version": "x"}, "no state"),
        ({"archive": {"tokens": ["a"]}}, "no state"),
        ({"live": 3}, "no state"),
    ):
        with pytest.raises(ValueError, match=message):
            run.scheduler.load_state_dict(state | damage)
    for name in state:
        with pytest.raises(MismatchError, match="no state"):
            run.scheduler.load_state_dict({field: value for field, value in state.items() if field != name})
    with pytest.raises(MismatchError, match="Grow does not"):
        Run(Grow(1)).scheduler.load_state_dict(state)
    with pytest.raises(MismatchError, match="no state"):
        run.scheduler.load_state_dict({})
    assert_same(before, snapshot(run.model))
    other = Tokenizer.train(["ab", "ba"], vocab_size=10, min_count=1)
    with pytest.raises(MismatchError, match="began with"):
        VocabularyScheduler(other, Classifier(10)).load_state_dict(state)


def test_a_failing_step_leaves_everything_as_it_was() -> None:
    run = Run(Scripted())
    before, tok = snapshot(run.model, run.optimizer), run.scheduler.tokenizer
    with pytest.raises(IndexError):
        step(run)
    run.scheduler.policy = Scripted(([], ["[CLS]"]))
    with pytest.raises(MismatchError, match=r"protected \(special tokens"):
        step(run)
    assert run.scheduler.tokenizer is tok
    assert run.scheduler.version == 0
    assert_same(before, snapshot(run.model, run.optimizer))


def test_hook_steps_with_the_optimizer() -> None:
    run = Run(Scripted((["abcd"], []), (["dcba"], [])))
    handle = run.scheduler.attach(run.optimizer, every=2)
    for _ in range(5):
        made = batch(run)
        run.scheduler.observe(made)
        run.train(made)
    assert run.scheduler.version == 2
    handle.remove()
    run.train(batch(run))
    with pytest.raises(InvalidInputError, match="every is 0"):
        run.scheduler.attach(run.optimizer, every=0)


def test_a_loss_that_is_still_alive_does_not_hold_the_old_shape() -> None:
    run = Run(Scripted((["abcd"], []), (["dcba"], [])))
    for _ in range(3):
        loss = run.model(**batch(run))["loss"]
        run.optimizer.zero_grad()
        loss.backward()
        run.optimizer.step()
        if run.scheduler.version < 2:
            step(run)
    assert run.model.table.weight.grad.shape == (32, 6)


def test_nothing_seen_changes_nothing() -> None:
    run = Run()
    assert run.scheduler.step() is None
    with pytest.raises(InvalidInputError, match="decay is 2"):
        VocabularyScheduler(run.tokenizer, run.model, decay=2)
    with pytest.raises(MismatchError, match="do not belong together"):
        VocabularyScheduler(run.tokenizer, Classifier(3))
