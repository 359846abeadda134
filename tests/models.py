"""Tiny random transformers models and the text they read, shared by the tests of `tei.torch`."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENS = SPECIAL + [f"t{i}" for i in range(35)]
IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 30, 8, 39, 3]])
ROLES = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}


def bert(kind: type[PreTrainedModel], rows: int, **more: object) -> PreTrainedModel:
    return kind(BertConfig(vocab_size=rows, max_position_embeddings=32, pad_token_id=0, **SMALL, **more))


def distilbert(rows: int) -> PreTrainedModel:
    config = DistilBertConfig(vocab_size=rows, dim=16, n_layers=1, n_heads=2, hidden_dim=24, max_position_embeddings=32)
    return DistilBertForMaskedLM(config)


def llama(rows: int) -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=rows, num_key_value_heads=2, **SMALL, **ROLES, tie_word_embeddings=False)
    )


def t5(rows: int) -> PreTrainedModel:
    config = T5Config(vocab_size=rows, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, decoder_start_token_id=0)
    config.pad_token_id, config.eos_token_id = 0, 3
    return T5ForConditionalGeneration(config)


def bart(rows: int) -> PreTrainedModel:
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    more = {"forced_eos_token_id": 3, "decoder_start_token_id": 3, "max_position_embeddings": 32}
    return BartForConditionalGeneration(
        BartConfig(vocab_size=rows, d_model=16, encoder_ffn_dim=24, decoder_ffn_dim=24, **sizes, **more, **ROLES)
    )


class Plain(nn.Module):
    """A model of no framework: embedding, untied head with bias."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, 8, padding_idx=0)
        self.inner = nn.Linear(8, 8)
        self.head = nn.Linear(8, rows)

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head(torch.tanh(self.inner(self.table(input_ids))))
        return {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


MODELS: dict[str, Callable[[int], nn.Module]] = {
    "bert": lambda rows: bert(BertModel, rows),
    "bert-mlm": lambda rows: bert(BertForMaskedLM, rows),
    "bert-mlm-untied": lambda rows: bert(BertForMaskedLM, rows, tie_word_embeddings=False),
    "bert-classifier": lambda rows: bert(BertForSequenceClassification, rows, num_labels=3),
    "distilbert": distilbert,
    "roberta": lambda rows: RobertaForMaskedLM(
        RobertaConfig(vocab_size=rows, max_position_embeddings=40, **SMALL, **{**ROLES, "pad_token_id": 1})
    ),
    "gpt2": lambda rows: GPT2LMHeadModel(
        GPT2Config(vocab_size=rows, n_embd=16, n_layer=1, n_head=2, n_positions=32, **ROLES)
    ),
    "t5": t5,
    "bart": bart,
    "llama": llama,
    "plain": Plain,
}


def build(name: str, rows: int = len(TOKENS), seed: int = 0) -> nn.Module:
    """A model with random weights, biases among them, that gives the same output twice."""
    torch.manual_seed(seed)
    model = MODELS[name](rows).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        for buffer in model.buffers():
            if buffer.shape == (1, rows) and buffer.is_floating_point():
                buffer.add_(torch.randn_like(buffer))
    return model


def loss(model: nn.Module, ids: Tensor) -> Tensor:
    """Some loss of the model on token ids, for any of the models above."""
    name = type(model).__name__
    if "Classification" in name:
        return model(input_ids=ids, labels=torch.zeros(len(ids), dtype=torch.long)).loss
    if name == "BertModel":
        return model(input_ids=ids).last_hidden_state.square().mean()
    result = model(input_ids=ids, labels=ids)
    return result["loss"]


def output(model: nn.Module, ids: Tensor) -> Tensor:
    """What the model says about token ids: logits, or hidden states if it has none."""
    with torch.no_grad():
        if type(model).__name__ == "Plain":
            return model(ids, ids)["logits"]
        extra = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
        result = model(input_ids=ids, **extra)
    return result.logits if "logits" in result else result.last_hidden_state


def snapshot(model: nn.Module, optimizer: Optimizer | None = None) -> dict[str, object]:
    """Everything a vocabulary change may touch, copied."""
    state: dict[str, object] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, module in model.named_modules():
        for key in ("num_embeddings", "out_features", "padding_idx"):
            if hasattr(module, key):
                state[f"{name}.{key}"] = getattr(module, key)
        for key in ("config", "generation_config"):
            if getattr(module, key, None) is not None:
                state[f"{name}.{key}"] = getattr(module, key).to_dict()
    for i, values in enumerate(optimizer.state.values() if optimizer else ()):
        state |= {f"{i}.{k}": v.clone() if isinstance(v, Tensor) else v for k, v in values.items()}
    return state


def assert_same(one: dict[str, object], two: dict[str, object]) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        other = two[name]
        if isinstance(value, Tensor):
            assert isinstance(other, Tensor)
            assert value.dtype == other.dtype, name
            assert value.shape == other.shape, name
            assert value.numpy().tobytes() == other.numpy().tobytes(), name
        else:
            assert value == other, name


def train(model: nn.Module, optimizer: Optimizer, ids: Tensor = IDS, steps: int = 2) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model, ids).backward()
        optimizer.step()
