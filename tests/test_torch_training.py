"""Data sets, collation, the light model, fine-tuning and fidelity."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, BertForSequenceClassification

from models import TOKENS, build
from plans import plan_between
from tei.errors import EmptySourceError, InvalidInputError
from tei.plan import ResizePlan
from tei.tokenizer import Tokenizer
from tei.torch import (
    BagOfTokens,
    Collate,
    TextClassificationDataset,
    TokenClassificationDataset,
    apply,
    fidelity,
    fine_tune,
)
from tei.torch.data import trim
from tei.torch.fidelity import embed, spearman

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["the cat sat", "dogs bark loudly at night", "a", ""]


class Words:
    """A tokenizer of white-space separated `t7` words with BERT's special ids, in the form of transformers'."""

    pad_token_id = 0

    def __init__(self, tokens: list[str] = TOKENS) -> None:
        self.ids = {token: i for i, token in enumerate(tokens)}

    def __call__(self, texts: list[str], *, add_special_tokens: bool = True, **options: object) -> dict[str, object]:
        rows = [[self.ids.get(word, 1) for word in text.split()] for text in texts]
        if add_special_tokens:
            rows = [[2, *row, 3] for row in rows]
        return {"input_ids": [row[: options.get("max_length")] for row in rows]}


@pytest.fixture(scope="module")
def bert_tokenizer(minilm):
    return AutoTokenizer.from_pretrained(minilm)


def test_dataset_items_equal_padded_encoding(bert_tokenizer) -> None:
    data = TextClassificationDataset(TEXTS, [0, 1, 0, 2], bert_tokenizer, max_len=6)
    padded = bert_tokenizer(TEXTS, padding="max_length", truncation=True, max_length=6, return_tensors="pt")
    batch = next(iter(DataLoader(data, batch_size=4)))
    assert torch.equal(batch["input_ids"], padded["input_ids"])
    assert torch.equal(batch["attention_mask"], padded["attention_mask"])
    assert batch["labels"].tolist() == [0, 1, 0, 2]


WORDS = [["The", "embeddings", "of", "São", "Paulo"], ["x"], ["unbelievable"] * 9]


def test_labels_follow_words_to_their_first_token(bert_tokenizer) -> None:
    """With tei's tokenizer and with transformers', also where the sentence is cut."""
    labels = [[i % 4 for i in range(len(row))] for row in WORDS]
    own, other = (
        TokenClassificationDataset(WORDS, labels, tokenizer, max_len=12)
        for tokenizer in (Tokenizer.from_pretrained(bert_tokenizer), bert_tokenizer)
    )
    for i, (words, numbers) in enumerate(zip(WORDS, labels, strict=True)):
        pieces = [bert_tokenizer.tokenize(word) for word in words]
        expected = [
            -100,
            *(n for row, label in zip(pieces, numbers, strict=True) for n in [label] + [-100] * (len(row) - 1)),
        ]
        expected = [*expected[:11], -100] + [-100] * (11 - len(expected))
        assert own[i]["labels"].tolist() == expected
        assert all(torch.equal(own[i][name], other[i][name]) for name in own[i])
    assert trim([own[1]])["labels"].tolist() == [[-100, 0, -100]]


@pytest.mark.parametrize(
    ("words", "labels", "error"),
    [
        ([], [], EmptySourceError),
        ([["a"]], [[0, 1]], InvalidInputError),
        ([["a"]], [], InvalidInputError),
        ([["a"]], [[-1]], InvalidInputError),
    ],
)
def test_bad_word_labels(words, labels, error) -> None:
    with pytest.raises(error):
        TokenClassificationDataset(words, labels, Words())


def test_vocab_index_marks_padding(bert_tokenizer) -> None:
    data = TextClassificationDataset(TEXTS, [0, 1, 0, 2], bert_tokenizer, max_len=8)
    for i in range(len(data)):
        item, index = data[i], data.get_vocab_index(i)
        assert torch.equal(index >= 0, item["attention_mask"].bool())
        assert torch.equal(index.clamp(min=0), item["input_ids"])
    assert torch.equal(data.get_vocab_index(-1), data.get_vocab_index(3))
    with pytest.raises(IndexError):
        data[4]


@pytest.mark.parametrize(
    ("texts", "labels", "error", "words"),
    [
        ([], [], EmptySourceError, "no text"),
        (["a"], [0, 1], InvalidInputError, "1 texts have 2 labels"),
        (["a"], ["good"], InvalidInputError, "'good' are not class numbers"),
        (["a"], [-1], InvalidInputError, "-1 are not class numbers"),
        (["a"], [0.5], InvalidInputError, "not class numbers"),
    ],
)
def test_bad_data_sets(texts, labels, error, words) -> None:
    with pytest.raises(error, match=words):
        TextClassificationDataset(texts, labels, Words())


def test_collate_and_trim_give_the_same_batch(bert_tokenizer) -> None:
    data = TextClassificationDataset(TEXTS, [0, 1, 0, 2], bert_tokenizer, max_len=20)
    trimmed = trim([data[i] for i in range(4)])
    assert all(tensor.is_contiguous() for tensor in trimmed.values())
    collated = Collate(bert_tokenizer, max_length=20)(list(zip(TEXTS, [0, 1, 0, 2], strict=True)))
    for name, tensor in trimmed.items():
        assert torch.equal(tensor, collated[name])
    assert "labels" not in Collate(bert_tokenizer)(TEXTS)


def test_collate_shares_memory_with_numpy() -> None:
    rows = np.arange(6).reshape(2, 3)
    batch = Collate(lambda _texts, **_: {"input_ids": rows})(["a", "b"])
    rows[0, 0] = 9
    assert batch["input_ids"][0, 0] == 9


def slow_logits(model: BagOfTokens, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`W c + b` with the count vector written out."""
    counts = torch.zeros(len(ids), model.weight.num_embeddings)
    for i, row in enumerate(ids.tolist()):
        for j, token in enumerate(row):
            if token >= 0 and mask[i, j]:
                counts[i, token] += 1
    return counts @ model.weight.weight + model.bias


