"""A resize plan made real: embedding, head, bias, optimizer state and configuration of a live model, in one step."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tei.errors import InvalidInputError, MismatchError, UnsupportedError
from tei.plan import ResizePlan
from tei.sparse import IntArray
from tei.torch.archive import Archive
from tei.torch.configuration import plan_numbers
from tei.torch.embedding import VocabularyTensor, vocabulary_tensors
from tei.torch.initial import Init, added_rows, check_finite
from tei.torch.optimizer import StateTensor, state_tensors
from tei.torch.rows import attached_rows
from tei.torch.transaction import Transaction

__all__ = ["apply"]


@torch.no_grad()
def apply(
    plan: ResizePlan,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    init: Init = "weighted",
    archive: Archive | None = None,
    copies: Sequence[nn.Module] = (),
    pad_to_multiple_of: int | None = None,
    modules: Sequence[str] | None = None,
) -> Archive:
    """Moves a model, and its optimizer, to the plan's target vocabulary, in place and all or nothing.

    The `Parameter` objects stay the same, so ties, parameter groups and hooks hold; gradients are dropped. Rows of kept
    tokens stay bit-identical. Optimizer state moves with its row and is zero for new rows. Sizes and special ids in
    modules, configuration and generation configuration follow.

    Args:
        plan: The plan; its source must be the model's vocabulary.
        model: A transformers model, a module around one, or any module with an embedding. Not one that is wrapped for
            distributed training.
        optimizer: The optimizer that trains it: torch's Adam family, SGD, RMSprop, Adadelta, Adagrad or Adafactor.
        init: Rows of added tokens: `weighted` by the plan, `mean` or `sum` of their pieces, or a function of plan and
            old weight `[rows, d]` that returns `[len(plan.added), d]`. Untied heads and biases take the mean.
        archive: Rows from an earlier call; added tokens that it holds get those, exactly, with their optimizer state.
            With the plan's inverse it also restores the rows beyond the vocabulary.
        copies: Models that follow this one, such as `torch.optim.swa_utils.AveragedModel`; their rows move the same way,
            and new ones start from their own.
        pad_to_multiple_of: Adds zero rows until the number of rows is a multiple of this.
        modules: Names of the embedding and linear modules with a row per token, if the search cannot decide.

    Returns:
        The dropped rows: `apply(plan.inverse(), model, optimizer, archive=archive)` gives back everything bit for bit.

    Raises:
        MismatchError: The model has fewer rows than the plan's source has tokens, a special id would be dropped, weights
            that should be tied are not, or archive, optimizer or copy are of another model.
        UnsupportedError: An embedding or an optimizer of a kind that cannot be resized.
        InvalidInputError: A wrong `init`, `modules` or `pad_to_multiple_of`; rows with NaN; `TrainableRows` not merged.

    Example:
        >>> plan = ResizePlan.from_tokens(
        ...     ["[UNK]", "play", "##ing"], ["[UNK]", "play", "playing"],
        ...     added={"playing": ([1, 2], [0.5, 0.5])}, dropped={"##ing": ([0], [1.0])},
        ...     source_fingerprint="a", target_fingerprint="b")
        >>> model = nn.Embedding.from_pretrained(torch.tensor([[0.0], [2.0], [4.0]]))
        >>> archive = apply(plan, model)
        >>> model.weight.flatten().tolist()
        [0.0, 2.0, 3.0]
        >>> _ = apply(plan.inverse(), model, archive=archive)
        >>> model.weight.flatten().tolist()
        [0.0, 2.0, 4.0]
    """
    models = {"": model} | {f"copies.{i}.": _unwrapped(copy) for i, copy in enumerate(copies)}
    found = {prefix: _tensors(plan, part, modules) for prefix, part in models.items()}
    old = _rows(found)
    states = [] if optimizer is None else list(state_tensors(optimizer, model, found[""]))
    layout = _Layout(plan, old, archive, pad_to_multiple_of)
    change, dropped = Transaction(), {}
    for prefix, tensors in found.items():
        for item in tensors:
            rows = layout.moved(prefix + item.name, item.rows, added_rows(plan, item, init), required=True)
            dropped[prefix + item.name] = layout.dropped(item.rows)
            _plan_parameter(change, item, rows)
        plan_numbers(change, plan, models[prefix], tensors, old=old, new=layout.rows)
    for state in states:
        empty = torch.zeros((len(plan.added), *state.rows.shape[1:]), dtype=state.rows.dtype)
        rows = layout.moved(state.name, state.rows, empty, required=False)
        dropped[state.name] = layout.dropped(state.rows)
        _plan_state(change, state, rows)
    change.commit()
    tokens = tuple(plan.source[i] for i in plan.dropped)
    return Archive(plan.source_fingerprint, plan.target_fingerprint, tokens, old, dropped)


def _tensors(plan: ResizePlan, model: nn.Module, modules: Sequence[str] | None) -> list[VocabularyTensor]:
    if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        raise UnsupportedError("a model wrapped for parallel training cannot be resized; use model.module, then wrap")
    if attached_rows(model) is not None:
        raise InvalidInputError("the model has trainable rows, which a resize would lose; merge() them first")
    found = vocabulary_tensors(model, modules, len(plan.source))
    for item in found:
        check_finite(plan, item)
    return found


def _rows(found: dict[str, list[VocabularyTensor]]) -> int:
    counts = {prefix: len(tensors[0].rows) for prefix, tensors in found.items()}
    for prefix, count in counts.items():
        if count != counts[""]:
            raise MismatchError(f"{prefix[:-1]} has {count} rows but the model has {counts['']}; it is no copy of it")
    return counts[""]


def _unwrapped(copy: nn.Module) -> nn.Module:
    return copy.module if isinstance(copy, AveragedModel) else copy


def _plan_parameter(change: Transaction, found: VocabularyTensor, rows: Tensor) -> None:
    if found.tensor.grad is not None:
        change.attribute(found.tensor, "grad", None)
    # As long as an old graph is alive (a `loss` that still has a name), autograd expects gradients of the shape it saw
    # last; only a change of dtype on the way makes it look again.
    other = torch.float32 if rows.dtype == torch.float64 else torch.float64
    change.attribute(found.tensor, "data", torch.empty(0, dtype=other, device=rows.device))
    change.attribute(found.tensor, "data", rows.movedim(0, found.axis).contiguous())


def _plan_state(change: Transaction, state: StateTensor, rows: Tensor) -> None:
    change.item(state.owner, state.key, rows.movedim(0, state.axis).contiguous())


class _Layout:
    """Which old row, archived row or new row stands at each place; the same for every tensor."""

    def __init__(self, plan: ResizePlan, old: int, archive: Archive | None, multiple: int | None) -> None:
        self._plan, self._archive = plan, archive
        source, target = plan.kept
        self._source, self._target = _ids(source), _ids(target)
        self._added = _ids(plan.added.ids)
        self._dropped = torch.cat([_ids(plan.dropped.ids), torch.arange(len(plan.source), old)])
        known = {token: i for i, token in enumerate(archive.tokens)} if archive else {}
        places = [known.get(plan.target[i], -1) for i in plan.added]
        self._back = torch.tensor([(i, place) for i, place in enumerate(places) if place >= 0]).reshape(-1, 2)
        self._undo = (
            archive is not None
            and multiple is None
            and archive.source_fingerprint == plan.target_fingerprint
            and archive.target_fingerprint == plan.source_fingerprint
        )
        self.rows = archive.rows if archive and self._undo else _padded(len(plan.target), multiple)

    def moved(self, name: str, rows: Tensor, added: Tensor, *, required: bool) -> Tensor:
        """The new rows of the tensor `name`: kept ones, then added ones, archived where the archive has them."""
        archived = self._archived(name, rows, required=required)
        result = torch.zeros((self.rows, *rows.shape[1:]), dtype=rows.dtype, device=rows.device)
        result[self._target.to(rows.device)] = rows[self._source.to(rows.device)]
        if archived is not None and len(self._back):
            added = added.clone()
            added[self._back[:, 0]] = archived[self._back[:, 1]].to(rows.dtype)
        result[self._added.to(rows.device)] = added.to(rows.device)
        if archived is not None and self._archive and self._undo:
            excess = archived[len(self._archive.tokens) :]
            result[len(self._plan.target) :] = excess.to(rows.device, rows.dtype)
        return result

    def dropped(self, rows: Tensor) -> Tensor:
        """The rows that `moved` leaves behind, on the CPU."""
        return rows.index_select(0, self._dropped.to(rows.device)).cpu()

    def _archived(self, name: str, rows: Tensor, *, required: bool) -> Tensor | None:
        if self._archive is None:
            return None
        archived = self._archive.tensors.get(name)
        if archived is None and not required:
            return None
        if archived is None or archived.shape[1:] != rows.shape[1:]:
            found = "nothing" if archived is None else f"rows of shape {tuple(archived.shape[1:])}"
            raise MismatchError(f"the archive holds {found} for {name!r} of row shape {tuple(rows.shape[1:])}")
        return archived


def _ids(values: IntArray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))


def _padded(tokens: int, multiple: int | None) -> int:
    if multiple is None:
        return tokens
    if multiple < 1:
        raise InvalidInputError(f"pad_to_multiple_of is {multiple}, expected 1 or more")
    return -(-tokens // multiple) * multiple
