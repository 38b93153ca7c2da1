"""`shapetool verify`: what is wrong with a shard or a dataset folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shapetool.data.verify import Finding
from shapetool.data.verify import verify as findings_of


def run(path: Path, report: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Everything found wrong with the data at `path`, empty if all is well; `report(done, total)` follows the shapes.

    Raises:
        DataError: there is nothing to verify.
    """
    return findings_of(path, report)
