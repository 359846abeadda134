"""Race tei against every installed trainer of vocabularies: `python benches/compare_training.py --help`.

Each trains in a process of its own, in turn, on the same file, a text a line; reading it counts. Their words and alphabets
differ (WordPiece, bytes, characters), so that only time and memory can be compared; runs of ideographs are words for all.
Needs the extra `bench` and the external text sets (environment variable TEI_DATA).
"""

import argparse
import importlib.util
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

import drawing
from cases import Case, load
from must.induction import run

#: Name → trainer of the probe, package.
TRAINERS = {
    "tei": ("whole tei", "tei"),
    "tei, merges alone": ("whole merges", "tei"),
    "gigabpe": ("gigabpe", "gigabpe"),
    "gigatoken": ("gigatoken", "gigatoken"),
    "rustbpe": ("rustbpe", "rustbpe"),
    "bpeasy": ("bpeasy", "bpeasy"),
    "tokenizers": ("tokenizers", "tokenizers"),
    "sentencepiece": ("sentencepiece", "sentencepiece"),
}
CORPORA = ("technical English", "Chinese")
Measured = dict[str, dict[str, float]]


def _parse(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Race tei against every installed trainer of vocabularies.")
    parser.add_argument("--corpora", nargs="+", default=CORPORA, metavar="corpus", help=f"{CORPORA}")
    parser.add_argument("--trainers", nargs="+", choices=TRAINERS, default=list(TRAINERS), metavar="trainer")
    parser.add_argument("--vocab-size", type=int, default=32_000, help="number of tokens (32000)")
    parser.add_argument("--megabytes", type=float, default=20.0, help="size of the texts (20)")
    parser.add_argument("--threads", type=int, default=1, help="threads of those that have any (1)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each trainer (3)")
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--readme", action="store_true", help="write what the README shows")
    return parser.parse_args(given)


def _race(corpus: str, arguments: argparse.Namespace) -> Measured:
    """Medians over rounds of each trainer that is installed."""
    here = [name for name in arguments.trainers if importlib.util.find_spec(TRAINERS[name][1])]
    variables = {"RAYON_NUM_THREADS": str(arguments.threads)}
    with load(Case(corpus, mode="files"), arguments.megabytes) as texts:
        path = texts.path or Path()
        rounds = [
            {name: run(TRAINERS[name][0], path, arguments.vocab_size, **variables) for name in here}
            for _ in range(arguments.rounds)
        ]
    return {name: {key: statistics.median(r[name][key] for r in rounds) for key in rounds[0][name]} for name in here}


def _table(corpus: str, race: Measured) -> Table:
    drawn = Table("trainer", "wall s", "CPU s", "peak MiB", title=corpus, title_justify="left")
    for name, found in sorted(race.items(), key=lambda item: item[1]["wall"]):
        drawn.add_row(name, f"{found['wall']:.2f}", f"{found['cpu']:.2f}", f"{found['peak']:.0f}")
    return drawn


def _lines(races: dict[str, Measured]) -> list[str]:
    """The table of the README: seconds of the processor and MiB."""
    first = next(iter(races.values()))
    rows = [["trainer", *races], ["---", *["---:"] * len(races)]]
    for name in sorted(first, key=lambda name: first[name]["cpu"]):
        bold = "**" if name == "tei" else ""
        cells = [f"{race[name]['cpu']:.2f} s, {race[name]['peak']:.0f} MiB" for race in races.values()]
        rows.append([f"{bold}{name} {drawing.version_of(TRAINERS[name][1])}{bold}", *cells])
    return [f"| {' | '.join(row)} |" for row in rows]


def main() -> int:
    """Race, print, write."""
    given = sys.argv[1:]
    arguments = _parse(given)
    races = {}
    for corpus in arguments.corpora:
        races[corpus] = _race(corpus, arguments)
        Console().print(_table(corpus, races[corpus]))
    if arguments.json:
        arguments.json.write_text(json.dumps(races, indent=1), encoding="utf-8")
    if arguments.readme:
        drawing.write_section("train", _lines(races), " ".join(["python benches/compare_training.py", *given]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
