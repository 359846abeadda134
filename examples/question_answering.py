"""Answers as spans of a paragraph (XQuAD, English): long paragraphs become overlapping windows, offsets lead back to text.

Metrics: exact matches and word F1 (ROUGE-1). `python examples/question_answering.py` needs the extra `examples` and TEI_DATA.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import AutoModelForQuestionAnswering, set_seed

from tei.demo import model_directory
from tei.tokenizer import Tokenizer
from tei.torch import fine_tune
from tei.torch.data import trim
from texts import arguments, items, lines

WINDOW: dict[str, Any] = {
    "max_length": 192,
    "stride": 64,
    "truncation": "only_second",
    "padding": "max_length",
    "return_overflowing_tokens": True,
    "return_offsets_mapping": True,
}


class Question(NamedTuple):
    """A question, the paragraph that answers it, and where."""

    text: str
    paragraph: str
    answer: str
    start: int


def main() -> None:
    """Trains on the first paragraphs and answers the questions about the others."""
    options = arguments(__doc__, epochs=3, learning_rate=2e-4).parse_args()
    questions = load()
    cut = len(questions) * 4 // 5
    training, test = questions[:cut][: options.limit], questions[cut:][: options.limit]
    set_seed(0)
    tokenizer = Tokenizer.from_pretrained(model_directory())
    model = AutoModelForQuestionAnswering.from_pretrained(model_directory())
    dataset = windows(tokenizer, training)
    result = fine_tune(model, dataset, epochs=options.epochs, learning_rate=options.learning_rate, progress=True)
    print(f"{len(training):,} questions in {len(dataset):,} windows of {WINDOW['max_length']} tokens")
    print(f"loss {result.losses[0]:.3f} -> {result.losses[-1]:.3f} in {result.seconds:.0f} s")
    scorer = RougeScorer(["rouge1"])
    answers = [answer(model, tokenizer, question) for question in test]
    pairs = [(question.answer, found) for question, found in zip(test, answers, strict=True)]
    f1 = sum(scorer.score(truth, found)["rouge1"].fmeasure for truth, found in pairs) / len(pairs)
    exact = sum(truth == found for truth, found in pairs) / len(pairs)
    print(f"{100 * exact:.1f} % exact, word F1 {100 * f1:.1f} % on {len(test):,} questions about other paragraphs")


def load() -> list[Question]:
    """All questions, in the order of their paragraphs."""
    articles = json.loads("\n".join(lines("qa/xquad.en.json.xz")))["data"]
    return [
        Question(row["question"], paragraph["context"], row["answers"][0]["text"], row["answers"][0]["answer_start"])
        for article in articles
        for paragraph in article["paragraphs"]
        for row in paragraph["qas"]
    ]


def windows(tokenizer: Tokenizer, questions: list[Question]) -> list[dict[str, Any]]:
    """Windows with the first and last token of the answer; where it is not in a window, both point at [CLS]."""
    batch = tokenizer([q.text for q in questions], [q.paragraph for q in questions], return_tensors="pt", **WINDOW)
    ends = torch.zeros((len(batch["input_ids"]), 2), dtype=torch.long)
    inside = paragraph_tokens(batch)
    for row, source in enumerate(batch["overflow_to_sample_mapping"].tolist()):
        start, stop = questions[source].start, questions[source].start + len(questions[source].answer)
        offsets = batch["offset_mapping"][row]
        first = (inside[row] & (offsets[:, 0] <= start) & (offsets[:, 1] > start)).nonzero()
        last = (inside[row] & (offsets[:, 0] < stop) & (offsets[:, 1] >= stop)).nonzero()
        if len(first) and len(last):
            ends[row] = torch.tensor([int(first[0]), int(last[0])])
    types = batch["token_type_ids"]
    return items(batch, token_type_ids=types, start_positions=ends[:, 0], end_positions=ends[:, 1])


def paragraph_tokens(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Where the windows hold text of the second kind; special tokens span nothing."""
    return (batch["token_type_ids"] == 1) & (batch["offset_mapping"][..., 1] > 0)


@torch.inference_mode()
def answer(model: Any, tokenizer: Tokenizer, question: Question) -> str:
    """The best span of at most 30 tokens over all windows of the paragraph."""
    batch = tokenizer([question.text], [question.paragraph], return_tensors="pt", **WINDOW)
    rows = trim(items(batch, token_type_ids=batch["token_type_ids"]))
    logits = model(**rows)
    inside = paragraph_tokens(batch)[:, : rows["input_ids"].shape[1]]
    scores = logits.start_logits[:, :, None] + logits.end_logits[:, None, :]
    allowed = inside[:, :, None] & inside[:, None, :] & torch.ones_like(scores, dtype=torch.bool).triu().tril(29)
    row, start, stop = torch.unravel_index(scores.masked_fill(~allowed, -torch.inf).argmax(), scores.shape)
    offsets = batch["offset_mapping"][row]
    return question.paragraph[int(offsets[start, 0]) : int(offsets[stop, 1])]


if __name__ == "__main__":
    main()
