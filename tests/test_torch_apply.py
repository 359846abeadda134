"""Resize plans on models: every kind of head, optimizer, the way back, and what is refused."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import AutoModelForMaskedLM, BertForMaskedLM, EncoderDecoderModel
from transformers.optimization import Adafactor as TransformersAdafactor

from models import IDS, MODELS, SPECIAL, TOKENS, Plain, assert_same, bert, build, loss, output, snapshot, train
from plans import plan_between, random_plan
from tei.errors import FileFormatError, InvalidInputError, MismatchError
from tei.plan import ResizePlan
from tei.torch import Archive, apply
from tei.torch.embedding import vocabulary_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9),
    "plain-sgd": lambda p: torch.optim.SGD(p, lr=1e-2),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=1e-2),
    "adafactor-hf": lambda p: TransformersAdafactor(p, lr=1e-2, relative_step=False, scale_parameter=False),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.5),
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "nadam": torch.optim.NAdam,
}


def move(plan: ResizePlan, ids: Tensor) -> Tensor:
    moved = torch.from_numpy(plan.id_map.copy()).long()[ids]
    assert (moved >= 0).all()
    return moved


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("excess", [0, 8])
def test_there_and_back_is_exact(name: str, excess: int) -> None:
    """The output on kept tokens stays, training goes on, and the inverse restores every bit."""
    model = build(name, len(TOKENS) + excess)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    train(model, optimizer)
    plan = plan_between(TOKENS, [t for i, t in enumerate(TOKENS) if i not in (6, 20, 38)] + ["x", "y"], 5)
    before, said, parameters = snapshot(model, optimizer), output(model, IDS), list(map(id, model.parameters()))
    archive = apply(plan, model, optimizer)
    assert list(map(id, model.parameters())) == parameters
    said_after = output(model, move(plan, IDS))
    kept = plan.kept
    if said.shape[-1] == len(TOKENS) + excess:
        said, said_after = said[..., kept[0].tolist()], said_after[..., kept[1].tolist()]
    torch.testing.assert_close(said_after, said, rtol=0, atol=1e-5)
    back = apply(plan.inverse(), model, optimizer, archive=archive)
    assert_same(snapshot(model, optimizer), before)
    apply(plan, model, optimizer, archive=back)
    train(model, optimizer, move(plan, IDS))
    for tensor in model.state_dict().values():
        assert torch.isfinite(tensor).all()


@pytest.mark.parametrize("name", ["bert-mlm", "llama", "bart", "plain"])
@pytest.mark.parametrize("seed", range(6))
def test_random_chains_of_plans_are_undone(name: str, seed: int) -> None:
    model = build(name, seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    train(model, optimizer)
    done, tokens = [], list(TOKENS)
    for step in range(3):
        plan = random_plan(tokens, 100 * seed + step, keep=len(SPECIAL))
        done.append((plan, snapshot(model, optimizer), apply(plan, model, optimizer)))
        tokens = list(plan.target)
    for plan, before, archive in reversed(done):
        apply(plan.inverse(), model, optimizer, archive=archive)
        assert_same(snapshot(model, optimizer), before)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizer_state_moves_with_its_rows(kind: str) -> None:
    model = build("bert-mlm")
    optimizer = OPTIMIZERS[kind](model.parameters())
    train(model, optimizer)
    weight = model.get_input_embeddings().weight
    old = {key: value.clone() for key, value in optimizer.state[weight].items() if isinstance(value, Tensor)}
    before = snapshot(model, optimizer)
    plan = plan_between(TOKENS, [*TOKENS[:12], *TOKENS[20:], "x", "y"], 1)
    archive = apply(plan, model, optimizer)
    source, target = plan.kept
    for key, value in optimizer.state[weight].items():
        if key in old and old[key].dim() and len(old[key]) == len(TOKENS):
            assert torch.equal(value[target.tolist()], old[key][source.tolist()])
            assert not value[plan.added.ids.tolist()].any()
        elif key in old:
            assert torch.equal(value, old[key])
    apply(plan.inverse(), model, optimizer, archive=archive)
    assert_same(snapshot(model, optimizer), before)
    apply(plan, model, optimizer)
    train(model, optimizer, move(plan, IDS))
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_training_goes_on_as_if_nothing_happened() -> None:
    """Dropping tokens that are never seen changes no step of training for the others."""
    plain, resized = build("bert-classifier"), build("bert-classifier")
    plan = plan_between(TOKENS, [t for i, t in enumerate(TOKENS) if i < 5 or i in IDS.flatten().tolist()], 2)
    optimizers = [torch.optim.AdamW(m.parameters(), lr=1e-2) for m in (plain, resized)]
    for model, optimizer in zip((plain, resized), optimizers, strict=True):
        train(model, optimizer)
    apply(plan, resized, optimizers[1])
    train(plain, optimizers[0])
    train(resized, optimizers[1], move(plan, IDS))
    torch.testing.assert_close(output(resized, move(plan, IDS)), output(plain, IDS), rtol=0, atol=1e-6)


def slow_rows(plan: ResizePlan, rows: Tensor, kind: str) -> np.ndarray:
    table = rows.double().numpy()
    result = []
    for new in plan.added:
        pieces, weights = plan.added[new]
        share = {"weighted": weights, "mean": np.full(len(pieces), 1 / len(pieces)), "sum": np.ones(len(pieces))}[kind]
        result.append(sum(w * table[p] for w, p in zip(share, pieces, strict=True)))
    return np.array(result)


@pytest.mark.parametrize("kind", ["weighted", "mean", "sum"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_new_rows_follow_init(kind: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tei.torch.initial.BLOCK", 3)
    model = build("llama").to(dtype)
    plan = plan_between(TOKENS, [*TOKENS[:20], *"uvwxyz", "zz"], 3)
    table, head = (m.weight.detach().clone() for m in (model.get_input_embeddings(), model.get_output_embeddings()))
    apply(plan, model, init=kind)
    new = plan.added.ids.tolist()
    for module, old, how in (
        (model.get_input_embeddings(), table, kind),
        (model.get_output_embeddings(), head, "mean"),
    ):
        expected = torch.from_numpy(slow_rows(plan, old, how)).to(dtype)
        torch.testing.assert_close(module.weight.detach()[new], expected)


def test_rows_equal_the_plan_s_matrix() -> None:
    model = build("bert")
    plan = random_plan(TOKENS, 11, keep=5)
    old = model.get_input_embeddings().weight.detach().numpy().copy()
    apply(plan, model)
    np.testing.assert_allclose(model.get_input_embeddings().weight.detach().numpy(), plan.matrix().dot(old), atol=1e-6)


def test_init_by_function() -> None:
    model = build("bert")
    plan = plan_between(TOKENS, [*TOKENS, "x", "y"], 3)
    apply(plan, model, init=lambda plan, weight: torch.full((len(plan.added), weight.shape[1]), 0.5))
    assert (model.get_input_embeddings().weight[-2:] == 0.5).all()


def test_biases_of_every_form() -> None:
    """BERT keeps the head's bias beside the head, BART in a buffer of two dimensions."""
    plan = plan_between(TOKENS, [*TOKENS[:10], *TOKENS[30:], "x"], 4)
    size = len(plan.target)
    model = build("bert-mlm")
    apply(plan, model)
    assert model.cls.predictions.bias is model.cls.predictions.decoder.bias
    assert model.cls.predictions.decoder.weight is model.get_input_embeddings().weight
    assert model.cls.predictions.bias.shape == (size,)
    model = build("bart")
    apply(plan, model)
    assert model.final_logits_bias.shape == (1, size)
    assert model.lm_head.weight is model.model.encoder.embed_tokens.weight
    assert model.model.decoder.embed_tokens.num_embeddings == model.lm_head.out_features == size


