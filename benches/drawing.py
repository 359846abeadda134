"""What a race came to, as a table, a picture and a section of the README."""

import math
import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.table import Table

from rivals import EVERYONE
from tei.bench import Seconds, ratio

__all__ = ["Finish", "machine", "plot", "table", "version_of", "versions", "write_readme", "write_section"]

README = Path(__file__).resolve().parents[1] / "README.md"
ALGORITHMS = {kind.name: kind.algorithm for kind in EVERYONE}


@dataclass(frozen=True)
class Finish:
    """What one encoder did in one race.

    Args:
        case: The race, in words.
        encoder: Name of the encoder.
        megabytes: Size of all texts in 10⁶ bytes.
        calls: Number of calls that took them.
        seconds: Seconds for all calls, a round each.
        peak: MiB taken at the peak, the result included; the first time, so that caches count.
        equal: Share of the texts with tei's ids; None for another algorithm.
    """

    case: str
    encoder: str
    megabytes: float
    calls: int
    seconds: Seconds
    peak: float
    equal: float | None

    @property
    def rate(self) -> float:
        """MB/s, median over rounds."""
        return self.megabytes / statistics.median(self.seconds)


def table(title: str, race: Sequence[Finish]) -> Table:
    """One race, the fastest first; speeds also as a share of tei's."""
    facts = f"{race[0].megabytes:.2f} MB, {race[0].calls:,} calls" if race else "nobody"
    drawn = Table(title=f"{title} ({facts})", title_justify="left")
    for column in ("encoder", "algorithm", "MB/s", "µs/call", "to tei", "MiB", "same ids"):
        drawn.add_column(column, justify="left" if column in {"encoder", "algorithm"} else "right", no_wrap=True)
    ours = next((finish.seconds for finish in race if finish.encoder == "tei"), None)
    for finish in sorted(race, key=lambda finish: -finish.rate):
        drawn.add_row(
            finish.encoder,
            ALGORITHMS[finish.encoder],
            f"{finish.rate:,.1f}",
            f"{1e6 * statistics.median(finish.seconds) / finish.calls:,.4g}",
            f"{ratio(finish.seconds, ours):.3f}" if ours else "",
            "" if math.isnan(finish.peak) else f"{finish.peak:.1f}",
            "" if finish.equal is None else f"{finish.equal:.3%}",
        )
    return drawn


def plot(path: Path, finishes: Sequence[Finish]) -> None:
    """Draw all races, one a line, an encoder a colour."""
    from matplotlib.figure import Figure

    cases = list(dict.fromkeys(finish.case for finish in finishes))[::-1]
    figure = Figure(figsize=(10, 1.5 + 0.25 * len(cases)), layout="constrained")
    axes = figure.add_subplot()
    for name in ALGORITHMS:
        points = [(finish.rate, cases.index(finish.case)) for finish in finishes if finish.encoder == name]
        if points:
            axes.scatter(*zip(*points, strict=True), label=name, marker="D" if name == "tei" else "o")
    axes.set(xscale="log", xlabel="MB of UTF-8 a second", yticks=range(len(cases)), yticklabels=cases)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    figure.savefig(path)


def machine() -> str:
    """The processor and what else runs."""
    names = re.findall(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{names[0] if names else platform.processor()}, {platform.machine()}, {os.cpu_count()} cores{load}"


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def versions(finishes: Sequence[Finish]) -> dict[str, str]:
    """Versions of the encoders that took part."""
    packages = {kind.name: kind.package for kind in EVERYONE}
    names = {finish.encoder for finish in finishes}
    return {name: version_of(package) for name, package in packages.items() if name in names}


def version_of(package: str) -> str:
    """Version of a package, as far as it has one."""
    try:
        return version(package.replace("_", "-"))
    except PackageNotFoundError:
        return "?"


def write_readme(facts: Mapping[str, Any], finishes: Sequence[Finish]) -> None:
    """Replace what the README shows of the races."""
    cases = list(dict.fromkeys(finish.case for finish in finishes))
    rates = {(finish.encoder, finish.case): finish.rate for finish in finishes}
    names = sorted({finish.encoder for finish in finishes}, key=lambda name: -rates.get((name, cases[0]), 0))
    corpora = list(dict.fromkeys(case.split(",")[0] for case in cases))
    rows = [["encoder", "algorithm", *corpora], ["---", "---", *["---:"] * len(corpora)]]
    for name in names:
        cells = [_cell(name, [case for case in cases if case.split(",")[0] == corpus], rates) for corpus in corpora]
        bold = "**" if name == "tei" else ""
        rows.append([f"{bold}{name} {facts['versions'][name]}{bold}", ALGORITHMS[name], *cells])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    write_section("compare", lines, facts["command"])


def write_section(name: str, lines: Sequence[str], command: str) -> None:
    """Replace a section of the README by lines, and say what made them, and where."""
    section = re.compile(rf"(?<=<!-- {name}: begin -->\n).*?(?=<!-- {name}: end -->)", re.DOTALL)
    where = f"`{command}` on {machine()}, Python {platform.python_version()}."
    text = "\n".join([*lines, "", where, ""])
    README.write_text(section.sub(lambda _: text, README.read_text(encoding="utf-8")), encoding="utf-8")


def _cell(name: str, cases: Sequence[str], rates: Mapping[tuple[str, str], float]) -> str:
    """Rates with one thread and with two."""
    return " / ".join(f"{rates[name, case]:.0f}" if (name, case) in rates else "-" for case in cases)