def random_bag(size: int) -> BagOfTokens:
    torch.manual_seed(0)
    model = BagOfTokens(size, 3)
    with torch.no_grad():
        model.weight.weight.normal_()
        model.bias.normal_()
    return model


def test_bag_of_tokens_equals_the_count_vector_model() -> None:
    model = random_bag(20)
    ids, mask = torch.randint(-1, 20, (7, 9)), torch.randint(0, 2, (7, 9))
    torch.testing.assert_close(model(ids, mask).logits, slow_logits(model, ids, mask))
    result = model(ids, mask, torch.zeros(7, dtype=torch.long))
    torch.testing.assert_close(result.loss, -torch.log_softmax(result.logits, 1)[:, 0].mean())
    assert model(torch.full((2, 3), -1)).logits.tolist() == [model.bias.tolist()] * 2


def test_sum_keeps_the_logits_of_a_bag_when_pieces_become_one_token() -> None:
    model = random_bag(4)
    before = model(torch.tensor([[1, 2, 2, 3]])).logits
    plan = ResizePlan.from_tokens(
        ["[UNK]", "play", "##a", "now"],
        ["[UNK]", "playaa", "now"],
        added={"playaa": ([1, 2, 2], [0.5, 0.25, 0.25])},
        dropped={"play": ([0], [1.0]), "##a": ([0], [1.0])},
        source_fingerprint="a",
        target_fingerprint="b",
    )
    apply(plan, model, init="sum")
    torch.testing.assert_close(model(torch.tensor([[1, 2]])).logits, before)


