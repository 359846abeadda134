"""The main job on a real model: adapted in memory and from directory to directory."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM, pipeline

from models import build
from tei.counts import WordCounts
from tei.demo import load_texts
from tei.errors import EmptySourceError, FileFormatError, InvalidInputError, MismatchError, OutputExistsError, TeiError
from tei.policy import Grow
from tei.tokenizer import Tokenizer
from tei.torch import Archive, adapt, adapt_directory, fidelity, load_model

TEXTS = list(load_texts("train").texts[:400])
OTHERS = list(load_texts("test").texts[:40])
SIZES = {"size": 2_000, "grow": 50}


@pytest.fixture(scope="module")
def adapted(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapt") / "out"
    adapt_directory(minilm, TEXTS, out, **SIZES)
    return out


@pytest.fixture(scope="module")
def masked(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small masked language model with MiniLM's tokenizer."""
    folder = tmp_path_factory.mktemp("masked")
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    BertForMaskedLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(minilm / name, folder / name)
    return folder


def test_a_model_in_memory(minilm: Path) -> None:
    model, old = load_model(minilm), Tokenizer.from_pretrained(minilm)
    same, tok, plan = adapt(model, old, TEXTS, **SIZES)
    assert same is model
    assert tok.tokens == plan.target
    assert model.get_input_embeddings().num_embeddings == model.config.vocab_size == tok.vocab_size
    assert tok.version == old.version + 1
    assert len(tok.encode_batch(TEXTS).ids) < len(old.encode_batch(TEXTS).ids)
    result = fidelity(load_model(minilm), model, old, tok, OTHERS)
    assert result.cosine > 0.9
    assert result.spearman > 0.9


def test_directory_after_directory_goes_on_with_history_and_rows(masked: Path, tmp_path: Path) -> None:
    archive = tmp_path / "rows.safetensors"
    adapt_directory(masked, TEXTS[:200], tmp_path / "one", size=2_000, grow=0, archive=archive)
    dropped = set(Archive.load(archive).tokens)
    plan = adapt_directory(tmp_path / "one", TEXTS, tmp_path / "two", policy=Grow(300), archive=archive)
    back = dropped & {plan.target[i] for i in plan.added}
    assert back
    old, new = (load_model(folder).get_input_embeddings().weight for folder in (masked, tmp_path / "two"))
    first, tok = Tokenizer.from_pretrained(masked), Tokenizer.from_pretrained(tmp_path / "two")
    for token in back:
        assert torch.equal(old[first.vocab[token]], new[tok.vocab[token]])
    assert [entry["version"] for entry in tok.history] == [1, 2]
    assert tok.history[0]["rows"].keys() == dropped
    assert tok.at(0).tokens == first.tokens
    with pytest.raises(MismatchError, match="the archive is of vocabulary"):
        first.apply(first.plan(TEXTS, size=4_000), archive=replace(Archive.load(archive), source_fingerprint="other"))


def test_an_archive_that_would_be_lost_is_refused(masked: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="which is replaced"):
        adapt_directory(masked, TEXTS, tmp_path / "out", archive=tmp_path / "out" / "rows.safetensors")
    with pytest.raises(InvalidInputError, match="size 2000 and grow 'auto' are given beside a policy"):
        adapt(load_model(masked), masked, TEXTS, size=2_000, policy=Grow(1))
    with pytest.raises(InvalidInputError, match="archive is str, must be an Archive"):
        adapt(load_model(masked), masked, TEXTS, archive="rows.safetensors")


@pytest.mark.parametrize("kind", ["module", "parameter", "bfloat16"])
def test_nothing_to_drop_and_rows_of_any_kind(kind: str) -> None:
    tok = Tokenizer.train(["low lower lowest"], vocab_size=20, min_count=1)
    table = torch.nn.Embedding(20, 4, dtype=torch.bfloat16 if kind == "bfloat16" else torch.float32)
    if kind == "parameter":
        assert tok.plan(["low"], size=19, weights=table.weight) == tok.plan(
            ["low"], size=19, weights=table.weight.tolist()
        )
    same, after, plan = adapt(table, tok, ["lowlow"] * 50, size=20, grow=1)
    assert (len(same.weight), after.tokens[-1], len(plan.dropped), after.history[0]["rows"]) == (21, "lowlow", 0, {})


