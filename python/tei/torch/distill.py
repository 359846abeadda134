"""New rows fitted, for a minute at most, to what the model makes of the old spelling."""

import itertools
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tei.errors import InvalidInputError, UnsupportedError
from tei.plan import ResizePlan
from tei.tokenizer import Tokenizer
from tei.torch.fidelity import body
from tei.torch.initial import mixed_rows

__all__ = ["Distilled"]

# Characters of a snippet, and its greatest number of tokens: the model reads a new token with some text around it, and many snippets fit into a step.
SNIPPET, LENGTH = 200, 128


class Distilled:
    """A way to start new rows, for `tei.torch.apply(init=...)`: trained so that the model says what it said before.

    The rows start as `weighted` ones. Then the model reads snippets of the texts twice: in the old spelling as it is, and
    in the new one with the new rows; only the rows are trained, until the last hidden state at the end of each token is
    the same. Source: Dobler et al., "Token Distillation: Attention-Aware Input Embeddings for New Tokens" (2025).

    Args:
        model: The model that the plan is applied to; a transformers model. It is left as it is.
        tokenizer: Its tokenizer before the plan.
        texts: Texts in which the new tokens occur.
        seconds: Time to train; at least one step is made.
        learning_rate: Adam's rate at the start; it falls to zero.
        batch_size: Snippets a step.
        seed: Seed of the snippets' order.

    Raises:
        UnsupportedError: The model is not of transformers.
        InvalidInputError: No text holds a new token, when the rows are asked for.

    Example:
        `apply(plan, model, init=Distilled(model, tokenizer, texts, seconds=30))`
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        texts: Iterable[str],
        *,
        seconds: float = 60,
        learning_rate: float = 5e-3,
        batch_size: int = 16,
        seed: int = 0,
    ) -> None:
        if not isinstance(model, PreTrainedModel):
            raise UnsupportedError(f"{type(model).__name__} is not a transformers model, whose hidden states are known")
        self.model, self.tokenizer, self.texts = model, tokenizer, texts
        self.seconds, self.learning_rate, self.batch_size, self.seed = seconds, learning_rate, batch_size, seed

    def __call__(self, plan: ResizePlan, weight: Tensor) -> Tensor:
        """The rows of the plan's added tokens, `[len(plan.added), d]`."""
        if not len(plan.added):
            return weight[:0]
        with torch.enable_grad(), _quiet(self.model):
            return self._trained(plan, weight)

    def _trained(self, plan: ResizePlan, weight: Tensor) -> Tensor:
        rows = nn.Parameter(mixed_rows(plan, weight, "weighted").to(weight.device))
        optimizer = torch.optim.Adam([rows], lr=self.learning_rate)
        new = self.tokenizer.apply(plan)
        snippets = self._snippets(plan, new)
        start = time.perf_counter()
        while True:
            texts = list(itertools.islice(snippets, self.batch_size))
            loss = self._loss(
                plan, rows, *(_read(tokenizer, texts, rows.device) for tokenizer in (self.tokenizer, new))
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            past = (time.perf_counter() - start) / max(self.seconds, 1e-9)
            if past >= 1:
                return rows.detach()
            optimizer.param_groups[0]["lr"] = self.learning_rate * (1 - past)

    def _snippets(self, plan: ResizePlan, new: Tokenizer) -> Iterator[str]:
        """Snippets with a new token, over and over, in random order."""
        snippets = [snippet for text in self.texts for snippet in textwrap.wrap(text, SNIPPET)]
        encoded = new.encode_batch(snippets)
        added = np.isin(encoded.ids, plan.added.ids)
        useful = [i for i, (a, b) in enumerate(itertools.pairwise(encoded.row_offsets.tolist())) if added[a:b].any()]
        if not useful:
            raise InvalidInputError("no text holds a new token to distil; give texts that the plan was made for")
        order = np.random.default_rng(self.seed)
        while True:
            yield from (snippets[i] for i in order.permutation(useful).tolist())

    def _loss(self, plan: ResizePlan, rows: Tensor, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Tensor:
        with torch.no_grad():
            teacher = self._hidden(old["input_ids"], old["attention_mask"])
        student = self._hidden(*_spelled(plan, new), rows=rows)
        ends, old_ends = (batch["offset_mapping"][..., 1] for batch in (new, old))
        # Where a token of both spellings ends at the same character, both have read the same text; special ones end at 0.
        same = (ends[:, :, None] == old_ends[:, None, :]) & (ends[:, :, None] > 0)
        place = same.int().argmax(dim=2, keepdim=True).expand(-1, -1, teacher.shape[2])
        return (student - teacher.gather(1, place)).square().sum(dim=2)[same.any(dim=2)].mean()

    def _hidden(self, ids: Tensor, mask: Tensor, places: Tensor | None = None, *, rows: Tensor | None = None) -> Tensor:
        model: Any = body(self.model)
        table = model.get_input_embeddings()

        def put(module: nn.Module, _: Any, output: Tensor) -> Tensor:
            if places is None or rows is None:
                return output
            ours = (places >= 0).nonzero(as_tuple=True)
            return output.index_put(ours, (rows[places[ours]] * getattr(module, "embed_scale", 1)).to(output.dtype))

        handle = table.register_forward_hook(put)
        try:
            hidden: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
        finally:
            handle.remove()
        return hidden


def _spelled(plan: ResizePlan, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids of the old vocabulary, any where a token is new; the mask; and which new row belongs at each place, or -1."""
    old, kept = plan.kept
    numbers = np.full((2, len(plan.target)), -1)
    numbers[0, kept], numbers[1, plan.added.ids] = old, np.arange(len(plan.added))
    sources, places = torch.from_numpy(numbers).to(batch["input_ids"].device)[:, batch["input_ids"]]
    return sources.clamp(min=0), batch["attention_mask"], places


def _read(tokenizer: Tokenizer, texts: list[str], device: torch.device) -> dict[str, Tensor]:
    options: dict[str, Any] = {
        "padding": True,
        "truncation": True,
        "max_length": LENGTH,
        "return_offsets_mapping": True,
    }
    return {name: tensor.to(device) for name, tensor in tokenizer(texts, return_tensors="pt", **options).items()}


@contextmanager
def _quiet(model: nn.Module) -> Iterator[None]:
    """Without dropout, and without gradients of the model's own."""
    training, trained = model.training, [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval().requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad = True
        model.train(training)
