"""How much of a model's behaviour a change of vocabulary preserves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from tei.errors import EmptySourceError
from tei.torch.data import AnyTokenizer

__all__ = ["Fidelity", "body", "embed", "fidelity"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """Two models compared on the same texts.

    Attributes:
        cosine: Mean cosine between the two models' vectors of a text; 1 if nothing changed.
        spearman: Rank correlation of the similarities of all pairs of texts; NaN for fewer than three texts.
        tokens_before: Mean number of tokens a text with the old tokenizer, special ones not counted.
        tokens_after: The same with the new one.
    """

    cosine: float
    spearman: float
    tokens_before: float
    tokens_after: float


def fidelity(
    old_model: nn.Module,
    new_model: nn.Module,
    old_tok: AnyTokenizer,
    new_tok: AnyTokenizer,
    texts: Sequence[str],
    *,
    max_length: int = 256,
    batch_size: int = 32,
) -> Fidelity:
    """Compares the sentence embeddings of two models that may have different vocabularies.

    Args:
        old_model: The original.
        new_model: The adapted one, with the same hidden size.
        old_tok: The original's tokenizer.
        new_tok: The adapted one's tokenizer.
        texts: Texts, best ones that were not adapted to.
        max_length: Longer texts are cut to this many tokens.
        batch_size: Texts a batch.

    Raises:
        EmptySourceError: There is no text.
    """
    options = {"max_length": max_length, "batch_size": batch_size}
    old = embed(old_model, old_tok, texts, **options)
    new = embed(new_model, new_tok, texts, **options)
    upper = np.triu_indices(len(texts), 1)
    pairs = (old @ old.T)[upper], (new @ new.T)[upper]
    lengths = [_mean_length(tokenizer, texts) for tokenizer in (old_tok, new_tok)]
    return Fidelity(float((old * new).sum(axis=1).mean()), spearman(*pairs), *lengths)


def embed(
    model: nn.Module, tokenizer: AnyTokenizer, texts: Sequence[str], *, max_length: int = 256, batch_size: int = 32
) -> FloatArray:
    """Unit vectors of texts: the mean of the last hidden states of a text's tokens, or logits if a model has no others.

    Args:
        model: A transformers model, whose heads are left out, or one that returns logits, such as `BagOfTokens`.
        tokenizer: Its tokenizer.
        texts: The texts.
        max_length: Longer texts are cut to this many tokens.
        batch_size: Texts a batch; texts of similar length share one.

    Returns:
        float64 `[texts, hidden size]`, each row of length 1.

    Raises:
        EmptySourceError: There is no text.
    """
    if not len(texts):
        raise EmptySourceError("there is no text to embed; give at least one")
    limit = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    # RoBERTa's positions begin after its padding id, so two places are left free.
    length = min(max_length, limit - 2) if isinstance(limit, int) and limit > 2 else max_length
    rows = tokenizer(list(texts), truncation=True, max_length=length)["input_ids"]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    parts = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    vectors = np.concatenate([_vectors(model, [rows[i] for i in part]) for part in parts])[np.argsort(order)]
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def spearman(one: FloatArray, two: FloatArray) -> float:
    """Spearman's rank correlation; equal values share their mean rank, NaN if it is not defined.

    Example:
        >>> round(spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 4, 9, 2])), 6)
        0.4
    """
    if len(one) < 2:
        return float("nan")
    first, second = _ranks(one), _ranks(two)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[group], dtype=np.float64)


@torch.no_grad()
def _vectors(model: nn.Module, rows: list[list[int]]) -> FloatArray:
    device = next(model.parameters()).device
    width = max(map(len, rows)) or 1
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[i, : len(row)] = 1
    training = model.training
    model.eval()
    try:
        vectors = _pooled(model, ids.to(device), mask.to(device))
    finally:
        model.train(training)
    return vectors.double().cpu().numpy()


def _pooled(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    result: Any = body(model)(input_ids=ids, attention_mask=mask)
    hidden = getattr(result, "last_hidden_state", None)
    if hidden is None:
        logits: Tensor = result.logits
        if logits.dim() == 2:
            return logits
        hidden = logits
    share = mask.to(hidden.dtype)[:, :, None]
    pooled: Tensor = (hidden * share).sum(dim=1) / share.sum(dim=1).clamp(min=1)
    return pooled


def body(model: nn.Module) -> nn.Module:
    """The model without its heads; of an encoder-decoder only the encoder, which reads the text."""
    if not isinstance(model, PreTrainedModel):
        return model
    inner: nn.Module = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
    return inner


def _mean_length(tokenizer: AnyTokenizer, texts: Sequence[str]) -> float:
    return float(np.mean([len(row) for row in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]))
