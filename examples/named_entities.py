"""Named entities in social media (WNUT 17): words are labelled, so labels follow words to their first token.

Metric: entity F1 by seqeval. `python examples/named_entities.py` needs the extra `examples` and TEI_DATA.
"""

from typing import Any

from seqeval.metrics import f1_score
from transformers import AutoModelForTokenClassification, set_seed

from tei.demo import model_directory
from tei.tokenizer import Tokenizer
from tei.torch import TokenClassificationDataset, adapt, fine_tune
from texts import arguments, tagged


def main() -> None:
    """Fits vocabulary and model to the texts, trains, and prints the F1 on other texts."""
    options = arguments(__doc__, epochs=3, learning_rate=3e-4).parse_args()
    parts = [tagged(f"ner/en_wnut17/{part}.conll.xz")[: options.limit] for part in ("train", "test")]
    names = sorted({tag for part in parts for _, tags in part for tag in tags})
    numbers = {name: number for number, name in enumerate(names)}

    set_seed(0)
    model = AutoModelForTokenClassification.from_pretrained(model_directory(), num_labels=len(names))
    tokenizer = Tokenizer.from_pretrained(model_directory())
    model, tokenizer, plan = adapt(model, tokenizer, [" ".join(words) for words, _ in parts[0]])
    print(plan.summary())

    training, test = (
        TokenClassificationDataset(
            [words for words, _ in part], [[numbers[tag] for tag in tags] for _, tags in part], tokenizer, max_len=80
        )
        for part in parts
    )

    def metrics(prediction: Any) -> dict[str, float]:
        rows = zip(prediction.label_ids, prediction.predictions.argmax(-1), strict=True)
        kept = [(truth[truth >= 0], guess[truth >= 0]) for truth, guess in rows]
        truth, guesses = ([[names[i] for i in pair[side]] for pair in kept] for side in (0, 1))
        return {"f1": float(f1_score(truth, guesses, zero_division=0))}

    result = fine_tune(
        model,
        training,
        test,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        metrics=metrics,
        progress=True,
    )
    print(f"loss {result.losses[0]:.3f} -> {result.losses[-1]:.3f} in {result.seconds:.0f} s")
    print(f"entity F1 {100 * result.metrics['f1']:.1f} % on {len(test):,} other sentences")


if __name__ == "__main__":
    main()
