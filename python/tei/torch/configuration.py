"""Numbers beside the weights that speak of the vocabulary: sizes and ids in modules and configurations."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from tei.errors import MismatchError
from tei.plan import ResizePlan
from tei.torch.embedding import VocabularyTensor, row_modules
from tei.torch.transaction import Transaction

__all__ = ["plan_numbers", "special_ids"]

ENDINGS = ("_token_id", "_token_index")

# Lists of ids that a generation must avoid: one that is gone needs no avoiding.
AVOIDED = ("suppress_tokens", "begin_suppress_tokens")


def plan_numbers(
    change: Transaction, plan: ResizePlan, model: nn.Module, found: list[VocabularyTensor], *, old: int, new: int
) -> None:
    """Adds to `change` every size and id that must follow the vocabulary.

    Args:
        change: Receives the assignments.
        plan: The plan, whose `id_map` maps the ids.
        model: The model.
        found: Its tensors with one row per token.
        old: Number of rows before.
        new: Number of rows after.

    Raises:
        MismatchError: A special id would be dropped, or the padding id move in a model that counts positions from it.
    """
    _plan_modules(change, plan, model, found, new)
    models = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    sizes = (None, old, len(plan.source))
    configs = {id(config): config for inner in models for config in _configurations(inner, sizes)}
    for config in configs.values():
        _plan_configuration(change, plan, config, new)
    for inner in models:
        if vars(inner).get("vocab_size", -1) in sizes:
            change.attribute(inner, "vocab_size", new)


def special_ids(model: nn.Module) -> set[int]:
    """All token ids that the configurations of a model name; a plan must not drop these tokens."""
    found: set[int] = set()
    for inner in (module for module in model.modules() if isinstance(module, PreTrainedModel)):
        sizes = (None, getattr(inner.config.get_text_config(), "vocab_size", None))
        for config in _configurations(inner, sizes):
            for name, value in vars(config).items():
                if name.endswith(ENDINGS):
                    found.update(_flat(value))
    return found


def _flat(value: Any) -> Iterator[int]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def _plan_modules(
    change: Transaction, plan: ResizePlan, model: nn.Module, found: list[VocabularyTensor], new: int
) -> None:
    users = list(row_modules(model, found))
    for module in users:
        change.attribute(module, "out_features" if isinstance(module, nn.Linear) else "num_embeddings", new)
    ours = {id(module) for module in users}
    for name, module in model.named_modules():
        old = vars(module).get("padding_idx")
        if not isinstance(old, int):
            continue
        if id(module) not in ours and not isinstance(module, PreTrainedModel):
            _check_unmoved(plan, f"{name}.padding_idx", old)
        elif old >= len(plan.source):
            raise MismatchError(
                f"{name}.padding_idx is {old}, beyond the {len(plan.source)} tokens of the plan's source"
            )
        else:
            change.attribute(module, "padding_idx", _mapped(plan, f"{name}.padding_idx", old))


def _check_unmoved(plan: ResizePlan, name: str, old: int) -> None:
    # RoBERTa and its relatives number positions from the padding id, so another id would shift every position.
    if old < len(plan.source) and _mapped(plan, name, old) != old:
        raise MismatchError(
            f"{name!r} is {old} and positions are counted from it; make a plan that leaves token "
            f"{plan.source[old]!r} at id {old}"
        )


def _configurations(model: PreTrainedModel, sizes: tuple[int | None, ...]) -> Iterator[Any]:
    """The configurations that speak of this vocabulary; one of another size belongs to another vocabulary."""
    text = model.config.get_text_config()
    ours = [config for config in (model.config, text) if getattr(config, "vocab_size", None) in sizes]
    yield from ours
    if ours and getattr(model, "generation_config", None) is not None:
        yield model.generation_config


def _plan_configuration(change: Transaction, plan: ResizePlan, config: Any, new: int) -> None:
    if getattr(config, "vocab_size", None) is not None:
        change.attribute(config, "vocab_size", new)
    kind = type(config).__name__
    for name, value in list(vars(config).items()):
        label = f"{kind}.{name}"
        if name.endswith(ENDINGS):
            _plan_value(change, config, name, value, _mapped_all(plan, label, value))
        elif name in AVOIDED and isinstance(value, list):
            kept = [_raw(plan, i) for i in value]
            _plan_value(change, config, name, value, [i for i in kept if i >= 0])


def _plan_value(change: Transaction, config: Any, name: str, old: Any, new: Any) -> None:
    if new != old:
        change.attribute(config, name, new)


def _mapped_all(plan: ResizePlan, name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_mapped_all(plan, name, item) for item in value]
    return _mapped(plan, name, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _mapped(plan: ResizePlan, name: str, old: int) -> int:
    new = _raw(plan, old)
    if new < 0 <= old:
        raise MismatchError(
            f"{name} is {old}, token {plan.source[old]!r}, which the plan drops; protect it or change the setting"
        )
    return new


def _raw(plan: ResizePlan, old: int) -> int:
    # Ids outside the vocabulary, such as defaults of a larger one, mean no token and stay as they are.
    return int(plan.id_map[old]) if 0 <= old < len(plan.id_map) else old