def test_ids_and_sizes_follow() -> None:
    model = build("llama")
    model.generation_config.suppress_tokens = [7, 9]
    model.generation_config.eos_token_id = [3, 4]
    plan = plan_between(TOKENS, ["first", *TOKENS[:7], *TOKENS[8:30]], 4)
    before = snapshot(model)
    archive = apply(plan, model)
    assert model.config.vocab_size == len(plan.target) == model.vocab_size
    assert (model.config.pad_token_id, model.config.bos_token_id, model.config.eos_token_id) == (1, 3, 4)
    assert model.generation_config.eos_token_id == [4, 5]
    assert model.generation_config.suppress_tokens == [9]
    assert model.model.embed_tokens.padding_idx == 1
    assert model.generate(torch.tensor([[3, 8]]), max_new_tokens=2).shape[0] == 1
    model.generation_config.suppress_tokens = [7, 9]
    apply(plan.inverse(), model, archive=archive)
    model.generation_config.suppress_tokens = [7, 9]
    assert_same(snapshot(model), before)


def test_padding_to_a_multiple() -> None:
    model = build("llama")
    plan = plan_between(TOKENS, [*TOKENS[:30], "x"], 4)
    before = snapshot(model)
    archive = apply(plan, model, pad_to_multiple_of=16)
    assert model.config.vocab_size == 32
    assert not model.get_input_embeddings().weight[31:].any()
    apply(plan.inverse(), model, archive=archive)
    assert_same(snapshot(model), before)
    with pytest.raises(InvalidInputError, match="pad_to_multiple_of is 0"):
        apply(plan, model, pad_to_multiple_of=0)


