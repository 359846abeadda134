"""What `apply` refuses, and that a refusal or a failure leaves everything as it was."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from models import TOKENS, assert_same, build, snapshot, train
from plans import plan_between
from tei.errors import InvalidInputError, MismatchError, TeiError, UnsupportedError
from tei.plan import ResizePlan
from tei.torch import Archive, apply
from tei.torch.embedding import vocabulary_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def shrink(tokens: list[str] = TOKENS) -> ResizePlan:
    return plan_between(tokens, tokens[:20], 1)


class EightBit(torch.optim.AdamW):
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        super().step(closure)
        for state in self.state.values():
            state["absmax1"] = torch.zeros(3)


def refused_optimizer(model: nn.Module, kind: Callable[..., Optimizer]) -> Optimizer:
    optimizer = kind(model.parameters(), lr=1e-3)
    train(model, optimizer)
    return optimizer


@pytest.mark.parametrize(
    ("name", "call", "error", "words"),
    [
        ("bert", lambda m: apply(shrink([*TOKENS, "x"]), m), MismatchError, "has 40 rows but .* 41 tokens"),
        (
            "llama",
            lambda m: apply(plan_between(TOKENS, TOKENS[3:], 1), m),
            MismatchError,
            "'.PAD.', which the plan drops",
        ),
        ("roberta", lambda m: apply(plan_between(TOKENS, TOKENS[1:], 1), m), MismatchError, "positions are counted"),
        (
            "bert-mlm",
            lambda m: apply(shrink(), m, refused_optimizer(m, EightBit)),
            UnsupportedError,
            r"EightBit keeps 'absmax1' of shape \(3,\)",
        ),
        (
            "bert-mlm",
            lambda m: apply(shrink(), m, refused_optimizer(m, torch.optim.Rprop)),
            UnsupportedError,
            "Rprop keeps 'prev'",
        ),
        (
            "bert",
            lambda m: apply(shrink(), m, torch.optim.SGD([nn.Parameter(torch.ones(1))])),
            MismatchError,
            "trains no",
        ),
        ("bert", lambda m: apply(shrink(), nn.DataParallel(m)), UnsupportedError, "parallel"),
        ("bert", lambda _: apply(shrink(), nn.Linear(2, 2)), UnsupportedError, "no torch.nn.Embedding"),
        ("bert", lambda m: apply(shrink(), m.to("meta")), UnsupportedError, "without data"),
        ("bert", lambda m: apply(plan_between(TOKENS, [*TOKENS, "x"], 1), m, init="best"), InvalidInputError, "'best'"),
        (
            "bert",
            lambda m: apply(plan_between(TOKENS, [*TOKENS, "x"], 1), m, init=lambda _, w: w[:2]),
            InvalidInputError,
            r"shape \(2, 16\), expected \(1, 16\)",
        ),
        (
            "bert",
            lambda m: apply(plan_between(TOKENS, [*TOKENS, "x"], 1), m, init=lambda _, w: w[:1] / 0),
            InvalidInputError,
            "not finite",
        ),
        ("bert", lambda m: apply(shrink(), m, copies=[build("bert", 30)]), MismatchError, "30 rows"),
        ("bert", lambda m: apply(shrink(), m, copies=[build("bert", 41)]), MismatchError, "41 rows"),
        (
            "bert",
            lambda m: apply(shrink(), m, archive=apply(shrink(), build("gpt2"))),
            MismatchError,
            "the archive holds nothing for",
        ),
    ],
)
def test_refused_and_untouched(
    name: str, call: Callable[[nn.Module], Archive], error: type[TeiError], words: str
) -> None:
    model = build(name)
    before = snapshot(model)
    with pytest.raises(error, match=words):
        call(model)
    if not any(p.is_meta for p in model.parameters()) and error is not UnsupportedError:
        assert_same(snapshot(model), before)


def test_a_failure_in_the_middle_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last assignment fails, after rows and state were swapped: all of it is undone."""
    model = build("bert-mlm")
    optimizer = torch.optim.AdamW(model.parameters())
    train(model, optimizer)
    before = snapshot(model, optimizer)
    gradients = [p.grad for p in model.parameters()]
    kind = type(model.config)
    original = kind.__setattr__

    def fail(self: object, name: str, value: object) -> None:
        if name == "vocab_size" and value == 20:
            raise RuntimeError("no")
        original(self, name, value)

    monkeypatch.setattr(kind, "__setattr__", fail)
    with pytest.raises(RuntimeError, match="no"):
        apply(shrink(), model, optimizer)
    monkeypatch.undo()
    assert_same(snapshot(model, optimizer), before)
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))


@pytest.mark.parametrize(("name", "value"), [("bert-mlm", torch.nan), ("llama", torch.inf), ("plain", torch.nan)])
def test_rows_that_are_no_numbers_are_refused(name: str, value: float) -> None:
    model = build(name)
    with torch.no_grad():
        vocabulary_tensors(model, None, len(TOKENS))[-1 if name == "llama" else 0].rows[6, 3] = value
    before = snapshot(model)
    with pytest.raises(InvalidInputError, match="has 1 rows that are not finite, the first 6 of 't1'"):
        apply(shrink(), model)
    assert_same(snapshot(model), before)


@pytest.mark.parametrize("name", ["bert-mlm", "t5", "gpt2"])
def test_ties_broken_by_hand_are_refused(name: str) -> None:
    model = build(name)
    head = model.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.detach().clone())
    with pytest.raises(MismatchError, match=r"is no longer tied to '.*call model.tie_weights"):
        apply(shrink(), model)
    model.config.tie_word_embeddings = False
    apply(shrink(), model)
    assert len(head.weight) == len(model.get_input_embeddings().weight) == 20


def test_an_adapter_on_the_head_is_refused() -> None:
    model = build("llama")
    head = model.lm_head
    model.lm_head = nn.Sequential()
    model.lm_head.base_layer = head
    with pytest.raises(UnsupportedError, match="an adapter is on Linear of the head"):
        apply(shrink(), model)
