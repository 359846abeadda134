"""Where a model keeps one row per token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from transformers import PreTrainedModel

from tei.errors import InvalidInputError, MismatchError, UnsupportedError

__all__ = ["VocabularyTensor", "row_modules", "vocabulary_tensors"]

Table = nn.Embedding | nn.EmbeddingBag
Role = Literal["embedding", "head", "bias"]


@dataclass(frozen=True, eq=False)
class VocabularyTensor:
    """A parameter or buffer with one row (or entry) per token.

    Attributes:
        name: Its first name in the model.
        tensor: The very object the model holds; its data are swapped, the object stays.
        axis: The dimension that counts tokens: 0, or 1 for a bias of shape `[1, rows]`.
        role: `embedding` (also a tied head), untied `head`, or `bias`.
    """

    name: str
    tensor: Tensor
    axis: int
    role: Role

    @property
    def rows(self) -> Tensor:
        """The data with tokens as the first dimension, `[rows, …]`."""
        return self.tensor.detach().movedim(self.axis, 0)


def vocabulary_tensors(model: nn.Module, modules: Sequence[str] | None, tokens: int) -> list[VocabularyTensor]:
    """Finds every tensor of `model` that has one row per token.

    In a transformers model these are the input embeddings, the output embeddings and the head's biases, of the model
    and of the models inside it, tied or not. In any other module they are the embedding and the linear layer that have
    `tokens` rows, and what is tied to them.

    Args:
        model: The model.
        modules: Names of embedding and linear modules to use instead of searching; tied ones are still found.
        tokens: Number of tokens before the change.

    Returns:
        Each tensor once, embeddings first.

    Raises:
        MismatchError: The model has fewer rows than tokens, several candidates, or broken ties.
        UnsupportedError: No embedding, or one of a kind whose rows cannot be moved.
    """
    embeddings, heads = _named_modules(model, modules) if modules is not None else _search(model, tokens)
    if not embeddings:
        raise UnsupportedError("the model has no torch.nn.Embedding for its tokens; name one with modules=[...]")
    _check_ties(model)
    names = _tensor_names(model)
    found: dict[int, VocabularyTensor] = {}
    for table in embeddings:
        _add(found, names, table.weight, "embedding")
    for head in heads:
        _add(found, names, head.weight, "head")
    for bias, axis in _biases(model, heads, embeddings[0].num_embeddings):
        _add(found, names, bias, "bias", axis)
    _check_rows(list(found.values()), tokens)
    return list(found.values())


def row_modules(model: nn.Module, tensors: Sequence[VocabularyTensor]) -> Iterator[nn.Module]:
    """The embedding and linear modules that use one of `tensors` as weight, tied ones included."""
    ours = {id(found.tensor) for found in tensors}
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag | nn.Linear) and id(module.weight) in ours:
            yield module


def _search(model: nn.Module, tokens: int) -> tuple[list[Table], list[nn.Linear]]:
    models = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    return _search_pretrained(models) if models else _search_plain(model, tokens)


def _search_pretrained(models: list[PreTrainedModel]) -> tuple[list[Table], list[nn.Linear]]:
    first = _get(models[0], "get_input_embeddings")
    if not isinstance(first, nn.Embedding):
        kind, owner = type(first).__name__, type(models[0]).__name__
        raise UnsupportedError(f"the input embedding of {owner} is a {kind}, not a torch.nn.Embedding")
    rows = first.num_embeddings
    inputs = [_get(model, "get_input_embeddings") for model in models]
    outputs = [_get(model, "get_output_embeddings") for model in models]
    # A model inside with another number of rows has a vocabulary of its own, which the plan does not speak of.
    return (
        [module for module in inputs if isinstance(module, nn.Embedding) and module.num_embeddings == rows],
        [module for module in map(_bare, outputs) if isinstance(module, nn.Linear) and module.out_features == rows],
    )


def _bare(module: nn.Module | None) -> nn.Module | None:
    """The layer inside an adapter such as PEFT's, which keeps matrices of the vocabulary's size beside it."""
    if isinstance(inner := getattr(module, "base_layer", None), nn.Module):
        raise UnsupportedError(f"an adapter is on {type(inner).__name__} of the head; merge it or leave the head out")
    return module


def _get(model: PreTrainedModel, method: str) -> nn.Module | None:
    try:
        module: nn.Module | None = getattr(model, method)()
    except (NotImplementedError, AttributeError):
        return None
    return module


def _search_plain(model: nn.Module, tokens: int) -> tuple[list[Table], list[nn.Linear]]:
    tables = {id(m.weight): m for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    exact = [m for m in tables.values() if m.num_embeddings == tokens]
    embeddings = exact or list(tables.values())
    linear = {id(m.weight): m for m in model.modules() if isinstance(m, nn.Linear)}
    rows = embeddings[0].num_embeddings if embeddings else 0
    heads = [m for m in linear.values() if m.out_features == rows]
    for kind, count in (("embeddings", len(embeddings)), ("linear layers", len(heads))):
        if count > 1:
            raise MismatchError(f"{count} {kind} of the model may hold the tokens; name them with modules=[...]")
    return embeddings, heads


def _named_modules(model: nn.Module, names: Sequence[str]) -> tuple[list[Table], list[nn.Linear]]:
    named = dict(model.named_modules())
    for name in names:
        if not isinstance(named.get(name), nn.Embedding | nn.EmbeddingBag | nn.Linear):
            raise InvalidInputError(f"{name!r} is not an embedding or linear module of the model")
    chosen = [named[name] for name in names]
    tables = [module for module in chosen if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    return tables, [module for module in chosen if isinstance(module, nn.Linear)]


def _biases(model: nn.Module, heads: list[nn.Linear], rows: int) -> Iterator[tuple[Tensor, int]]:
    """Biases of the heads, and those that a module around a head keeps itself, as BERT and BART do."""
    ours = {id(head) for head in heads}
    for module in model.modules():
        if not any(id(inner) in ours for inner in module.modules()):
            continue
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if tensor.shape == (rows,):
                yield tensor, 0
            elif tensor.shape == (1, rows) and id(module) not in ours:
                yield tensor, 1


def _tensor_names(model: nn.Module) -> dict[int, str]:
    names: dict[int, str] = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        names.setdefault(id(tensor), name)
    return names


def _add(found: dict[int, VocabularyTensor], names: dict[int, str], tensor: object, role: Role, axis: int = 0) -> None:
    if id(tensor) in found:
        return
    name = names.get(id(tensor))
    if name is None or not isinstance(tensor, Tensor):
        raise UnsupportedError("an embedding's weight is computed, not stored; remove its parametrization first")
    if type(tensor.data) is not Tensor or not tensor.is_floating_point() or tensor.is_meta:
        raise UnsupportedError(f"{name!r} is quantized, sharded or without data; load it whole in a float type first")
    found[id(tensor)] = VocabularyTensor(name, tensor, axis, role)


def _check_ties(model: nn.Module) -> None:
    """Refuses weights that the configuration calls one, but that are two: a saved model would lose one of them."""
    expand = getattr(model, "get_expanded_tied_weights_keys", None)
    tensors = dict(model.state_dict(keep_vars=True)) if expand else {}
    for name, other in expand(all_submodels=True).items() if expand else ():
        if name in tensors and other in tensors and tensors[name] is not tensors[other]:
            raise MismatchError(
                f"{name!r} is no longer tied to {other!r}, as the configuration says; call model.tie_weights(), or set "
                "config.tie_word_embeddings to False"
            )


def _check_rows(found: list[VocabularyTensor], tokens: int) -> None:
    rows = len(found[0].rows)
    for other in found:
        if len(other.rows) != rows:
            raise MismatchError(f"{found[0].name!r} has {rows} rows but {other.name!r} has {len(other.rows)}")
    if rows < tokens:
        raise MismatchError(
            f"{found[0].name!r} has {rows} rows but the plan's source has {tokens} tokens; "
            "model and tokenizer do not belong together"
        )