def test_averaged_copies_follow() -> None:
    """An EMA copy moves as the model does, and averaging goes on."""
    model = build("bert-mlm")
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    train(model, optimizer)
    average.update_parameters(model)
    plan = plan_between(TOKENS, [*TOKENS[:12], *TOKENS[20:], "x", "y"], 1)
    before, alone = snapshot(average), copy.deepcopy(average.module)
    archive = apply(plan, model, optimizer, copies=[average])
    apply(plan, alone)
    assert_same(snapshot(average.module), snapshot(alone))
    after = average.module.get_input_embeddings().weight.detach().clone()
    average.update_parameters(model)
    assert torch.equal(
        average.module.get_input_embeddings().weight, after.lerp(model.get_input_embeddings().weight, 0.5)
    )
    average.module.load_state_dict(alone.state_dict())
    apply(plan.inverse(), model, optimizer, archive=archive, copies=[average])
    before["n_averaged"] += 1
    assert_same(snapshot(average), before)


@pytest.mark.parametrize("never", [-1e4, -65504.0, float("-inf")])
@pytest.mark.parametrize("name", ["plain", "bart", "distilbert"])
def test_biases_that_forbid_are_not_averaged(name: str, never: float) -> None:
    model = build(name)
    bias = next(i.rows for i in vocabulary_tensors(model, None, len(TOKENS)) if i.role == "bias").flatten()
    bias[[7, 8]] = torch.tensor([never, 2 * never])
    pieces = {"half": ([7, 9, 7], [0.4, 0.3, 0.3]), "none": ([7, 8], [0.5, 0.5]), "all": ([9, 10], [0.5, 0.5])}
    plan = ResizePlan.from_tokens(
        TOKENS, [*TOKENS, *pieces], added=pieces, dropped={}, source_fingerprint="a", target_fingerprint="b"
    )
    expected = torch.stack([bias[9], torch.tensor(never), bias[9:11].mean()])
    apply(plan, model)
    found = next(i.rows for i in vocabulary_tensors(model, None, len(TOKENS)) if i.role == "bias")
    torch.testing.assert_close(found.flatten()[-3:], expected)


