"""Race tei against every installed encoder on the same texts: `python benches/compare.py --help`.

All encoders of a race run in one process, interleaved, after those of the same kind have shown equal ids. Without an
axis chosen, each axis is varied on its own; with some, all combinations of what is given are raced. Needs the extra
`bench` and the external text sets (environment variable TEI_DATA). Exit status 1 if anywhere tei's ids differ from those
of Hugging Face `tokenizers`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

import drawing
from cases import AXES, Case, Load, load, product, star
from drawing import Finish
from memory import peak_growth
from rivals import EVERYONE
from tei.bench import Seconds, clock_for, equal_rows, interleave, on_cpus, open_peers, rotations, seconds_of, utf8_bytes
from tei.demo import model_directory
from tei.peers import WORDPIECE, Peer

# What the README shows is what these print.
README = [Case(corpus, threads=threads) for corpus in AXES["corpus"] for threads in AXES["threads"]]
TOKENIZER = Path(model_directory()) / "tokenizer.json"
console = Console()


def _parse(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Race tei against every installed encoder on the same texts.")
    for axis, values in AXES.items():
        parser.add_argument(
            f"--{axis}", nargs="+", choices=values, type=type(values[0]), metavar=axis, help=f"{values}"
        )
    names = [kind.name for kind in EVERYONE]
    parser.add_argument("--peers", nargs="*", choices=names, default=names, metavar="peer", help=f"{names}")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each encoder in each race (5)")
    parser.add_argument("--megabytes", type=float, default=2.0, help="size of the texts of a race (2)")
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--plot", type=Path, help="draw them: .png, .svg or .pdf")
    parser.add_argument("--readme", action="store_true", help="race what the README shows, and write it there")
    return parser.parse_args(given)


def _cases(arguments: argparse.Namespace) -> list[Case]:
    chosen = {axis: getattr(arguments, axis) for axis in AXES}
    if arguments.readme:
        return [case for case in README if case.threads in (arguments.threads or AXES["threads"])]
    if any(values for axis, values in chosen.items() if axis != "threads"):
        return product(chosen)
    return [case for case in star() if case.threads in (arguments.threads or AXES["threads"])]


@dataclass
class Track:
    """The encoders of this process, opened once, and what is known of them.

    Args:
        threads: Processors that they may use.
        names: Encoders wanted, beside tei.
    """

    threads: int
    names: Sequence[str]
    peers: dict[str, Peer] = field(default_factory=dict)
    equal: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def open(self) -> dict[str, Peer]:
        """Opens all encoders anew, and says which cannot be."""
        wanted = [kind for kind in EVERYONE if kind.name == "tei" or kind.name in self.names]
        peers, refused = open_peers(wanted, TOKENIZER, threads=self.threads)
        for name, reason in refused.items():
            console.print(f"{name} {reason}", highlight=False, markup=False)
        return peers

    def race(self, case: Case, arguments: argparse.Namespace) -> list[Finish]:
        """Runs one case."""
        self.peers = self.peers or self.open()
        with load(case, arguments.megabytes) as loaded:
            peaks = self._peaks(case, loaded)
            equal = self._equal(case, loaded)
            runs = {name: loaded.run(self.peers[name], case.mode) for name in peaks}
            if case.state == "cold":
                seconds = self._cold(case, loaded, peaks, arguments.rounds)
            else:
                seconds = interleave(runs, rounds=arguments.rounds, clock=clock_for(self.threads))
            size, calls = utf8_bytes(loaded.texts) / 1e6, len(loaded.calls)
        return [
            Finish(str(case), name, size, calls, times, peaks[name], equal[name]) for name, times in seconds.items()
        ]

    def _equal(self, case: Case, loaded: Load) -> dict[str, float | None]:
        """Share of the texts with tei's ids, for each encoder that has to give them."""
        for name, peer in self.peers.items():
            key = (case.corpus, case.shape, name)
            if peer.algorithm == WORDPIECE and key not in self.equal:
                self.equal[key] = equal_rows(peer, self.peers["tei"], loaded.texts)
        return {name: self.equal.get((case.corpus, case.shape, name)) for name in self.peers}

    def _peaks(self, case: Case, loaded: Load) -> dict[str, float]:
        """MiB that the case takes at its peak, for each encoder that has the mode and does not fail."""
        peaks: dict[str, float] = {}
        for name, peer in self.peers.items():
            if not peer.can(case.mode):
                continue
            try:
                peaks[name] = peak_growth(loaded.run(peer, case.mode))
            except Exception as error:  # noqa: BLE001 - whatever a peer raises, the others are still measured
                console.print(f"{name} fails: {case}: {error}", highlight=False, markup=False)
        return peaks

    def _cold(self, case: Case, loaded: Load, names: Iterable[str], rounds: int) -> Mapping[str, Seconds]:
        kinds = {kind.name: kind for kind in EVERYONE}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for name in rotations(seconds, rounds):
            fresh = kinds[name](TOKENIZER, self.threads)
            seconds[name].append(seconds_of(loaded.run(fresh, case.mode), clock=clock_for(self.threads)))
        return {name: tuple(times) for name, times in seconds.items()}


def _run(cases: Sequence[Case], arguments: argparse.Namespace) -> list[Finish]:
    """Races cases of one number of threads in this process."""
    threads = cases[0].threads
    # Encoders size their pools when they are first used, by these and by the processors they see.
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    finishes: list[Finish] = []
    with on_cpus(threads):
        track = Track(threads, arguments.peers)
        for case in cases:
            race = track.race(case, arguments)
            console.print(drawing.table(str(case), race))
            finishes += race
    return finishes


def _run_each(given: Sequence[str], threads: Iterable[int]) -> list[Finish]:
    """Races in a process for each number of threads, since a pool keeps the size it began with."""
    finishes: list[Finish] = []
    with tempfile.TemporaryDirectory() as directory:
        for count in threads:
            path = Path(directory) / f"{count}.json"
            command = [sys.executable, __file__, *given, "--threads", str(count), "--json", str(path)]
            # Status 1 speaks of ids, which are judged again here; without a file, something broke.
            subprocess.run(command, check=False, env={**os.environ, "TEI_COMPARE_PART": "1"})
            rows = json.loads(path.read_text(encoding="utf-8"))["finishes"]
            finishes += [Finish(**{**row, "seconds": tuple(row["seconds"])}) for row in rows]
    return finishes


def _write(arguments: argparse.Namespace, given: Sequence[str], finishes: Sequence[Finish]) -> None:
    facts: dict[str, Any] = {
        "command": " ".join(["python benches/compare.py", *given]),
        "machine": drawing.machine(),
        "python": platform.python_version(),
        "versions": drawing.versions(finishes),
        "finishes": [asdict(finish) for finish in finishes],
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    if os.environ.get("TEI_COMPARE_PART"):
        return
    if arguments.plot:
        drawing.plot(arguments.plot, finishes)
    if arguments.readme:
        drawing.write_readme(facts, finishes)


def main() -> int:
    """Race, print, write.

    Returns:
        0, or 1 if tei's ids differ from those of Hugging Face `tokenizers`.
    """
    given = sys.argv[1:]
    arguments = _parse(given)
    cases = _cases(arguments)
    counts = sorted({case.threads for case in cases})
    finishes = _run_each(given, counts) if len(counts) > 1 else _run(cases, arguments)
    _write(arguments, given, finishes)
    return int(any(finish.encoder == "tokenizers" and finish.equal != 1 for finish in finishes))


if __name__ == "__main__":
    sys.exit(main())
