"""Fine-tuning by transformers' `Trainer`, with the settings that matter and nothing left behind."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, PrinterCallback, ProgressCallback, Trainer, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from tei.errors import InvalidInputError
from tei.torch.data import trim

__all__ = ["FineTuned", "fine_tune"]

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Metrics = Callable[[Any], dict[str, float]]

SCORE = "score"
# Trainer finds the best epoch by its saved weights; they lie in a temporary directory.
BEST: dict[str, Any] = {
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "save_only_model": True,
    "load_best_model_at_end": True,
    "metric_for_best_model": SCORE,
    "greater_is_better": True,
}


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning came to.

    Attributes:
        losses: Mean training loss of each twentieth of the steps, or of each step if there are fewer.
        accuracy: Share of `valid` classified correctly, in [0, 1]; None without `valid`.
        seconds: Wall time of training; evaluation counts only if it goes on in between, for `patience`.
        samples: Number of items trained on, each as often as it was seen.
        metrics: What `metrics` came to on `valid`; accuracy and loss by default.
        best_epoch: Epoch whose weights were kept, where `patience` looked for the best; None otherwise.
    """

    losses: tuple[float, ...]
    accuracy: float | None
    seconds: float
    samples: int
    metrics: dict[str, float]
    best_epoch: int | None = None


