"""Small runs with a vocabulary that changes, shared by the tests of scheduler, workers, ranks and checkpoints."""

import random

import torch
from torch import Tensor, nn

from tei import Tokenizer
from tei.policy import Decision, Evidence
from tei.torch import VocabularyScheduler

LETTERS = "abcdefgh"


def words(seed: int, count: int) -> list[str]:
    """Random words of few letters, some much more frequent than others."""
    generator = random.Random(seed)
    pool = ["".join(generator.choices(LETTERS, k=generator.randint(2, 7))) for _ in range(60)]
    return [pool[int(60 * generator.random() ** 3)] for _ in range(count)]


def texts(seed: int, count: int) -> list[str]:
    """Texts of such words, of different lengths."""
    pool = words(seed, 8 * count)
    return [" ".join(pool[8 * i : 8 * i + 1 + i % 8]) for i in range(count)]


def tokenizer() -> Tokenizer:
    return Tokenizer.train([" ".join(LETTERS), LETTERS, *texts(0, 20)], vocab_size=30, min_count=1)


class Classifier(nn.Module):
    """A model in the manner of transformers: mean of embeddings, dropout, two classes."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, 6, padding_idx=0)
        self.head = nn.Linear(6, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, **_: Tensor) -> dict[str, Tensor]:
        rows = self.table(input_ids) * attention_mask[..., None]
        logits = self.head(nn.functional.dropout(rows.mean(1), 0.2, self.training))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Scripted:
    """A policy that adds and drops what it is told, step by step."""

    def __init__(self, *steps: tuple[list[str], list[str]]) -> None:
        self.steps, self.at = list(steps), 0

    def decide(self, evidence: Evidence) -> Decision:
        add, drop = self.steps[self.at]
        self.at += 1
        return Decision.of(drop, add)

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


class Run:
    """Tokenizer, model, optimizer and scheduler; equal for equal seeds."""

    def __init__(self, policy: object = None, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.tokenizer = tokenizer()
        self.model = Classifier(self.tokenizer.vocab_size)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.scheduler = VocabularyScheduler(self.tokenizer, self.model, self.optimizer, policy)

    def train(self, batch: dict[str, Tensor]) -> float:
        loss = self.model(**batch)["loss"]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()
