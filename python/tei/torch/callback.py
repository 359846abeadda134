"""The vocabulary scheduler inside transformers' `Trainer`."""

import os
from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback

from tei.errors import InvalidInputError
from tei.files import dump_document, load_document, write_atomic
from tei.torch.archive import Archive
from tei.torch.scheduler import VocabularyScheduler

__all__ = ["VocabularyCallback"]

NAME, ARCHIVE = "tei_vocabulary.json", "tei_archive.safetensors"
KIND, VERSION = "vocabulary-scheduler", 1


class VocabularyCallback(TrainerCallback):
    """Lets a `VocabularyScheduler` take its steps in transformers' `Trainer`.

    It sees every training batch on its way into the model, steps at the end of each epoch or every so many optimizer
    steps, reports through the trainer (to TensorBoard and whatever else is set up there), and saves the vocabulary beside
    each checkpoint. The model may not be wrapped for parallel training.

    Args:
        scheduler: The scheduler; it takes over the trainer's optimizer when training begins.
        every: Number of optimizer steps between two steps of the vocabulary; None: at the end of each epoch.

    Raises:
        InvalidInputError: `every` is less than 1.
    """

    def __init__(self, scheduler: VocabularyScheduler, every: int | None = None) -> None:
        if every is not None and every < 1:
            raise InvalidInputError(f"every is {every}, must be at least 1")
        self.scheduler, self._every = scheduler, every
        self._trainer: Any = None
        self._hook: Any = None

    def attach(self, trainer: Any) -> None:
        """Adds the callback to a trainer; only so it can report through it."""
        trainer.add_callback(self)
        self._trainer = trainer

    def resume(self, checkpoint: str | os.PathLike[str]) -> None:
        """Brings model and tokenizer to a checkpoint's vocabulary, before `trainer.train(resume_from_checkpoint=...)`.

        Args:
            checkpoint: A directory that the trainer has saved.

        Raises:
            FileFormatError: The vocabulary is missing there, or damaged.
            MismatchError: The checkpoint is of a run that began with another vocabulary.
        """
        folder = Path(checkpoint)
        state = load_document(folder / NAME, KIND, version=VERSION)
        archive = vars(Archive.load(folder / ARCHIVE)) if state["archive"] else None
        self.scheduler.load_state_dict({**state, "archive": archive})

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Takes over the optimizer and begins to watch batches."""
        optimizer = kwargs.get("optimizer")
        self.scheduler.optimizer = getattr(optimizer, "optimizer", optimizer)
        self._hook = self.scheduler.model.register_forward_pre_hook(self._watch, with_kwargs=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Stops watching."""
        self._hook.remove()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Steps, if it is time."""
        if self._every is not None and state.global_step % self._every == 0:
            self._step()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Steps, if that is the end of an epoch's business."""
        if self._every is None:
            self._step()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Saves the vocabulary beside model and optimizer."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        record = self.scheduler.state_dict()
        archive = self.scheduler.archive
        if archive is not None:
            archive.save(folder / ARCHIVE)
        write_atomic(folder / NAME, dump_document(KIND, VERSION, {**record, "archive": archive is not None}))

    def _step(self) -> None:
        plan = self.scheduler.step()
        if plan is not None and self._trainer is not None:
            self._trainer.log({f"vocabulary/{name}": value for name, value in self.scheduler.metrics.items()})

    def _watch(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        if model.training and "input_ids" in kwargs:
            self.scheduler.observe({"input_ids": kwargs["input_ids"]})