def labelled(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Texts whose class is told by two words."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count).tolist()
    words = [[f"t{i}" for i in generator.integers(4, 35, 5)] + [f"t{label}"] for label in labels]
    return [" ".join(row) for row in words], labels


@pytest.mark.parametrize("kind", ["bag", "bert"])
def test_fine_tune_learns_goes_on_after_a_resize_and_repeats(kind: str) -> None:
    def fresh():
        return BagOfTokens(len(TOKENS), 2) if kind == "bag" else build("bert-classifier")

    train = TextClassificationDataset(*labelled(200, 0), Words(), max_len=10)
    valid = TextClassificationDataset(*labelled(60, 1), Words(), max_len=10)
    options = {"batch_size": 16, "epochs": 6, "learning_rate": 2e-2}
    models = [fresh() for _ in range(2)]
    results = [fine_tune(model, train, valid, **options) for model in models]
    assert results[0].losses == results[1].losses
    assert results[0].accuracy > 0.95
    assert results[0].samples == 1200
    assert results[0].seconds > 0
    assert results[0].losses[-1] < results[0].losses[0] / 2
    plan = plan_between(TOKENS, [*TOKENS[:20], *TOKENS[25:], "x"], 0)
    optimizer = torch.optim.AdamW(models[0].parameters(), lr=1e-3)
    apply(plan, models[0], optimizer)
    words = Words(list(plan.target))
    again = [TextClassificationDataset(*labelled(n, s), words, max_len=10) for n, s in ((100, 2), (60, 1))]
    assert fine_tune(models[0], *again, epochs=1, optimizer=optimizer).accuracy > 0.9


def test_fine_tune_is_quiet_and_leaves_nothing(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    data = TextClassificationDataset(*labelled(8, 0), Words(), max_len=10)
    result = fine_tune(BagOfTokens(len(TOKENS), 2), data, epochs=0.5, batch_size=4)
    assert result.accuracy is None
    assert result.samples == 4
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    model = build("bert-classifier")
    fine_tune(model, data, epochs=1, output_dir=tmp_path / "out")
    assert BertForSequenceClassification.from_pretrained(tmp_path / "out").config.num_labels == 3


def test_accumulated_batches_are_one_large_batch() -> None:
    data = TextClassificationDataset(*labelled(64, 0), Words(), max_len=10)
    options = {"epochs": 2, "learning_rate": 1e-2}
    models = [BagOfTokens(len(TOKENS), 2) for _ in range(2)]
    large = fine_tune(models[0], data, batch_size=32, **options)
    small = fine_tune(models[1], data, batch_size=8, accumulate=4, **options)
    assert large.samples == small.samples == 128
    torch.testing.assert_close(models[0].weight.weight, models[1].weight.weight)


@pytest.mark.parametrize("kind", ["bag", "bert"])
def test_patience_keeps_the_best_epoch(kind: str) -> None:
    """At an absurd rate with labels of noise, the last epoch is not the best; what is kept is."""
    model = BagOfTokens(len(TOKENS), 2) if kind == "bag" else build("bert-classifier")
    texts, labels = labelled(64, 0)
    noise = np.random.default_rng(3).integers(0, 2, 40).tolist()
    data = TextClassificationDataset(texts, labels, Words(), max_len=10)
    valid = TextClassificationDataset(labelled(40, 5)[0], noise, Words(), max_len=10)
    seen = []

    def metrics(prediction):
        logits = prediction.predictions
        seen.append(float((logits.argmax(-1) == prediction.label_ids).mean()))
        return {"accuracy": seen[-1]}

    result = fine_tune(model, data, valid, epochs=12, learning_rate=0.3, patience=2, metrics=metrics)
    epochs = seen[:-1]
    assert len(epochs) == result.samples / 64 < 12
    assert result.accuracy == seen[-1] == max(epochs)
    assert result.best_epoch == epochs.index(max(epochs)) + 1 == len(epochs) - 2
    assert result.metrics.keys() == {"accuracy", "loss"}


def test_tensorboard_gets_losses_and_the_last_metrics(tmp_path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data = TextClassificationDataset(*labelled(32, 0), Words(), max_len=10)
    result = fine_tune(BagOfTokens(len(TOKENS), 2), data, data, epochs=2, log_dir=tmp_path)
    values = {}
    for path in tmp_path.iterdir():
        events = EventAccumulator(str(path)).Reload()
        values |= {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert values["train/loss"] == pytest.approx(result.losses, abs=1e-3)
    assert values["eval/accuracy"] == [pytest.approx(result.accuracy)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "0 epochs"),
        ({"accumulate": 0}, "0 accumulate"),
        ({"patience": 0}, "0 patience"),
        ({"patience": 1}, "judges by valid"),
        ({"precision": "half"}, "'half'"),
    ],
)
def test_bad_settings_of_fine_tuning(options, words) -> None:
    data = TextClassificationDataset(*labelled(8, 0), Words(), max_len=10)
    with pytest.raises(InvalidInputError, match=words):
        fine_tune(BagOfTokens(len(TOKENS), 2), data, **options)


def test_mixed_precision_where_there_is_a_device_for_it() -> None:
    data = TextClassificationDataset(*labelled(32, 0), Words(), max_len=10)
    result = fine_tune(build("bert-classifier"), data, epochs=1, precision="bfloat16")
    assert np.isfinite(result.losses).all()
    if not torch.cuda.is_available():
        with pytest.raises(InvalidInputError, match="float16 needs a CUDA device"):
            fine_tune(build("bert-classifier"), data, precision="float16")


def test_spearman_equals_its_definition() -> None:
    generator = np.random.default_rng(0)
    one, two = generator.integers(0, 9, 50).astype(float), generator.normal(size=50)
    ranks = [[(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values] for values in (one, two)]
    assert spearman(one, two) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert np.isnan(spearman(one, np.ones(50)))


@pytest.mark.parametrize("name", ["bert", "bert-mlm", "t5", "gpt2", "llama", "bart"])
def test_embedding_does_not_depend_on_batches(name: str) -> None:
    model = build(name).train()
    texts = [" ".join(f"t{j}" for j in range(i % 6 + 1)) for i in range(9)]
    vectors = embed(model, Words(), texts, batch_size=4)
    assert model.training
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    single = np.concatenate([embed(model, Words(), [text]) for text in texts])
    np.testing.assert_allclose(vectors, single, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "bert-classifier", "bag"])
def test_fidelity_is_one_for_the_tokens_in_use(name: str) -> None:
    model, new = (random_bag(len(TOKENS)) if name == "bag" else build(name) for _ in range(2))
    texts = [f"t{i} t{i + 3} t{i % 5}" for i in range(12)]
    used = {word for text in texts for word in text.split()}
    plan = plan_between(TOKENS, [t for i, t in enumerate(TOKENS) if i < 5 or t in used], 0)
    apply(plan, new)
    same = fidelity(model, new, Words(), Words(list(plan.target)), texts)
    assert same.cosine == pytest.approx(1, abs=1e-6)
    assert same.spearman == pytest.approx(1, abs=1e-6)
    assert same.tokens_before == same.tokens_after == 3
    with pytest.raises(EmptySourceError):
        fidelity(model, new, Words(), Words(), [])
