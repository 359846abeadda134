"""Fine-tuning by transformers' `Trainer`, with the settings that matter and nothing left behind."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments

from tei.errors import InvalidInputError
from tei.torch.data import trim

__all__ = ["FineTuned", "fine_tune"]


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning came to.

    Attributes:
        losses: Mean training loss of each twentieth of the steps, or of each step if there are fewer.
        accuracy: Share of `valid` classified correctly, in [0, 1]; None without `valid`.
        seconds: Wall time of training, evaluation not counted.
        samples: Number of items trained on, each as often as it was seen.
    """

    losses: tuple[float, ...]
    accuracy: float | None
    seconds: float
    samples: int


def fine_tune(
    model: nn.Module,
    dataset: Dataset[Any],
    valid: Dataset[Any] | None = None,
    *,
    batch_size: int = 16,
    epochs: float = 5,
    learning_rate: float = 2e-5,
    weight_decay: float = 0.01,
    warmup: float = 0.1,
    seed: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    collate: Callable[[list[Any]], dict[str, Any]] = trim,
    progress: bool = False,
    output_dir: str | os.PathLike[str] | None = None,
) -> FineTuned:
    """Trains a model on a data set, in place, with AdamW and a rate that rises, then falls to zero.

    Args:
        model: A model that returns a loss when given `labels`: of transformers, or such as `BagOfTokens`.
        dataset: Items are dictionaries of tensors with `labels`, for example a `TextClassificationDataset`.
        valid: Items to measure accuracy on, after training.
        batch_size: Items a step.
        epochs: Passes over the data set; may be a fraction.
        learning_rate: Highest rate.
        weight_decay: AdamW's decay.
        warmup: Share of the steps in which the rate rises.
        seed: Seed of order and dropout; sets the global seeds of Python, numpy and torch.
        optimizer: Goes on with this one, for example after `tei.torch.apply`, instead of a new AdamW.
        collate: Makes a batch of items; by default padding common to all is cut.
        progress: Show a progress bar.
        output_dir: Keeps the trained model here; nothing is written otherwise.

    Returns:
        Losses, accuracy, seconds and number of samples.

    Raises:
        InvalidInputError: The data set is empty, or a number is out of range.
    """
    samples = len(dataset)  # type: ignore[arg-type]
    if samples == 0 or batch_size < 1 or epochs <= 0:
        raise InvalidInputError(f"{samples} items, batches of {batch_size} and {epochs} epochs: all must be positive")
    steps_per_epoch = -(-samples // batch_size)
    steps = math.ceil(steps_per_epoch * epochs)
    whole, rest = divmod(steps, steps_per_epoch)
    with tempfile.TemporaryDirectory(prefix="tei-") as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=4 * batch_size,
            max_steps=steps,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=int(warmup * steps),
            seed=seed,
            logging_steps=max(1, steps // 20),
            save_strategy="no",
            report_to="none",
            disable_tqdm=not progress,
            remove_unused_columns=False,
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            eval_dataset=valid,
            data_collator=collate,
            compute_metrics=_accuracy,
            optimizers=(optimizer, None),
        )
        return _run(trainer, whole * samples + min(rest * batch_size, samples), output_dir)


def _run(trainer: Any, samples: int, output_dir: str | os.PathLike[str] | None) -> FineTuned:
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(_Bar)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    accuracy = None if trainer.eval_dataset is None else float(trainer.evaluate()["eval_accuracy"])
    if output_dir is not None:
        trainer.save_model(os.fspath(output_dir))
    losses = tuple(float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    trainer.model.eval()
    return FineTuned(losses, accuracy, seconds, samples)


class _Bar(ProgressCallback):
    """A progress bar alone; losses are in the result and need not be printed between."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Prints nothing."""


def _accuracy(prediction: Any) -> dict[str, float]:
    logits: Sequence[Any] | np.ndarray[Any, Any] = prediction.predictions
    scores = logits[0] if isinstance(logits, tuple) else logits
    return {"accuracy": float((np.argmax(scores, axis=-1) == prediction.label_ids).mean())}
