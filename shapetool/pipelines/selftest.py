"""`shapetool selftest`: the closed-form truths, measured on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapetool.metrics.truths import Outcome


def run() -> Iterator[Outcome]:
    """The outcome of each truth as it is found."""
    import torch

    from shapetool.metrics.truths import all_truths, check

    # The clouds are small, and on a busy machine threads that wait for each other's cores take five times as long.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from map(check, all_truths())
    finally:
        torch.set_num_threads(threads)