def test_gradients_are_dropped_and_frozen_stays_frozen() -> None:
    model = build("bert-classifier")
    loss(model, IDS).backward()
    weight = model.get_input_embeddings().weight
    apply(random_plan(TOKENS, 1, keep=5), model)
    assert weight.grad is None
    assert weight.requires_grad
    weight.requires_grad_(False)
    apply(ResizePlan.identity([f"a{i}" for i in range(len(weight))], "f"), model)
    assert not weight.requires_grad


def test_a_token_that_returns_later_takes_its_archived_row() -> None:
    model = build("bert")
    row = model.get_input_embeddings().weight[9].detach().clone()
    first = plan_between(TOKENS, TOKENS[:9], 1)
    archive = apply(first, model)
    apply(plan_between(TOKENS[:9], [*TOKENS[:9], "other", TOKENS[9]], 2), model, archive=archive)
    assert torch.equal(model.get_input_embeddings().weight[10], row)


def test_saved_models_open_again(tmp_path: Path) -> None:
    model = build("bert-mlm")
    plan = random_plan(TOKENS, 8, keep=5)
    apply(plan, model)
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    ids = torch.arange(5)[None]
    assert torch.equal(again(ids).logits, model(ids).logits)


def test_archive_files(tmp_path: Path) -> None:
    model = build("bart", len(TOKENS) + 3)
    optimizer = torch.optim.AdamW(model.parameters())
    train(model, optimizer)
    before = snapshot(model, optimizer)
    plan = random_plan(TOKENS, 8, keep=5)
    apply(plan, model, optimizer).save(tmp_path / "a.safetensors")
    loaded = Archive.load(tmp_path / "a.safetensors")
    apply(plan.inverse(), model, optimizer, archive=loaded)
    assert_same(snapshot(model, optimizer), before)
    data = (tmp_path / "a.safetensors").read_bytes()
    generator = np.random.default_rng(0)
    for bit in generator.integers(0, len(data) * 8, 300):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / "b").write_bytes(changed)
        with pytest.raises(FileFormatError):
            Archive.load(tmp_path / "b")
    (tmp_path / "b").write_bytes(data[:-7])
    with pytest.raises(FileFormatError, match="cannot read archive"):
        Archive.load(tmp_path / "b")
    with pytest.raises(FileFormatError, match="cannot read archive"):
        Archive.load(tmp_path / "none")


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(TOKENS), 4)
        self.places = nn.Embedding(len(TOKENS), 4)


def test_plain_modules_may_need_names() -> None:
    plan = random_plan(TOKENS, 3, keep=5)
    model = Two()
    with pytest.raises(MismatchError, match="2 embeddings of the model may hold"):
        apply(plan, model)
    with pytest.raises(InvalidInputError, match="'word' is not an embedding"):
        apply(plan, model, modules=["word"])
    apply(plan, model, modules=["words"])
    assert model.words.num_embeddings == len(plan.target)
    assert model.places.num_embeddings == len(TOKENS)


def test_plain_module_with_a_tied_head() -> None:
    model = Plain(len(TOKENS))
    model.head.weight = model.table.weight
    plan = random_plan(TOKENS, 3, keep=5)
    archive = apply(plan, model)
    assert model.head.weight is model.table.weight
    assert model.head.out_features == len(model.head.bias) == len(plan.target)
    assert set(archive.tensors) == {"table.weight", "head.bias"}


def test_a_module_around_a_model() -> None:
    model = nn.Sequential(build("bert"))
    plan = random_plan(TOKENS, 3, keep=5)
    apply(plan, model)
    assert model[0].config.vocab_size == len(plan.target)


def test_a_second_vocabulary_stays() -> None:
    decoder = bert(BertForMaskedLM, 99, is_decoder=True, add_cross_attention=True)
    model = EncoderDecoderModel(encoder=build("bert"), decoder=decoder)
    plan = random_plan(TOKENS, 3, keep=5)
    apply(plan, model)
    assert model.encoder.config.vocab_size == len(plan.target)
    assert model.decoder.config.vocab_size == model.decoder.get_input_embeddings().num_embeddings == 99
