"""`shapetool selftest`: the closed-form truths, measured on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapetool.metrics.truths import Outcome


def run() -> Iterator[Outcome]:
    """The outcome of each truth as it is found."""
    from shapetool.metrics.truths import all_truths, check

    yield from map(check, all_truths())
