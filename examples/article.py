"""The article's example on real data: texts to vocabulary indices, then fine-tuning a Transformer to classify them.

The texts are the questions of bank customers that tei ships, the model is MiniLM-L6 from the extra `demo`:

    python examples/article.py
    python examples/article.py --adapt --epochs 1       # first fit vocabulary and model to the texts
"""

import argparse

from transformers import AutoModelForSequenceClassification, set_seed

from tei.demo import load_texts, model_directory
from tei.tokenizer import Tokenizer
from tei.torch import TextClassificationDataset, adapt, fine_tune


def main() -> None:
    """Runs the example and prints what it came to."""
    options = _arguments()
    training, test = load_texts("train").head(options.limit), load_texts("test").head(options.limit)
    tokenizer = Tokenizer.from_pretrained(model_directory())
    # The seed fixes the random weights of the new classification layer.
    set_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(model_directory(), num_labels=len(training.names))
    if options.adapt:
        model, tokenizer, plan = adapt(model, tokenizer, training.texts)
        print(plan.summary())

    dataset = TextClassificationDataset(training.texts, training.labels, tokenizer, max_len=64)
    valid = TextClassificationDataset(test.texts, test.labels, tokenizer, max_len=64)
    print(f"text:    {training.texts[0]}\nindices: {dataset.get_vocab_index(0).tolist()}  (-1 is padding)")

    result = fine_tune(
        model, dataset, valid, batch_size=16, epochs=options.epochs, learning_rate=options.learning_rate, progress=True
    )
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{tokenizer.vocab_size:,} tokens, {parameters:,} parameters, {result.samples:,} samples")
    print(f"loss {result.losses[0]:.3f} -> {result.losses[-1]:.3f} in {result.seconds:.1f} s")
    print(f"accuracy {100 * (result.accuracy or 0):.1f} % on {len(valid):,} other texts")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=5, help="passes over the texts (default: 5)")
    parser.add_argument("--learning-rate", type=float, default=2e-5, help="highest rate (default: 2e-5)")
    parser.add_argument("--limit", type=int, default=100_000, help="use at most this many texts")
    parser.add_argument("--adapt", action="store_true", help="fit vocabulary and model to the texts first")
    return parser.parse_args()


if __name__ == "__main__":
    main()
