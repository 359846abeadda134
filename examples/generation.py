"""Translation (Multi30k, English to German) and summarization (a headline for a news text) by a small encoder-decoder.

Vocabulary and model start from nothing, so a few minutes on a processor teach little; the steps are those of a large model.
Metrics: BLEU by sacrebleu, ROUGE-L by rouge-score. `python examples/generation.py` needs the extra `examples` and TEI_DATA.
"""

from typing import Any

import sacrebleu
import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import T5Config, T5ForConditionalGeneration, set_seed

from tei.scheme import Scheme
from tei.tokenizer import Tokenizer
from tei.torch import fine_tune
from texts import arguments, items, lines, objects

LENGTH = 48
Pairs = list[tuple[str, str]]


def main() -> None:
    """Trains from the texts alone and prints the metric on other texts."""
    parser = arguments(__doc__, epochs=3, learning_rate=1e-3)
    parser.add_argument("--task", choices=("translation", "summarization"), default="translation")
    parser.add_argument("--vocab-size", type=int, default=6_000)
    options = parser.parse_args()
    training, test = (
        part[: options.limit] for part in (translations() if options.task == "translation" else headlines())
    )
    test = test[:200]

    set_seed(0)
    texts = [text for pair in training for text in pair]
    tokenizer = Tokenizer.train(texts, vocab_size=options.vocab_size, scheme=Scheme.bert(lowercase=False))
    model = small_model(tokenizer)
    result = fine_tune(
        model,
        dataset(tokenizer, training),
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=32,
        progress=True,
    )
    print(f"loss {result.losses[0]:.3f} -> {result.losses[-1]:.3f} in {result.seconds:.0f} s")
    written = generate(model, tokenizer, [source for source, _ in test])
    print(f"{test[0][0]}\n-> {written[0]}")
    truth = [target for _, target in test]
    if options.task == "translation":
        print(f"BLEU {sacrebleu.corpus_bleu(written, [truth]).score:.1f} on {len(test):,} other sentences")
    else:
        scorer = RougeScorer(["rougeL"], use_stemmer=True)
        scores = [scorer.score(one, two)["rougeL"].fmeasure for one, two in zip(truth, written, strict=True)]
        print(f"ROUGE-L {100 * sum(scores) / len(scores):.1f} on {len(test):,} other texts")


def translations() -> tuple[Pairs, Pairs]:
    """Captions in English and German."""
    training, test = (
        list(zip(*(lines(f"mt/multi30k.{part}.{language}.txt.xz") for language in ("en", "de")), strict=True))
        for part in ("train", "test_2016_flickr")
    )
    return training, test


def headlines() -> tuple[Pairs, Pairs]:
    """News texts and their headlines."""
    pairs = [(row["document"], row["summary"]) for row in objects("summ/en_ag_news_headline.jsonl.xz")]
    return pairs[:-500], pairs[-500:]


def small_model(tokenizer: Tokenizer) -> T5ForConditionalGeneration:
    """Two layers, one embedding for encoder, decoder and head."""
    ids: dict[str, Any] = {
        f"{name}_token_id": tokenizer.vocab[token] for name, token in (("pad", "[PAD]"), ("eos", "[SEP]"))
    }
    sizes: dict[str, Any] = {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_heads": 4}
    start: dict[str, Any] = {"decoder_start_token_id": tokenizer.vocab["[PAD]"]}
    return T5ForConditionalGeneration(T5Config(vocab_size=tokenizer.vocab_size, **sizes, **ids, **start))


def dataset(tokenizer: Tokenizer, pairs: Pairs) -> list[dict[str, Any]]:
    """Sources as input, targets as labels; padding of targets does not count."""
    options: dict[str, Any] = {
        "padding": "max_length",
        "truncation": True,
        "max_length": LENGTH,
        "return_tensors": "pt",
    }
    sources, targets = (tokenizer([pair[side] for pair in pairs], **options) for side in (0, 1))
    # Targets begin after [CLS]: the decoder starts from [PAD].
    labels = targets["input_ids"].masked_fill(targets["attention_mask"] == 0, -100)[:, 1:]
    return items(sources, labels=torch.nn.functional.pad(labels, (0, 1), value=-100))


@torch.inference_mode()
def generate(model: Any, tokenizer: Tokenizer, sources: list[str]) -> list[str]:
    """The most probable token after the other."""
    batch = tokenizer(sources, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    return tokenizer.decode_batch(model.generate(**inputs, max_new_tokens=LENGTH).numpy(), skip_special_tokens=True)


if __name__ == "__main__":
    main()
