"""Distilled rows: the model says in the new spelling what it said in the old one."""

from types import SimpleNamespace

import pytest
import torch
from transformers import BertModel

from models import assert_same, bert, llama, snapshot
from tei.errors import InvalidInputError, UnsupportedError
from tei.tokenizer import Tokenizer
from tei.torch import BagOfTokens, Distilled, apply

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = [f"the {a} cat sat on the {b} mat and sang" for a in ("big", "old", "red") for b in ("wet", "dry", "new")] * 3


@pytest.fixture(scope="module")
def grown():
    tokenizer = Tokenizer.train(TEXTS, vocab_size=45, min_count=1, quality=False)
    plan = tokenizer.plan(tokenizer.count(TEXTS), size=tokenizer.vocab_size, grow=5)
    assert len(plan.added) >= 3
    return tokenizer, plan


def make(kind: str, rows: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return bert(BertModel, rows) if kind == "bert" else llama(rows)


@torch.no_grad()
def difference(model, changed, tokenizer, new) -> float:
    """Mean squared difference of hidden states at the end of each text."""
    states = []
    for which, tok in ((model, tokenizer), (changed, new)):
        body = getattr(which.eval(), "model", which)
        rows = [tok(text)["input_ids"][:-1] for text in TEXTS]
        states.append(torch.stack([body(torch.tensor([row])).last_hidden_state[0, -1] for row in rows]))
    return float((states[0] - states[1]).square().sum(dim=1).mean())


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_distilled_rows_come_closer_than_weighted_ones(kind: str, grown, monkeypatch) -> None:
    tokenizer, plan = grown
    steps = iter(range(1, 10_000))
    # A clock of steps, so that the result does not depend on how busy the machine is.
    monkeypatch.setattr("tei.torch.distill.time", SimpleNamespace(perf_counter=lambda: next(steps)))
    original, weighted, distilled = (make(kind, tokenizer.vocab_size) for _ in range(3))
    apply(plan, weighted)
    before = [p.requires_grad for p in distilled.parameters()], distilled.train().training, snapshot(distilled)
    init = Distilled(distilled, tokenizer, TEXTS, seconds=60, learning_rate=0.03)
    archive = apply(plan, distilled, init=init)
    new = tokenizer.apply(plan)
    errors = [difference(original, model, tokenizer, new) for model in (weighted, distilled)]
    assert errors[1] < 0.7 * errors[0]
    apply(plan.inverse(), distilled.train(), archive=archive)
    assert_same(snapshot(distilled), before[2])
    assert ([p.requires_grad for p in distilled.parameters()], distilled.training) == before[:2]


def test_what_is_refused(grown) -> None:
    tokenizer, plan = grown
    with pytest.raises(UnsupportedError, match="BagOfTokens is not a transformers model"):
        Distilled(BagOfTokens(9, 2), tokenizer, TEXTS)
    model = make("bert", tokenizer.vocab_size)
    before = snapshot(model)
    with pytest.raises(InvalidInputError, match="no text holds a new token"):
        apply(plan, model, init=Distilled(model, tokenizer, ["a", "i"]))
    assert_same(snapshot(model), before)
