"""Dialogue (ChatterBot's English conversations): a small causal model over turns, each opened by who speaks.

`python examples/dialogue.py` needs the extra `torch` and TEI_DATA.
"""

import math
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, set_seed

from tei.tokenizer import Tokenizer
from tei.torch import fine_tune
from tei.torch.data import trim
from texts import arguments, items, objects

SPEAKERS = ("[USER]", "[BOT]")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SPEAKERS]
LENGTH = 64


def main() -> None:
    """Trains on the conversations, prints the perplexity of others and a reply."""
    parser = arguments(__doc__, epochs=5, learning_rate=1e-3)
    parser.add_argument("--vocab-size", type=int, default=2_000)
    options = parser.parse_args()
    rows = [row["turns"] for row in objects("dialogue/chatterbot_en_zh_de_es.jsonl.xz") if row["lang"] == "english"]
    test, training = rows[::10], [row for number, row in enumerate(rows) if number % 10]
    test, training = test[: options.limit], training[: options.limit]

    set_seed(0)
    turns = [turn for row in training for turn in row]
    tokenizer = Tokenizer.train(turns, vocab_size=options.vocab_size, special_tokens=SPECIAL)
    sizes: dict[str, Any] = {"n_embd": 128, "n_layer": 2, "n_head": 4, "n_positions": LENGTH}
    roles: dict[str, Any] = {
        "bos_token_id": tokenizer.vocab["[CLS]"],
        "eos_token_id": tokenizer.vocab["[SEP]"],
        "pad_token_id": 0,
    }
    model = GPT2LMHeadModel(GPT2Config(vocab_size=tokenizer.vocab_size, **sizes, **roles))
    before = perplexity(model, dataset(tokenizer, test))
    result = fine_tune(
        model, dataset(tokenizer, training), epochs=options.epochs, learning_rate=options.learning_rate, progress=True
    )
    print(f"loss {result.losses[0]:.3f} -> {result.losses[-1]:.3f} in {result.seconds:.0f} s")
    print(
        f"perplexity {before:.0f} -> {perplexity(model, dataset(tokenizer, test)):.1f} on {len(test):,} other dialogues"
    )
    print(f"{SPEAKERS[0]} {test[0][0]}\n{SPEAKERS[1]} {reply(model, tokenizer, test[0][:1])}")


def written(turns: list[str]) -> str:
    """A conversation as one text; the tokenizer knows the speakers as tokens."""
    return " ".join(f"{SPEAKERS[number % 2]} {turn}" for number, turn in enumerate(turns))


def dataset(tokenizer: Tokenizer, rows: list[list[str]]) -> list[dict[str, Any]]:
    """Conversations whose tokens are their own labels."""
    options: dict[str, Any] = {
        "padding": "max_length",
        "truncation": True,
        "max_length": LENGTH,
        "return_tensors": "pt",
    }
    batch = tokenizer([written(turns) for turns in rows], **options)
    return items(batch, labels=batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100))


@torch.inference_mode()
def perplexity(model: Any, data: list[dict[str, Any]]) -> float:
    """Exponential of the mean loss."""
    model.eval()
    losses = [float(model(**trim(data[i : i + 50])).loss) for i in range(0, len(data), 50)]
    return math.exp(sum(losses) / len(losses))


@torch.inference_mode()
def reply(model: Any, tokenizer: Tokenizer, turns: list[str]) -> str:
    """What the model says next, token by token the most probable."""
    prompt = tokenizer(f"{written(turns)} {SPEAKERS[len(turns) % 2]}", return_tensors="pt")["input_ids"][..., :-1]
    ids = model.generate(prompt.reshape(1, -1), attention_mask=torch.ones(1, prompt.shape[-1]), max_new_tokens=20)
    return tokenizer.decode(ids[0, prompt.shape[-1] :].numpy(), skip_special_tokens=True)


if __name__ == "__main__":
    main()
