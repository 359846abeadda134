"""New rows as small parameters of their own, beside a vocabulary that is frozen exactly."""

from collections.abc import Iterable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tei.errors import InvalidInputError, UnsupportedError
from tei.torch.embedding import VocabularyTensor, row_modules, vocabulary_tensors

__all__ = ["TrainableRows", "attached_rows"]


class TrainableRows(nn.Module):
    """Trains some rows of embedding and head only, in place; every other row keeps its bits, weight decay or not.

    The rows become parameters of their own, `[rows, d]` for the embedding (and a head tied to it), the same for an untied
    head, `[rows]` for its bias. They are part of the model, so that any optimizer over `model.parameters()` trains them.
    The matrices themselves take no gradient: no optimizer can move them, and a step costs nothing per vocabulary row.
    Nothing of the matrix is copied: where an id is one of the rows, the embedding's output is overwritten, and so are the
    rows' logits. Before the first step the model computes what it computed before.

    Adapters such as PEFT's are added first, then the rows, with `freeze="vocabulary"`. `state_dict` and
    `load_state_dict` of this object hold the rows alone.

    Args:
        model: A transformers model, a module around one, or any module with an embedding.
        rows: Ids of the rows, for example `plan.added` after `tei.torch.apply`.
        freeze: `model`: nothing else is trained; `vocabulary`: only the rows' neighbours are frozen, and whatever else
            was trainable (adapters, the body, a classifier) stays so.
        modules: Names of the modules with a row per token, if the search cannot decide.

    Attributes:
        ids: The rows' ids, int64 `[rows]`.

    Raises:
        InvalidInputError: No id, a repeated one, or one beyond the embedding; rows are attached already.
        UnsupportedError: An embedding that does more than to look rows up; no embedding.

    Example:
        >>> model = nn.Embedding.from_pretrained(torch.tensor([[0.0], [2.0], [4.0]]), freeze=False)
        >>> new = TrainableRows(model, rows=[2])
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, weight_decay=0.5)
        >>> model(torch.tensor([0, 1, 2])).sum().backward()
        >>> optimizer.step()
        >>> new.merge()
        >>> model.weight.flatten().tolist()
        [0.0, 2.0, 2.5]
    """

    ids: Tensor
    places: Tensor

    def __init__(
        self,
        model: nn.Module,
        rows: Iterable[int],
        *,
        freeze: Literal["model", "vocabulary"] = "model",
        modules: list[str] | None = None,
    ) -> None:
        super().__init__()
        if freeze not in ("model", "vocabulary"):
            raise InvalidInputError(f"freeze is {freeze!r}; expected 'model' or 'vocabulary'")
        if attached_rows(model) is not None:
            raise InvalidInputError("the model has trainable rows already; merge() them first")
        found = vocabulary_tensors(model, modules, 0)
        users = list(row_modules(model, found))
        for user in users:
            _check(user)
        used = {id(tensor) for user in users for tensor in (user.weight, getattr(user, "bias", None))}
        # Not submodules of ours: they are the model's.
        self._found, self._owner = tuple(item for item in found if id(item.tensor) in used), (users[0],)
        self._values = nn.ParameterList()
        self._number(_checked_ids(rows, len(found[0].rows)).to(found[0].tensor.device))
        self._handles = [self._attach(user) for user in users]
        self._frozen = [tensor for tensor in _frozen(model, found, freeze) if tensor.requires_grad]
        for tensor in self._frozen:
            # A gradient that is left over would still let an optimizer move the tensor.
            tensor.requires_grad, tensor.grad = False, None
        users[0].add_module(NAME, self)

    @torch.no_grad()
    def merge(self) -> None:
        """Writes the rows into the matrices and leaves the model as it was built, everything trainable that was.

        Raises:
            InvalidInputError: If that was done before.
        """
        if not hasattr(self._owner[0], NAME):
            raise InvalidInputError("the rows are merged already: the model has trained on without them since")
        for item, values in zip(self._found, self._values, strict=True):
            item.rows[self.ids] = values.detach().to(item.tensor.dtype)
        for handle in self._handles:
            handle.remove()
        for tensor in self._frozen:
            tensor.requires_grad = True
        delattr(self._owner[0], NAME)

    def extra_repr(self) -> str:
        """Number of rows, and of tensors that have them."""
        return f"{len(self.ids)} rows of {', '.join(item.name for item in self._found)}"

    def _number(self, ids: Tensor) -> None:
        # One look-up says for every id which of our rows it is, or none: -1.
        places = torch.full((len(self._found[0].rows),), -1, device=ids.device)
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("places", places.index_copy(0, ids, torch.arange(len(ids)).to(ids)), persistent=False)
        self._values.extend(nn.Parameter(item.rows[ids].clone()) for item in self._found)

    def _attach(self, module: nn.Module) -> RemovableHandle:
        number = {id(item.tensor): i for i, item in enumerate(self._found)}
        if isinstance(module, nn.Linear):
            return module.register_forward_hook(
                partial(self._logits, number[id(module.weight)], number.get(id(module.bias)))
            )
        return module.register_forward_hook(partial(self._embedded, number[id(module.weight)]))

    def _embedded(self, weight: int, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        places = self.places[inputs[0]]
        ours = (places >= 0).nonzero(as_tuple=True)
        # Embeddings of several families multiply what they look up by a constant.
        rows = self._values[weight] * getattr(module, "embed_scale", 1)
        # In place, except where someone has made the output a leaf, as gradient checkpointing of adapters does.
        put = output.index_put if output.requires_grad else output.index_put_
        return put(ours, nn.functional.embedding(places[ours], rows).to(output.dtype))

    def _logits(
        self, weight: int, bias: int | None, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> Tensor:
        ours = nn.functional.linear(inputs[0], self._values[weight], None if bias is None else self._values[bias])
        return output.index_copy_(-1, self.ids, ours.to(output.dtype))


NAME = "trainable_rows"


def attached_rows(model: nn.Module) -> TrainableRows | None:
    """The trainable rows of a model, if it has any."""
    return next((module for module in model.modules() if isinstance(module, TrainableRows)), None)


def _check(module: nn.Module) -> None:
    if isinstance(module, nn.EmbeddingBag) or getattr(module, "max_norm", None) is not None:
        kind = "an EmbeddingBag" if isinstance(module, nn.EmbeddingBag) else "an embedding with max_norm"
        raise UnsupportedError(f"rows of {kind} cannot be trained on their own; train the whole matrix")


def _checked_ids(rows: Iterable[int], size: int) -> Tensor:
    ids = torch.tensor(list(rows), dtype=torch.long)
    if not len(ids) or len(set(ids.tolist())) != len(ids) or not (ids.min() >= 0 and ids.max() < size):
        shown = f"{len(ids)} ids" + (f" from {ids.min()} to {ids.max()}" if len(ids) else "")
        raise InvalidInputError(f"rows holds {shown}; expected at least one, each once, from 0 to {size - 1}")
    return ids


def _frozen(model: nn.Module, found: list[VocabularyTensor], freeze: str) -> list[Tensor]:
    return list(model.parameters()) if freeze == "model" else [item.tensor for item in found]
