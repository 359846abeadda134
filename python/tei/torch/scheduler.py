"""A vocabulary that changes while training goes on: what is seen is counted, and now and then tokens come and go."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tei import _core
from tei.coding import Coding
from tei.counts import WordCounts
from tei.errors import InvalidInputError, MismatchError, TeiError
from tei.plan import ResizePlan
from tei.policy import Grow, Policy
from tei.threads import threads
from tei.tokenizer import Tokenizer
from tei.torch.apply import apply
from tei.torch.archive import Archive
from tei.torch.channel import CAPACITY, Channel
from tei.torch.distributed import Ranks
from tei.torch.embedding import vocabulary_tensors
from tei.torch.following import Follower, publish_all, publish_change, with_tokens
from tei.torch.revision import moved, revise

__all__ = ["VocabularyScheduler"]

FORMAT = 1
Ids = NDArray[np.int64]


class VocabularyScheduler:
    """Changes tokenizer, model and optimizer while they are in use, as a learning-rate scheduler changes the rate.

    Ids are append-only: a token keeps its id for the whole run, a dropped one is retired (its row stays and is never
    looked up again), so batches that were made before a change stay right. `compact` gives retired rows up. Workers of a
    data loader follow through shared memory; rows exist before any worker hears of their tokens.

    Args:
        tokenizer: The model's tokenizer.
        model: The model; changed in place by every step that adds tokens.
        optimizer: Its state follows.
        policy: What decides, see `tei.policy`; `Grow()` if None. It may have `state_dict` and `load_state_dict` if it
            remembers anything.
        archive: Rows of tokens that were dropped before; those that come back get them.
        decay: Weight of what was counted before a step, at the next one.
        init: Rows of new tokens, see `tei.torch.apply`.
        pad_to_multiple_of: Rows are padded to a multiple of this.
        modules: Names of the modules with a row per token, see `tei.torch.apply`.
        ranks: The other processes of a data-parallel run, each with a scheduler of its own.

    Raises:
        MismatchError: Model and tokenizer do not belong together, or ranks have different tokenizers.

    Example:
        >>> tok = Tokenizer.train(["low lower lowest", "new newer newest"], vocab_size=33, min_count=1)
        >>> model = nn.Embedding(33, 4)
        >>> scheduler = VocabularyScheduler(tok, model, policy=Grow(1))
        >>> scheduler.observe(["lowernewer"] * 10)
        >>> _ = scheduler.step()
        >>> len(model.weight), scheduler.version, scheduler.tokenizer.encode("lowernewer").tokens
        (34, 1, ['lowernewer'])
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        policy: Policy | None = None,
        *,
        archive: Archive | None = None,
        decay: float = 0.5,
        init: Literal["weighted", "mean", "sum"] | Callable[[ResizePlan, Tensor], Tensor] = "weighted",
        pad_to_multiple_of: int | None = None,
        modules: Iterable[str] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        if not 0 <= decay <= 1:
            raise InvalidInputError(f"decay is {decay}, must be from 0 to 1")
        self.model, self.optimizer, self.policy = model, optimizer, policy or Grow()
        self.archive = archive
        self._decay, self._ranks = decay, ranks
        self._modules = None if modules is None else tuple(modules)
        self._options: dict[str, Any] = {"init": init, "pad_to_multiple_of": pad_to_multiple_of}
        self._live = self._run = tokenizer
        self._base, self._version = tokenizer.fingerprint, 0
        self._past, self._counter = _no_words(tokenizer), _core.WordCounter()
        self._moves: list[tuple[int, Ids]] = []
        self._metrics: dict[str, float] = {}
        # Room for the whole vocabulary, also once it has grown.
        self._channel = Channel(max(CAPACITY, 4 * len(json.dumps(tokenizer.tokens))))
        self.follower = Follower(tokenizer, self._channel)
        vocabulary_tensors(model, self._modules, tokenizer.vocab_size)
        if ranks is not None:
            ranks.same(tokenizer.fingerprint, "vocabulary")

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that makes the model's batches: every token that has a row, retired ones included."""
        return self._run

    @property
    def live(self) -> Tokenizer:
        """The tokenizer without retired tokens, and with dense ids; equal to `tokenizer` after `compact`."""
        return self._live

    @property
    def version(self) -> int:
        """How often the vocabulary has changed in this run; batches carry it."""
        return self._version

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the last step came to, for any logger.

        `vocabulary` (tokens in use), `rows_added`, `rows_dropped` (retired), and on the words seen: `fertility` (tokens a
        word), `unknown_rate` (share of words).
        """
        return MappingProxyType(self._metrics)

    def observe(self, seen: Iterable[str] | Mapping[str, Any]) -> None:
        """Counts the words of texts or of a batch.

        A batch is brought up to date in place: `input_ids` of before a compaction get their new numbers.

        Args:
            seen: Texts, or model inputs with `input_ids`, which are decoded.

        Raises:
            InvalidInputError: One text by itself, or a batch whose `input_ids` are no tensor.
            MismatchError: A batch of a version that is not there yet, with ids that the model has no row for, or with
                tokens whose rows a compaction has given up.
        """
        if isinstance(seen, str | bytes):
            raise InvalidInputError(f"seen is one {type(seen).__name__}, not several texts: put it in a list")
        texts = self._decoded(seen) if isinstance(seen, Mapping) else list(seen)
        self._counter.add(self._run.encoder, texts, threads(parallel=None))

    def step(self) -> ResizePlan | None:
        """Asks the policy for a plan and carries it out; between an optimizer's step and the next forward pass.

        Returns:
            The plan, in ids of `live` before it; None if no word has been seen.

        Raises:
            MismatchError: The policy drops protected tokens, or ranks disagree. Whatever is raised by policy or
                `tei.torch.apply` leaves tokenizer and model as they were.
        """
        counts = self._all_counts()
        if not len(counts):
            return None
        if self._ranks is None:
            plan = self._make_plan(counts)
            self._adopt(plan)
        else:
            plan = self._ranks.decide(lambda: self._make_plan(counts))
            self._ranks.together(lambda: self._adopt(plan), "vocabulary")
        usage = self._live.usage(counts)
        self._metrics = {
            "vocabulary": float(self._live.vocab_size),
            "rows_added": float(len(plan.added)),
            "rows_dropped": float(len(plan.dropped)),
            "fertility": usage.fertility,
            "unknown_rate": usage.unknown_words / usage.words,
        }
        self._past = counts.decay(self._decay)
        return plan

    def compact(self) -> ResizePlan:
        """Gives up the rows of retired tokens, and renumbers the others; at a checkpoint, when no batch is under way.

        The rows go to `archive`, so that a token that comes back has what it had learned.

        Returns:
            The plan from the ids before to those after; it changes nothing if nothing is retired.
        """
        plan = moved(self._run, self._live)
        if self._run.tokens != self._live.tokens:
            dropped = self._apply(plan)
            self.archive = dropped if self.archive is None else self.archive.merged(dropped)
            self._moves.append((self._version + 1, plan.id_map.astype(np.int64)))
            self._version += 1
            self._run = self._live
            publish_all(self._channel, self._version, self._run)
        return plan

    def attach(self, optimizer: torch.optim.Optimizer, every: int) -> RemovableHandle:
        """Makes every `every`-th step of an optimizer a step of the vocabulary, too: the hook for plain loops.

        Args:
            optimizer: Any optimizer whose steps are to be counted.
            every: Number of its steps.

        Returns:
            A handle whose `remove` ends it.
        """
        if every < 1:
            raise InvalidInputError(f"every is {every}, must be at least 1")
        taken = 0

        def after(*_: Any) -> None:
            nonlocal taken
            taken += 1
            if taken % every == 0:
                self.step()

        handle: RemovableHandle = optimizer.register_step_post_hook(after)
        return handle

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on as if it had not stopped: plain values, and tensors of archived rows."""
        self._past += self._fresh()
        policy = self.policy.state_dict() if hasattr(self.policy, "state_dict") else None
        return {
            "format": FORMAT,
            "base": self._base,
            "version": self._version,
            "run": {"tokens": list(self._run.tokens), "retired": sorted(self._run.retired)},
            "live": list(self._live.tokens),
            "fingerprints": [self._live.fingerprint, self._run.fingerprint],
            "applied": [self._live.version, [dict(entry) for entry in self._live.history]],
            "counts": base64.b64encode(self._past.to_bytes()).decode("ascii"),
            "metrics": dict(self._metrics),
            "policy": policy,
            "archive": None if self.archive is None else {**vars(self.archive), "tensors": dict(self.archive.tensors)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Brings scheduler, model and optimizer to the vocabulary of a state; load the values of both after this.

        Raises:
            MismatchError: The state is of a run that began with another vocabulary, its tokens do not have its
                fingerprint, or it is not a state at all.
        """
        live, run, counts, archive = self._read(state)
        if run.tokens != self._run.tokens:
            self._apply(moved(self._run, run))
        fresh = not self._channel.version
        self._version = state["version"] if fresh else max(self._version, state["version"]) + 1
        self._live, self._run, self._past, self._counter = live, run, counts, _core.WordCounter()
        self._moves, self._metrics, self.archive = [], dict(state["metrics"]), archive
        if state["policy"] is not None:
            self.policy.load_state_dict(state["policy"])  # type: ignore[attr-defined]
        if self._version:
            publish_all(self._channel, self._version, run)

    def _read(self, state: Mapping[str, Any]) -> tuple[Tokenizer, Tokenizer, WordCounts, Archive | None]:
        """All of a state that can be wrong, before anything is changed."""
        try:
            if state["format"] != FORMAT or state["base"] != self._base:
                raise MismatchError(
                    f"the state is of format {state['format']} and of a run that began with vocabulary {state['base']}, "
                    f"this one of format {FORMAT} began with {self._base}; start from the same tokenizer"
                )
            fields = state["archive"]
            archive = None if fields is None else Archive(**{**fields, "tokens": tuple(fields["tokens"])})
            dict(state["metrics"]), int(state["version"])
            if state["policy"] is not None and not hasattr(self.policy, "load_state_dict"):
                raise MismatchError(f"the state is of a policy that remembers, {type(self.policy).__name__} does not")
            version, history = state["applied"]
            live = Tokenizer(with_tokens(self._live, state["live"]).spec, version=version, history=history)
            run = with_tokens(live, state["run"]["tokens"], state["run"]["retired"])
            run = live if run.fingerprint == live.fingerprint else run
            found = [live.fingerprint, run.fingerprint]
            if found != list(state["fingerprints"]):
                raise MismatchError(f"the state's tokens have fingerprints {found}, not {state['fingerprints']}")
            return live, run, WordCounts.from_bytes(base64.b64decode(state["counts"])), archive
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            if isinstance(error, TeiError):
                raise
            raise MismatchError(f"this is no state of a vocabulary scheduler: {error!r}") from error

    def _apply(self, plan: ResizePlan) -> Archive:
        return apply(plan, self.model, self.optimizer, archive=self.archive, modules=self._modules, **self._options)

    def _adopt(self, plan: ResizePlan) -> str:
        plan.check_source(self._live.fingerprint)
        revision = revise(self._live, self._run, plan)
        if revision.added:
            self._apply(revision.plan)
        self._live, self._run = revision.live, revision.run
        if revision.added or revision.restored or revision.retired:
            self._version += 1
            # Rows first: a batch with a new id can only be made after this.
            publish_change(
                self._channel,
                self._version,
                self._run,
                added=revision.added,
                restored=revision.restored,
                retired=revision.retired,
            )
        return f"{self._version} {self._run.fingerprint}"

    def _make_plan(self, counts: WordCounts) -> ResizePlan:
        rows = vocabulary_tensors(self.model, self._modules, self._run.vocab_size)[0].rows
        if self._run is not self._live:
            rows = rows[torch.tensor([self._run.vocab[token] for token in self._live.tokens], device=rows.device)]
        return self._live.plan(counts, policy=self.policy, weights=rows[: self._live.vocab_size])

    def _fresh(self) -> WordCounts:
        return WordCounts(self._counter.finish(), self._live.scheme)

    def _all_counts(self) -> WordCounts:
        fresh = self._fresh()
        return self._past + (fresh if self._ranks is None else self._ranks.sum_counts(fresh))

    def _decoded(self, batch: Mapping[str, Any]) -> list[str]:
        ids = batch.get("input_ids")
        if not isinstance(ids, Tensor):
            raise InvalidInputError(f"input_ids of the batch are {type(ids).__name__}, must be a tensor of torch")
        self._check(batch, ids)
        special = [self._run.vocab[token] for token in self._run.special_tokens]
        # Words are counted, so pieces are joined even where the tokenizer's own decoder does not.
        joined = Coding(replace(self._run.spec, decoder=None), self._run.encoder)
        return joined.decode_batch(ids.masked_fill(torch.isin(ids, ids.new_tensor(special)), -1).cpu().numpy())

    def _check(self, batch: Mapping[str, Any], ids: Tensor) -> None:
        version = getattr(batch, "version", self._version)
        if version > self._version:
            raise MismatchError(
                f"the batch is of vocabulary version {version}, the model of {self._version}; "
                "each model needs the scheduler that its loader follows"
            )
        known = ids
        for id_map in (id_map for changed, id_map in self._moves if version < changed):
            known = _renumbered(known, id_map)
        if known is not ids:
            ids.copy_(known)
            # A batch that is looked at again must not be renumbered again.
            batch.version = self._version  # type: ignore[attr-defined]
        if ids.numel() and int(ids.max()) >= self._run.vocab_size:
            raise MismatchError(
                f"the batch holds id {int(ids.max())}, the vocabulary ends at {self._run.vocab_size - 1}"
            )


def _renumbered(ids: Tensor, id_map: Ids) -> Tensor:
    # Negative numbers are no ids: some models take them for padding.
    changed = torch.where(ids < 0, ids, torch.from_numpy(id_map).to(ids.device)[ids.clamp(min=0)])
    lost = ids[(changed < 0) & (ids >= 0)]
    if len(lost):
        raise MismatchError(
            f"the batch holds id {int(lost[0])}, whose row a compaction gave up; compact when no batch is under way"
        )
    return changed


def _no_words(tokenizer: Tokenizer) -> WordCounts:
    return WordCounts(_core.WordCounter().finish(), tokenizer.scheme)
