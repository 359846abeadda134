"""Rows trained on their own: the others keep their bits, the model says the same, adapters train beside."""

import copy

import pytest
import torch
from torch import nn

from models import IDS, MODELS, TOKENS, assert_same, build, loss, output, snapshot, train
from plans import plan_between
from tei.errors import InvalidInputError, UnsupportedError
from tei.torch import BagOfTokens, TrainableRows, apply
from tei.torch.embedding import vocabulary_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [11, 39, 7]


def tables(model: nn.Module) -> dict[str, torch.Tensor]:
    return {item.name: item.rows.clone() for item in vocabulary_tensors(model, None, len(TOKENS))}


def resized(model: nn.Module) -> set[str]:
    """Every name of a tensor with a row per token."""
    ours = {id(item.tensor) for item in vocabulary_tensors(model, None, len(TOKENS))}
    return {name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in ours}


@pytest.mark.parametrize("name", MODELS)
def test_steps_move_these_rows_and_no_bit_beside(name: str) -> None:
    model = build(name, len(TOKENS) + 3)
    loss(model, IDS)
    plain, said, before = snapshot(model), output(model, IDS), tables(model)
    trainable = {n: p.requires_grad for n, p in model.named_parameters()}
    rows = TrainableRows(model, ROWS)
    torch.testing.assert_close(output(model, IDS), said, rtol=0, atol=1e-6)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.5)
    train(model, optimizer, steps=30)
    trained = output(model, IDS)
    assert not torch.equal(trained, said)
    rows.merge()
    torch.testing.assert_close(output(model, IDS), trained, rtol=0, atol=1e-6)
    with pytest.raises(InvalidInputError, match="merged already"):
        rows.merge()
    used = {item.name for item in rows._found}
    others = [i for i in range(len(TOKENS) + 3) if i not in ROWS]
    for item, after in tables(model).items():
        assert torch.equal(after[others], before[item][others])
        assert torch.equal(after[ROWS], before[item][ROWS]) == (item not in used)
    assert_same(*({k: v for k, v in state.items() if k not in resized(model)} for state in (snapshot(model), plain)))
    assert {n: p.requires_grad for n, p in model.named_parameters()} == trainable


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_the_whole_matrix(name: str) -> None:
    """Row for row, what autograd gives for the matrix is what the small parameters get: tied, untied, bias."""
    model = build(name)
    loss(model, IDS).backward()
    found = vocabulary_tensors(model, None, len(TOKENS))
    expected = {item.name: item.tensor.grad for item in found if item.tensor.grad is not None}
    rows = TrainableRows(model, ROWS)
    loss(model, IDS).backward()
    for item, value in zip(rows._found, rows._values, strict=True):
        torch.testing.assert_close(value.grad, expected.pop(item.name)[ROWS], rtol=1e-5, atol=1e-7)
    assert not expected
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_the_body_may_train_beside_and_an_old_optimizer_cannot_move_the_matrix() -> None:
    model = build("bert-mlm")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.5)
    train(model, optimizer)
    loss(model, IDS).backward()
    before, body = tables(model), model.bert.encoder.layer[0].output.dense.weight.detach().clone()
    rows = TrainableRows(model, ROWS, freeze="vocabulary")
    optimizer.add_param_group({"params": list(rows.parameters())})
    train(model, optimizer, steps=5)
    assert not torch.equal(body, model.bert.encoder.layer[0].output.dense.weight)
    rows.merge()
    others = [i for i in range(len(TOKENS)) if i not in ROWS]
    assert all(torch.equal(after[others], before[name][others]) for name, after in tables(model).items())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_beside_lora() -> None:
    peft = pytest.importorskip("peft")
    model = build("llama")
    plan = plan_between(TOKENS, [*TOKENS, "x", "y"], 0)
    apply(plan, model)
    before = snapshot(model)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    adapted.enable_input_require_grads()
    rows = TrainableRows(adapted, plan.added, freeze="vocabulary")
    ids = torch.tensor([[2, 7, 40, 41, 3]])
    train(adapted, torch.optim.AdamW(adapted.parameters(), lr=1e-2, weight_decay=0.5), ids, steps=3)
    assert any("lora_B" in name and p.any() for name, p in adapted.named_parameters())
    rows.merge()
    merged = adapted.unload()
    after = snapshot(merged)
    for name, tensor in before.items():
        if isinstance(tensor, torch.Tensor) and len(tensor) == 42:
            assert torch.equal(after[name][:40], tensor[:40])
            assert not torch.equal(after[name][40:], tensor[40:])
            after[name] = tensor
    assert_same(after, before)


def test_a_batch_without_new_tokens_has_a_gradient_of_zero() -> None:
    model = build("bert")
    rows = TrainableRows(model, [38])
    loss(model, IDS).backward()
    assert [p.grad.any().item() for p in rows.parameters()] == [False]


def test_rows_are_saved_and_loaded_alone() -> None:
    model, other = build("llama"), build("llama")
    rows, fresh = (TrainableRows(m, ROWS) for m in (model, other))
    train(model, torch.optim.SGD(rows.parameters(), lr=0.1))
    assert sum(tensor.numel() for tensor in rows.state_dict().values()) == 2 * 3 * 16
    fresh.load_state_dict(rows.state_dict())
    assert torch.equal(output(other, IDS), output(model, IDS))


def test_copies_train_on_their_own() -> None:
    model = build("bert-mlm")
    TrainableRows(model, ROWS)
    said, twin = output(model, IDS), copy.deepcopy(model)
    train(twin, torch.optim.SGD(twin.parameters(), lr=0.5))
    assert torch.equal(output(model, IDS), said)
    assert not torch.equal(output(twin, IDS), said)


def test_scaled_embeddings() -> None:
    model = build("bart")
    model.model.encoder.embed_tokens.embed_scale = model.model.decoder.embed_tokens.embed_scale = 3.0
    said = output(model, IDS)
    TrainableRows(model, ROWS)
    torch.testing.assert_close(output(model, IDS), said, rtol=0, atol=1e-6)


def test_autocast() -> None:
    model = build("bert-mlm")
    TrainableRows(model, ROWS)
    with torch.autocast("cpu", torch.bfloat16):
        loss(model, IDS).backward()


@pytest.mark.parametrize(
    ("rows", "words"),
    [([], "holds 0 ids"), ([3, 3], "2 ids from 3 to 3"), ([40], "from 40 to 40.*0 to 39"), ([-1], "from -1 to -1")],
)
def test_bad_rows_change_nothing(rows: list[int], words: str) -> None:
    model = build("bert-mlm")
    before = snapshot(model)
    with pytest.raises(InvalidInputError, match=words):
        TrainableRows(model, rows)
    assert_same(snapshot(model), before)
    assert all(p.requires_grad for p in model.parameters())


def test_what_is_refused() -> None:
    model = build("bert")
    with pytest.raises(InvalidInputError, match="freeze is 'all'"):
        TrainableRows(model, ROWS, freeze="all")
    rows = TrainableRows(model, ROWS)
    with pytest.raises(InvalidInputError, match="merge\\(\\) them first"):
        TrainableRows(model, ROWS)
    with pytest.raises(InvalidInputError, match="merge\\(\\) them first"):
        apply(plan_between(TOKENS, TOKENS[:20], 1), model)
    rows.merge()
    TrainableRows(model, ROWS).merge()
    with pytest.raises(UnsupportedError, match="an EmbeddingBag"):
        TrainableRows(BagOfTokens(9, 2), [1])
    with pytest.raises(UnsupportedError, match="max_norm"):
        TrainableRows(nn.Embedding(9, 2, max_norm=1.0), [1])
