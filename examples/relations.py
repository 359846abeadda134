"""Relations between two entities (SemEval 2010, task 8): new tokens mark the entities, and start from words that describe them.

`python examples/relations.py` needs the extra `demo` and TEI_DATA.
"""

from typing import Any

from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

from tei.demo import model_directory
from tei.plan import ResizePlan
from tei.tokenizer import Tokenizer
from tei.torch import TextClassificationDataset, apply, fine_tune
from texts import arguments, objects

MARKERS = {
    "[E1]": "first entity begins",
    "[/E1]": "first entity ends",
    "[E2]": "second entity begins",
    "[/E2]": "second entity ends",
}


def main() -> None:
    """Adds the markers to tokenizer and model, trains, and prints the accuracy."""
    options = arguments(__doc__, epochs=3, learning_rate=2e-4).parse_args()
    parts = [load(part)[: options.limit] for part in ("train", "test")]
    names = sorted({row["label"] for part in parts for row in part})

    set_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(model_directory(), num_labels=len(names))
    tokenizer, plan = with_markers(Tokenizer.from_pretrained(model_directory()))
    apply(plan, model)
    training, test = (
        TextClassificationDataset(
            [marked(row) for row in part], [names.index(row["label"]) for row in part], tokenizer, 96
        )
        for part in parts
    )
    print(" ".join(tokenizer.encode(marked(parts[0][0])).tokens))
    result = fine_tune(model, training, test, epochs=options.epochs, learning_rate=options.learning_rate, progress=True)
    print(f"loss {result.losses[0]:.3f} -> {result.losses[-1]:.3f} in {result.seconds:.0f} s")
    print(f"accuracy {100 * (result.accuracy or 0):.1f} % on {len(test):,} other sentences, {len(names)} relations")


def load(part: str) -> list[dict[str, Any]]:
    """Sentences; the few whose entity lies beyond their end in the source are left out."""
    rows = objects(f"re/semeval2010_task8.{part}.jsonl.xz")
    return [row for row in rows if max(row["e1_word"], row["e2_word"]) < len(row["text"].split(" "))]


def with_markers(tokenizer: Tokenizer) -> tuple[Tokenizer, ResizePlan]:
    """The tokenizer with the markers as special tokens, and the plan that brings a model there."""
    backend = AutoTokenizer.from_pretrained(model_directory())
    backend.add_tokens(list(MARKERS), special_tokens=True)
    larger = Tokenizer.from_pretrained(backend)
    pieces = {marker: tokenizer.encode(words).ids for marker, words in MARKERS.items()}
    plan = ResizePlan.from_tokens(
        tokenizer.tokens,
        larger.tokens,
        added={marker: (ids, [1 / len(ids)] * len(ids)) for marker, ids in pieces.items()},
        dropped={},
        source_fingerprint=tokenizer.fingerprint,
        target_fingerprint=larger.fingerprint,
    )
    return larger, plan


def marked(row: dict[str, Any]) -> str:
    """The sentence with its entities between markers."""
    words = row["text"].split(" ")
    for name, place in (("E1", row["e1_word"]), ("E2", row["e2_word"])):
        words[place] = f"[{name}] {words[place]} [/{name}]"
    return " ".join(words)


if __name__ == "__main__":
    main()
