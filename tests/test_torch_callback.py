"""The vocabulary changes inside transformers' `Trainer`, which reports it, saves it and resumes."""

from pathlib import Path

import pytest
import torch
from transformers import BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from models import bert
from runs import Scripted, texts, tokenizer
from tei.errors import FileFormatError, InvalidInputError
from tei.torch import Collate, TextDataset, VocabularyCallback, VocabularyScheduler

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = texts(4, 48)


class Reports(TrainerCallback):
    """What a trainer hands to TensorBoard and the like."""

    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        self.logs.append(dict(logs))


class Job:
    def __init__(self, folder: Path, every: int | None = None) -> None:
        torch.manual_seed(0)
        tok = tokenizer()
        self.model = bert(BertForSequenceClassification, tok.vocab_size, num_labels=2)
        policy = Scripted((["abcd", "dcba"], []), ([], ["abcd"]), (["aabb"], []), ([], []))
        self.scheduler = VocabularyScheduler(tok, self.model, policy=policy)
        self.reports, self.callback = Reports(), VocabularyCallback(self.scheduler, every)
        arguments = TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=8,
            max_steps=24,
            logging_steps=1,
            save_steps=8,
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            learning_rate=0.01,
            seed=1,
        )
        self.trainer = Trainer(
            model=self.model,
            args=arguments,
            train_dataset=TextDataset(TEXTS, [i % 2 for i in range(len(TEXTS))]),
            data_collator=Collate(self.scheduler, max_length=16),
            callbacks=[self.reports],
        )
        self.callback.attach(self.trainer)

    def losses(self) -> list[float]:
        return [entry["loss"] for entry in self.trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("every", [None, 6])
def test_trainer_steps_reports_saves_and_resumes(tmp_path, every: int | None) -> None:
    job = Job(tmp_path, every)
    job.trainer.train()
    # Four epochs of six steps, or every sixth step: the same moments.
    assert job.scheduler.version == 3
    assert job.model.get_input_embeddings().weight.shape[0] == job.scheduler.tokenizer.vocab_size == 33
    assert job.model.config.vocab_size == 33
    reported = [logs for logs in job.reports.logs if "vocabulary/vocabulary" in logs]
    assert [logs["vocabulary/vocabulary"] for logs in reported] == [32, 31, 32, 32]
    assert [logs["vocabulary/rows_dropped"] for logs in reported] == [0, 1, 0, 0]
    assert all(logs["vocabulary/fertility"] >= 1 for logs in reported)

    other = Job(tmp_path / "other", every)
    checkpoint = tmp_path / "checkpoint-16"
    other.callback.resume(checkpoint)
    assert other.scheduler.tokenizer.retired
    other.trainer.train(resume_from_checkpoint=str(checkpoint))
    assert other.losses() == job.losses()
    assert other.scheduler.tokenizer.fingerprint == job.scheduler.tokenizer.fingerprint


def test_what_cannot_be_is_refused(tmp_path) -> None:
    job = Job(tmp_path)
    with pytest.raises(FileFormatError, match="vocabulary"):
        job.callback.resume(tmp_path)
    with pytest.raises(InvalidInputError, match="every is 0"):
        VocabularyCallback(job.scheduler, 0)
