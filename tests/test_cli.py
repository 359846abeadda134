"""The program as a user meets it: what it prints, where, and its exit status."""

import builtins
import json

import pytest

import tei
from tei import cli
from tei.demo import load_texts

pytest.importorskip("typer")


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the program in this process; returns status, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{text}\n" for text in load_texts("train").texts[:400]), "utf-8")
    return path


def error_line(result):
    """The last line on standard error of a failed run; what precedes it is progress."""
    status, out, err = result
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_train_then_encode(run, lines, tmp_path):
    assert run("train", "--data", lines, "--out", tmp_path / "tok", "--vocab-size", 500)[0] == 0
    status, out, _ = run("encode", tmp_path / "tok", "--data", lines)
    assert status == 0
    tokenizer = tei.Tokenizer.load(tmp_path / "tok")
    texts = lines.read_text("utf-8").splitlines()
    rows = [[int(number) for number in line.split()] for line in out.splitlines()]
    assert rows == tokenizer.encode_batch(texts).to_list()

    assert (
        run("encode", tmp_path / "tok", "--data", lines, "--show", "tokens", "--out", tmp_path / "tokens.txt")[0] == 0
    )
    spelled = (tmp_path / "tokens.txt").read_text("utf-8").split("\n")[0].split()
    assert spelled == tokenizer.encode(texts[0]).tokens

    shards = tmp_path / "shards"
    for _ in range(2):
        assert "400 rows" in run("encode", tmp_path / "tok", "--data", lines, "--shards", "--out", shards)[1]
    assert tei.TokenShards(shards).to_ragged().to_list() == rows


def test_jsonl_field_is_read(run, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"body": text}) + "\n" for text in load_texts("test").texts[:100]), "utf-8")
    assert run("train", "--data", path, "--field", "body", "--out", tmp_path / "tok", "--vocab-size", 300)[0] == 0
    assert "body" in error_line(run("train", "--data", path, "--out", tmp_path / "other"))


def test_report_shows_usage_and_curve(run, lines, minilm, tmp_path):
    status, out, _ = run("report", minilm, "--data", lines, "--picture", tmp_path / "curve.svg")
    assert status == 0
    for part in (
        "fertility",
        "coverage",
        "unused tokens",
        "no text leads to",
        "30,522",
        "sequence length",
        "marginal utility",
    ):
        assert part in out
    assert (tmp_path / "curve.svg").read_text("utf-8").startswith("<?xml")


def test_bench_measures_every_encoder(run, lines, minilm):
    status, out, _ = run("bench", minilm, "--data", lines, "--rounds", 1, "--megabytes", 0.01)
    assert status == 0
    for part in ("MB/s", "tei ", "tokenizers", "100.0000%"):
        assert part in out


def test_adapt_writes_a_directory_that_transformers_opens(run, lines, minilm, tmp_path):
    transformers = pytest.importorskip("transformers")
    out = tmp_path / "adapted"
    status, shown, _ = run("adapt", minilm, "--data", lines, "--out", out, "--size", 1500, "--grow", 100)
    assert status == 0
    for part in ("vocabulary (tokens)", "parameters", "on disk (MB)", "tokens per text", "cosine", "Spearman"):
        assert part in shown
    model = transformers.AutoModel.from_pretrained(out)
    theirs, ours = transformers.AutoTokenizer.from_pretrained(out), tei.Tokenizer.load(out)
    texts = lines.read_text("utf-8").splitlines()[:50]
    assert theirs(texts)["input_ids"] == ours(texts)["input_ids"]
    assert model.config.vocab_size == len(theirs) == ours.vocab_size <= 1600
    assert str(out) in error_line(run("adapt", minilm, "--data", lines, "--out", out))
    assert run("adapt", minilm, "--data", lines, "--out", out, "--size", 1200, "--grow", 0, "--overwrite")[0] == 0
    assert tei.Tokenizer.load(out).vocab_size == 1200


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("train", "--data", "{tmp}/absent.txt", "--out", "{tmp}/o"), "absent.txt"),
        (("train", "--data", "{tmp}/empty.txt", "--out", "{tmp}/o"), "empty.txt"),
        (("train", "--data", "{tmp}/latin.txt", "--out", "{tmp}/o"), "latin.txt"),
        (("train", "--data", "{tmp}/fine.txt", "--out", "{tmp}"), "exists"),
        (("encode", "{tmp}/nowhere", "--data", "{tmp}/fine.txt"), "nowhere"),
        (("encode", "{tmp}/nowhere", "--data", "{tmp}/fine.txt", "--shards"), "--out"),
        (("adapt", "{tmp}", "--data", "{tmp}/fine.txt", "--out", "{tmp}/o", "--size", "many"), "many"),
        (("adapt", "{tmp}/no-model", "--data", "{tmp}/fine.txt", "--out", "{tmp}/o"), "no-model"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, tmp_path, arguments, culprit):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "fine.txt").write_text("fine\n")
    result = run(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert culprit in error_line(result)
    assert not (tmp_path / "o").exists()


def test_wrong_usage_has_status_2(run):
    assert run("train")[0] == 2
    assert run("no-such-command")[0] == 2


def test_help_names_every_command(run):
    status, out, _ = run("--help")
    assert status == 0
    assert all(name in out for name in ("adapt", "train", "encode", "report", "bench", "demo"))


@pytest.mark.parametrize(("package", "extra"), [("typer", "cli"), ("rich", "cli"), ("torch", "torch")])
def test_a_missing_extra_is_named(run, monkeypatch, lines, tmp_path, package, extra):
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *rest, **options)

    for name in [name for name in __import__("sys").modules if name.startswith(("tei.commands", "tei.torch"))]:
        monkeypatch.delitem(__import__("sys").modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    status, _, err = run("adapt", tmp_path, "--data", lines, "--out", tmp_path / "o")
    assert status == 2
    assert f"pip install 'tei[{extra}]'" in err.splitlines()[-1]