def fine_tune(
    model: nn.Module,
    dataset: Dataset[Any] | Sequence[Any],
    valid: Dataset[Any] | Sequence[Any] | None = None,
    *,
    batch_size: int = 16,
    epochs: float = 5,
    learning_rate: float = 2e-5,
    weight_decay: float = 0.01,
    warmup: float = 0.1,
    accumulate: int = 1,
    precision: Precision = "auto",
    patience: int | None = None,
    seed: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    collate: Callable[[list[Any]], dict[str, Any]] = trim,
    metrics: Metrics | None = None,
    progress: bool = False,
    log_dir: str | os.PathLike[str] | None = None,
    output_dir: str | os.PathLike[str] | None = None,
) -> FineTuned:
    """Trains a model on a data set, in place, with AdamW and a rate that rises, then falls to zero.

    Args:
        model: A model that returns a loss when given `labels`: of transformers, or such as `BagOfTokens`.
        dataset: Items are dictionaries of tensors with `labels`, for example a `TextClassificationDataset`. If it has
            `lengths`, items of like length go into one batch, which leaves less padding to compute.
        valid: Items to measure accuracy on, after training, and for `patience` after each epoch.
        batch_size: Items a forward pass.
        epochs: Passes over the data set; may be a fraction.
        learning_rate: Highest rate.
        weight_decay: AdamW's decay.
        warmup: Share of the steps in which the rate rises.
        accumulate: Batches whose gradients are added up for one step.
        precision: Mixed precision: `auto` takes bfloat16 on a CUDA device that has it, else float32; `float16` scales
            the loss and needs a CUDA device.
        patience: Stops after so many epochs without a better accuracy (or first of `metrics`, where more is better), and
            keeps the weights of the best epoch; needs `valid`.
        seed: Seed of order and dropout; sets the global seeds of Python, numpy and torch.
        optimizer: Goes on with this one, for example after `tei.torch.apply`, instead of a new AdamW.
        collate: Makes a batch of items; by default padding common to all is cut.
        metrics: Measures predictions on `valid`, as `compute_metrics` of transformers' `Trainer`; the share of correct
            labels by default.
        progress: Show a progress bar.
        log_dir: Writes losses and metrics there for TensorBoard, which must be installed.
        output_dir: Keeps the trained model here; nothing is written otherwise.

    Returns:
        Losses, accuracy, seconds and number of samples.

    Raises:
        InvalidInputError: The data set is empty, a number is out of range, or `patience` has no `valid`.
    """
    samples = len(dataset)  # type: ignore[arg-type]
    numbers = {"items": samples, "batch_size": batch_size, "epochs": epochs, "accumulate": accumulate}
    if min(numbers.values()) <= 0 or (patience is not None and patience < 1):
        raise InvalidInputError(f"{_listed(numbers | {'patience': patience})}: all must be positive")
    if patience is not None and valid is None:
        raise InvalidInputError("patience judges by valid; give a data set for it")
    steps_per_epoch = math.ceil(math.ceil(samples / batch_size) / accumulate)
    steps = math.ceil(steps_per_epoch * epochs)
    with tempfile.TemporaryDirectory(prefix="tei-") as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=4 * batch_size,
            gradient_accumulation_steps=accumulate,
            max_steps=steps,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=int(warmup * steps),
            seed=seed,
            logging_steps=max(1, steps // 20),
            report_to="none",
            disable_tqdm=not progress,
            remove_unused_columns=False,
            dataloader_pin_memory=torch.cuda.is_available(),
            **_precision(precision),
            **({"save_strategy": "no"} if patience is None else BEST),
        )
        trainer = _Trainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            eval_dataset=valid,
            data_collator=collate,
            compute_metrics=partial(_scored, metrics or _accuracy),
            optimizers=(optimizer, None),
            callbacks=[EarlyStoppingCallback(patience)] if patience else None,
        )
        with _logged(trainer, log_dir):
            seconds, values = _run(trainer, output_dir)
    whole, rest = divmod(trainer.state.global_step, steps_per_epoch)
    seen = whole * samples + min(rest * accumulate * batch_size, samples)
    losses = tuple(float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    best = trainer.state.best_global_step
    return FineTuned(
        losses, values.get("accuracy"), seconds, seen, values, best // steps_per_epoch if patience and best else None
    )


def _run(trainer: Any, output_dir: str | os.PathLike[str] | None) -> tuple[float, dict[str, float]]:
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(_Bar)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    found = {} if trainer.eval_dataset is None else trainer.evaluate()
    if output_dir is not None:
        trainer.save_model(os.fspath(output_dir))
    trainer.model.eval()
    clock = ("runtime", "samples_per_second", "steps_per_second", SCORE)
    named = {name.removeprefix("eval_"): float(value) for name, value in found.items() if name.startswith("eval_")}
    return seconds, {name: value for name, value in named.items() if name not in clock}


@contextmanager
def _logged(trainer: Any, log_dir: str | os.PathLike[str] | None) -> Iterator[None]:
    """Events for TensorBoard, the last evaluation included, which comes after training's own end."""
    if log_dir is None:
        yield
        return
    callback: Any = TensorBoardCallback()  # type: ignore[no-untyped-call]
    callback.logging_dir = os.fspath(log_dir)
    trainer.add_callback(callback)
    try:
        yield
    finally:
        if callback.tb_writer is not None:
            callback.tb_writer.close()


def _precision(precision: Precision) -> dict[str, Any]:
    if precision not in get_args(Precision):
        raise InvalidInputError(f"precision is {precision!r}; expected one of {', '.join(get_args(Precision))}")
    cuda = torch.cuda.is_available()
    if precision == "float16" and not cuda:
        raise InvalidInputError("precision float16 needs a CUDA device; bfloat16 works without")
    if precision == "auto":
        return {"bf16": cuda and torch.cuda.is_bf16_supported()}
    # Without a device that has it, bfloat16 is only granted to those who ask for the processor.
    return {
        "bf16": precision == "bfloat16",
        "fp16": precision == "float16",
        "use_cpu": precision == "bfloat16" and not cuda,
    }


class _Trainer(Trainer):
    """Batches texts of like length together, in an order of the seed."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        lengths = getattr(train_dataset or self.train_dataset, "lengths", None)
        if lengths is None:
            return super()._get_train_sampler(train_dataset)
        generator = torch.Generator().manual_seed(self.args.seed)
        return LengthGroupedSampler(self.args.train_batch_size, lengths=list(lengths), generator=generator)


class _Bar(ProgressCallback):
    """A progress bar alone; losses are in the result and need not be printed between."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Prints nothing."""


def _scored(metrics: Metrics, prediction: Any) -> dict[str, float]:
    """The metrics, and the first of them under the name by which the best epoch is found."""
    values = metrics(prediction)
    return {**values, SCORE: next(iter(values.values()))}


def _accuracy(prediction: Any) -> dict[str, float]:
    logits: Sequence[Any] | np.ndarray[Any, Any] = prediction.predictions
    scores = logits[0] if isinstance(logits, tuple) else logits
    # -100 marks what has no label, such as special tokens between labelled words.
    counted = prediction.label_ids != -100
    return {"accuracy": float((np.argmax(scores, axis=-1) == prediction.label_ids)[counted].mean())}


def _listed(numbers: dict[str, Any]) -> str:
    return ", ".join(f"{value} {name}" for name, value in numbers.items())
