"""Musts of inducing a vocabulary: time and memory beside other trainers, and the length of text not seen."""

import functools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import tei
from must import Options, Result, must
from must.corpora import READERS, corpus, read_text

BENCHES = Path(__file__).resolve().parents[1]
SIZE = 32_000
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _lines(path: str) -> list[str]:
    return [line for line in read_text(path).split("\n") if line.strip()]


@functools.cache
def _texts(name: str) -> tuple[str, ...]:
    """Texts of a language; `de` and `ru` are help pages."""
    if name in {"de", "ru"}:
        return tuple(_lines(f"train/multi/libreoffice_help_{name}.txt.xz"))
    return tuple(READERS[name]()) if name in READERS else corpus(name)


def run(trainer: str, path: Path, size: int = SIZE, **environment: str) -> dict[str, float]:
    """Wall and CPU seconds and peak MiB of a trainer in a process of its own, on one thread unless `environment` says more."""
    paths = os.pathsep.join([str(BENCHES), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "PYTHONPATH": paths, "RAYON_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "must.induction_probe", trainer, str(path), str(size)]
    # Trainers print what they like before.
    printed = subprocess.run(command, check=True, capture_output=True, env=variables).stdout.splitlines()[-1]
    result: dict[str, float] = json.loads(printed)
    return result


@functools.cache
def _race(language: str, trainers: tuple[str, ...], options: Options) -> dict[str, dict[str, float]]:
    """Medians of CPU seconds and peak MiB of trainers, one after the other in turn, each time in a new process."""
    texts = _texts(language)
    texts = texts[: len(texts) // 10] if options.quick else texts
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "texts.txt"
        path.write_text("\n".join(texts), encoding="utf-8")
        size = 4_000 if options.quick else SIZE
        rounds = [{trainer: run(trainer, path, size) for trainer in trainers} for _ in range(1 if options.quick else 5)]
    return {
        trainer: {key: statistics.median(run[trainer][key] for run in rounds) for key in rounds[0][trainer]}
        for trainer in trainers
    }


def _ratio(language: str, ours: str, peer: str, key: str, options: Options) -> Result:
    race = _race(language, (ours, peer), options)
    note = ", ".join(f"{name} {run['cpu']:.2f} s {run['peak']:.0f} MiB" for name, run in race.items())
    return Result(race[ours][key] / race[peer][key], note=f"one thread, CPU seconds and peak: {note}")


@must(5, "induction: English merges", "<=", 0.8, "x gigabpe")
def english_merges(options: Options) -> Result:
    """CPU time on one thread of counting and merging technical English, over gigabpe's; words are BERT's, not bytes."""
    return _ratio("technical English", "merges", "gigabpe", "cpu", options)


@must(5, "induction: Chinese merges", "<=", 0.6, "x gigabpe")
def chinese_merges(options: Options) -> Result:
    """The same on Chinese, whose runs of ideographs are words here as they are for gigabpe."""
    return _ratio("Chinese", "whole merges", "gigabpe", "cpu", options)


@must(5, "induction: Chinese memory", "<=", 0.6, "x gigabpe")
def chinese_memory(options: Options) -> Result:
    """Peak memory of these processes, Python and libraries included."""
    return _ratio("Chinese", "whole merges", "gigabpe", "peak", options)


@must(5, "induction: chosen tokens", "<=", 1.0, "x rustbpe")
def chosen(options: Options) -> Result:
    """CPU time on one thread of the whole induction, choice of tokens included, over rustbpe's."""
    return _ratio("technical English", "tei", "rustbpe", "cpu", options)


@must(5, "induction: counting", ">=", 250.0, "MB/s a core")
def counting(options: Options) -> Result:
    """Megabytes of technical English whose words are counted in a second of one core, from strings in memory.

    Beside it what nanotoken encodes in that time: the machine that the bound was set on is known by it.
    """
    race = _race("technical English", ("count", "nanotoken"), options)
    size = sum(len(text.encode()) + 1 for text in _texts("technical English")) / (10 if options.quick else 1)
    ours, peer = (size / 1e6 / race[name]["cpu"] for name in ("count", "nanotoken"))
    return Result(ours, peer, f"{ours / peer:.2f} x nanotoken's encoding, which did 198 MB/s where 250 was set")


@must(5, "induction: memory limit", "<=", 350.0, "MiB")
def memory_limit(options: Options) -> Result:
    """Peak of inducing from 2 GB of text under a limit of 256 MiB; infinite if the vocabulary is another one then."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "texts.txt"
        _write_large(path, 20_000_000 if options.quick else 2_000_000_000)
        limited = run("merges", path, 8_000, MEMORY_LIMIT="1 MiB" if options.quick else "256 MiB")
        counts = tei.count_words(path, memory_limit="8 MiB")
        same = counts == tei.count_words(path)
    return Result(limited["peak"] if same else float("inf"), note=f"{len(counts)} words, {limited['wall']:.0f} s")


def _write_large(path: Path, size: int) -> None:
    """Novels over and over, now and then with a word not seen before.

    2 GB then have 1.5 million distinct words, as many as English text of that size has by Heaps' law (30 n^.55).
    """
    texts, generator = _texts("novels"), random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            for text in texts:
                word = generator.choice(text.split()) if generator.random() < 0.45 else ""
                file.write(f"{text} {word}{generator.randrange(2_000_000):x}\n" if word else f"{text}\n")


@functools.cache
def _split(name: str, options: Options) -> tuple[list[str], list[str]]:
    texts = list(_texts(name))
    random.Random(0).shuffle(texts)
    texts = texts[: len(texts) // 10] if options.quick else texts
    return texts[: len(texts) * 4 // 5], texts[len(texts) * 4 // 5 :]


@functools.cache
def _trained(name: str, size: int, options: Options) -> tuple[tei.Tokenizer, tei.Tokenizer]:
    """The tokenizers of tei and of Hugging Face's trainer, of equal size: that of the latter, which may be other than asked."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    texts, _ = _split(name, options)
    theirs = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    theirs.normalizer, theirs.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, min_frequency=2, special_tokens=SPECIAL, show_progress=False)
    theirs.train_from_iterator(texts, trainer)
    counts = tei.count_words(texts)
    reached = theirs.get_vocab_size()
    try:
        ours = tei.Tokenizer.train(counts, reached)
    except tei.SizeError:
        # Hugging Face's counts every character, tei's those that occur twice: so it may be larger than there are merges.
        ours = tei.Tokenizer.train(counts, reached, min_count=1)
    return ours, tei.Tokenizer.from_pretrained(theirs)


def _length(name: str, size: int, texts: Iterable[str], options: Options) -> float:
    counts = tei.count_words(list(texts))
    ours, theirs = (tokenizer.usage(counts).tokens for tokenizer in _trained(name, size, options))
    return ours / theirs


def _english(size: int, options: Options) -> Result:
    value = _length("novels", size, _split("novels", options)[1], options)
    other = _length("kernel", size, _split("kernel", options)[1], options)
    return Result(value, note=f"novels; kernel documentation {other:.4f}")


@must(5, "held-out English, 2,000", "<=", 0.975, "x tokenizers")
def english_2000(options: Options) -> Result:
    """Tokens of held-out English (a random fifth) over those under Hugging Face's WordPiece trainer at the same size."""
    return _english(2_000, options)


@must(5, "held-out English, 4,000", "<=", 0.98, "x tokenizers")
def english_4000(options: Options) -> Result:
    """The same at 4,000 tokens."""
    return _english(4_000, options)


@must(5, "held-out English, 8,000", "<=", 0.99, "x tokenizers")
def english_8000(options: Options) -> Result:
    """The same at 8,000 tokens."""
    return _english(8_000, options)


@must(5, "held-out English, 32,000", "<=", 1.0, "x tokenizers")
def english_32000(options: Options) -> Result:
    """The same at 32,000 tokens."""
    return _english(SIZE, options)


@must(5, "held-out text of four kinds", "<=", 1.0, "x tokenizers")
def other_languages(options: Options) -> Result:
    """The worst of German, Russian, Chinese and code at all four sizes, as far as the words offer so many."""
    found = {
        f"{name} {size}": _length(name, size, _split(name, options)[1], options)
        for name in ("de", "ru", "Chinese", "code")
        for size in (2_000, 4_000, 8_000, SIZE)
    }
    return _worst(found)


@must(5, "other authors", "<=", 1.0, "x tokenizers")
def other_authors(options: Options) -> Result:
    """Tokens of another corpus of the same language, the worst of all pairs and sizes."""
    others = {
        "speeches": ("novels", _texts("speeches")),
        "Wikipedia": ("novels", _wikipedia()),
        "Wikipedia after kernel documentation": ("kernel", _wikipedia()),
        "Chinese help": ("Chinese", _lines("train/zh_libreoffice_help.txt.xz")),
        "German captions": ("de", _lines("mt/multi30k.train.de.txt.xz")),
    }
    found = {
        f"{label} {size}": _length(name, size, texts, options)
        for label, (name, texts) in others.items()
        for size in (2_000, 4_000, 8_000, SIZE)
    }
    return _worst(found)


def _wikipedia() -> list[str]:
    """Wikipedia with its own spacing and words: the corpus marks hyphens, and hides rare words behind `<unk>`."""
    plain = (text.replace("<unk>", "") for text in _texts("wikitext"))
    return [text.replace(" @-@ ", "-").replace(" @,@ ", ",").replace(" @.@ ", ".") for text in plain]


def _worst(found: dict[str, float]) -> Result:
    return Result(max(found.values()), note=", ".join(f"{name} {value:.4f}" for name, value in found.items()))


@must(5, "induction: same result", "<=", 1.0, "vocabularies")
def determinism(options: Options) -> Result:
    """Vocabularies that come of the same texts on 1, 2 and 7 threads, shuffled, and in processes of their own."""
    texts = list(_split("de", options)[0])
    shuffled = random.Random(1).sample(texts, len(texts))
    code = "import sys, tei; print(tei.Tokenizer.train(sys.argv[1], 4_000).fingerprint)"
    found = {tei.Tokenizer.train(rows, 4_000, threads=n).fingerprint for rows in (texts, shuffled) for n in (1, 2, 7)}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "texts.txt"
        path.write_text("\n".join(texts), encoding="utf-8", newline="\n")
        for seed in ("0", "1"):
            variables = {**os.environ, "PYTHONHASHSEED": seed}
            run = subprocess.run(
                [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True, env=variables
            )
            found.add(run.stdout.strip())
    return Result(len(found))