@pytest.mark.parametrize("kind", ["list", "iterator", "path", "counts"])
def test_every_kind_of_source_gives_the_same_model(masked: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    tok = Tokenizer.from_pretrained(masked)
    source = {"list": TEXTS, "iterator": iter(TEXTS), "path": path, "counts": tok.count(TEXTS)}[kind]
    plan = adapt_directory(masked, source, tmp_path / "out", **SIZES)
    assert plan == adapt(load_model(masked), tok, TEXTS, **SIZES).plan
    assert Tokenizer.load(tmp_path / "out").tokens == plan.target


def test_the_directory_opens_everywhere(adapted: Path, minilm: Path) -> None:
    ours, theirs = Tokenizer.load(adapted), AutoTokenizer.from_pretrained(adapted)
    assert ours(OTHERS)["input_ids"] == theirs(OTHERS)["input_ids"]
    model = AutoModel.from_pretrained(adapted)
    assert len(model.get_input_embeddings().weight) == len(theirs) == ours.vocab_size
    features = pipeline("feature-extraction", model=str(adapted), framework="pt")
    assert len(features(OTHERS[0])[0]) == len(theirs(OTHERS[0])["input_ids"])
    assert theirs.model_max_length == AutoTokenizer.from_pretrained(minilm).model_max_length


def test_other_files_are_kept_and_stale_ones_are_not(adapted: Path, minilm: Path) -> None:
    for name in ("README.md", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        assert (adapted / name).read_bytes() == (minilm / name).read_bytes()
    assert [path.name for path in adapted.iterdir() if path.suffix in {".bin", ".safetensors"}] == ["model.safetensors"]
    assert len((adapted / "vocab.txt").read_text(encoding="utf-8").splitlines()) == Tokenizer.load(adapted).vocab_size
    assert json.loads((adapted / "config.json").read_text())["vocab_size"] == Tokenizer.load(adapted).vocab_size


def test_heads_are_kept(masked: Path, tmp_path: Path) -> None:
    plan = adapt_directory(masked, TEXTS, tmp_path / "out", pad_to_multiple_of=64, **SIZES)
    old, new = (AutoModelForMaskedLM.from_pretrained(folder) for folder in (masked, tmp_path / "out"))
    assert new.config.vocab_size % 64 == 0
    source, target = (torch.from_numpy(ids).long() for ids in plan.kept)
    assert torch.equal(new.cls.predictions.bias[target], old.cls.predictions.bias[source])
    ids = target[torch.arange(5) + 200][None]
    logits = old(source[torch.arange(5) + 200][None]).logits[..., source]
    torch.testing.assert_close(new(ids).logits[..., target], logits)


def test_tokens_that_the_model_needs_are_protected(minilm: Path) -> None:
    tok = Tokenizer.from_pretrained(minilm)
    model = build("bert-mlm", tok.vocab_size)
    model.config.eos_token_id = tok.vocab["zealand"]
    assert "zealand" in adapt(model, tok, TEXTS, **SIZES).tokenizer.vocab
    assert model.config.eos_token_id < 4_000


def test_used_tokens_alone_leave_every_output_as_it_was(minilm: Path) -> None:
    """Trimmed to the tokens that a text set uses, the model says the same on that set."""
    tok = Tokenizer.from_pretrained(minilm)
    used = {tok.tokens[i] for i in tok.encode_batch(TEXTS).ids}
    texts = TEXTS[:64]
    before = fidelity(*[load_model(minilm)] * 2, tok, tok, texts)
    model, small, _ = adapt(load_model(minilm), tok, TEXTS, size=len(used) + 2_500, grow=0, protect=used)
    assert small.vocab_size < tok.vocab_size
    same = fidelity(load_model(minilm), model, tok, small, texts)
    assert same.cosine == pytest.approx(1, abs=1e-6)
    assert same.tokens_after == before.tokens_before


def test_nothing_is_left_when_it_fails(minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(sys.modules["tei.torch.adapt"], "_check_directory", fail)
    with pytest.raises(RuntimeError, match="no"):
        adapt_directory(minilm, TEXTS, tmp_path / "out", **SIZES)
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_kept(masked: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match="exists"):
        adapt_directory(masked, TEXTS, tmp_path, **SIZES)
    (tmp_path / "out").mkdir()
    adapt_directory(masked, TEXTS, tmp_path / "out", overwrite=True, **SIZES)
    assert (tmp_path / "out" / "config.json").is_file()


def small_model(folder: Path) -> None:
    BertForMaskedLM(
        BertConfig(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(folder)


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), FileFormatError, "config.json is missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), FileFormatError, "cannot open the model"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), FileFormatError, "cannot open the model"),
        (lambda folder: (folder / "config.json").write_text("{"), FileFormatError, "cannot open the model"),
        (lambda folder: (folder / "modules.json").write_text("{}}"), FileFormatError, "not a list of modules"),
        (small_model, MismatchError, "has 100 rows but the plan's source has 30522 tokens"),
    ],
)
def test_broken_directories(masked: Path, tmp_path: Path, spoil, error: type[TeiError], words: str) -> None:
    shutil.copytree(masked, tmp_path / "in")
    spoil(tmp_path / "in")
    with pytest.raises(error, match=words):
        adapt_directory(tmp_path / "in", TEXTS, tmp_path / "out", **SIZES)
    assert not (tmp_path / "out").exists()


def test_no_text(masked: Path, tmp_path: Path) -> None:
    for source in ([], iter([]), ["", " "]):
        with pytest.raises(EmptySourceError):
            adapt_directory(masked, source, tmp_path / "out", **SIZES)


def test_held_out_counts_are_passed_on(masked: Path) -> None:
    seen = {}

    class Recorder(Tokenizer):
        def plan(self, counts, **options):
            seen.update(options)
            return super().plan(counts, **{**options, "held_out": None})

    tok = Recorder.from_pretrained(masked)
    adapt(build("bert-mlm", tok.vocab_size), tok, TEXTS, held_out=OTHERS, **SIZES)
    assert isinstance(seen["held_out"], WordCounts)
