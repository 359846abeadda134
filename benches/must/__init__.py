"""The musts: promises with a number, each measured by one function.

A must is declared with [`must`][must.must] above the function that measures it; `benches/musts.py` runs them and prints
value, bound and verdict. To add one, write such a function in a module of this package and import it in `musts.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["REGISTRY", "Must", "Options", "Result", "must"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How thoroughly to measure.

    Args:
        quick: Take a fraction of the texts and one seed; shows that a must runs, not that it holds.
        seeds: Number of repetitions of whatever is random.
    """

    quick: bool = False
    seeds: int = 3


@dataclass(frozen=True)
class Result:
    """One measured number.

    Args:
        value: The number the bound speaks of.
        peer: What a peer, or the state before, reaches on the same data in the same run.
        note: What else a reader needs to believe the number.
    """

    value: float
    peer: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Must:
    """A promise with a number.

    Args:
        issue: Number of the issue that made the promise.
        name: Short name, unique, as given on the command line.
        sense: Whether the value has to stay at or below, or reach at least, the limit.
        limit: The bound, in `unit`.
        unit: Unit of value and bound.
        measure: Returns the value.
    """

    issue: int
    name: str
    sense: Literal["<=", ">="]
    limit: float
    unit: str
    measure: Callable[[Options], Result]

    def holds(self, value: float) -> bool:
        """Say whether `value` keeps the promise; not-a-number never does."""
        return value <= self.limit if self.sense == "<=" else value >= self.limit


REGISTRY: dict[str, Must] = {}

Measure = Callable[[Options], Result]


def must(issue: int, name: str, sense: Literal["<=", ">="], limit: float, unit: str) -> Callable[[Measure], Measure]:
    """Register the function below as the measurement of a must.

    Raises:
        ValueError: `name` is taken.
    """
    if name in REGISTRY:
        raise ValueError(f"two musts are called {name!r}")

    def register(measure: Measure) -> Measure:
        REGISTRY[name] = Must(issue, name, sense, limit, unit, measure)
        return measure

    return register
