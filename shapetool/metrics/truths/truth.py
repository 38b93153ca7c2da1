"""What a truth is, and what it came to on this machine."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDING = 1e-12


@dataclass(frozen=True)
class Truth:
    """One number: what it is of, what it has to be, how it is measured, and how far off it may be and why.

    `id` is the row of docs/truths.md that it belongs to, where its closed form is.
    """

    id: str
    name: str
    expected: float | int
    measure: Callable[[], float]
    tolerance: float | int = ROUNDING  # absolute
    because: str = "rounding"

    def __post_init__(self) -> None:
        """A truth without a tolerance needs no reason for one."""
        if self.tolerance == 0:
            object.__setattr__(self, "because", "exact")


@dataclass(frozen=True)
class Outcome:
    """What a truth came to here."""

    truth: Truth
    found: float
    seconds: float
    error: str = ""  # why there is no number

    @property
    def passed(self) -> bool:
        """Whether the number is within its tolerance; a number that is none never is."""
        return abs(self.found - self.truth.expected) <= self.truth.tolerance


def check(truth: Truth) -> Outcome:
    """Measures one truth; whatever is raised is an outcome too."""
    start = time.perf_counter()
    found, error = math.nan, ""
    try:
        found = float(truth.measure())
    except Exception as raised:  # a self-test reports what is broken, it does not break
        error = f"{type(raised).__name__}: {raised}"
    return Outcome(truth, found, time.perf_counter() - start, error)


def worst(*differences: float) -> float:
    """The largest of numbers that have to be at most 0, or 0; NaN if one is none."""
    return math.nan if any(map(math.isnan, differences)) else max(0.0, *differences)
