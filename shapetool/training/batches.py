"""Batches: which shapes a step learns, drawn in threads ahead of the loop, the same for any number of ranks."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from shapetool.errors import ConfigError
from shapetool.models.base import Batch, ModelConfig
from shapetool.sampling.seed import shape_rng
from shapetool.training.shapes import Shapes


@dataclass(frozen=True)
class Plan:
    """Which part of each step's shapes this process draws, and how: `threads` ahead of the loop by `ahead` steps."""

    seed: int = 0
    rank: int = 0
    ranks: int = 1
    threads: int = 1
    ahead: int = 3
    pin: bool = False


class Batches:
    """The batches of a run from a step on.

    Shapes come in random order, each once before any comes again; the order, and what is drawn of a shape, depend on
    the seed and the step alone, and on `progress` if someone sets it. Rank r of n takes the r-th n-th of each step.

    Raises:
        ConfigError: the shapes of a step cannot be divided among the ranks.
    """

    def __init__(self, shapes: Shapes, config: ModelConfig, plan: Plan) -> None:
        check_share(config, plan.ranks)
        self.shapes, self.config, self.plan = shapes, config, plan
        self.progress = 0.0
        """How much of a run that ends by the clock is behind it: draws go by that then, and not by their step."""
        self._orders: dict[int, np.ndarray] = {}

    def indices(self, step: int) -> list[int]:
        """The shapes of a step, of all ranks."""
        total, size = len(self.shapes), self.config.shapes
        return [int(self._order(place // total)[place % total]) for place in range(step * size, (step + 1) * size)]

    def draw(self, step: int) -> dict[str, torch.Tensor]:
        """The part of a step's batch that belongs to this rank, on the CPU."""
        share = self.config.shapes // self.plan.ranks
        first = self.plan.rank * share
        records, where = [], max(step, int(self.progress * self.config.steps))
        for place, index in enumerate(self.indices(step)[first : first + share], first):
            shape = self.shapes[index]
            records.append((index, self.config.draw(shape, self._rng(step, place, shape.shape_id), where)))
        return stacked(records, self.plan.pin)

    def __call__(self, first: int) -> Iterator[Batch]:
        """Batches without end, from step `first` on; stop asking to stop, and close the iterator."""
        threads = self.plan.threads
        if threads == 0:
            while True:
                yield self.draw(first)
                first += 1
        waiting: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="draw") as pool:
            try:
                while True:
                    while len(waiting) < self.plan.ahead + threads - 1:
                        waiting.append(pool.submit(self.draw, first))
                        first += 1
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            if len(self._orders) > 8:
                self._orders.clear()
            self._orders[epoch] = shape_rng(self.plan.seed, f"order/{epoch}").permutation(len(self.shapes))
        return self._orders[epoch]

    def _rng(self, step: int, place: int, shape_id: str) -> np.random.Generator:
        return shape_rng(self.plan.seed, f"train/{step}/{place}/{shape_id}")


def check_share(config: ModelConfig, ranks: int) -> None:
    """Nothing, if the shapes of a step can be divided among so many processes.

    Raises:
        ConfigError: they cannot.
    """
    if config.shapes % ranks:
        raise ConfigError(
            f"shapes is {config.shapes}; expected a multiple of the {ranks} processes. Change --set shapes=."
        )


def validation_batches(shapes: Shapes, config: ModelConfig, seed: int, trained: int = 0) -> Iterator[Batch]:
    """Every shape once, in batches, with the same draws each time.

    Their places come after those of the `trained` shapes, so that none is taken for one of them.
    """
    for first in range(0, len(shapes), config.shapes):
        records = []
        for index in range(first, min(first + config.shapes, len(shapes))):
            shape = shapes[index]
            drawn = config.draw(shape, shape_rng(seed, f"validate/{shape.shape_id}"), -1)
            records.append((trained + index, drawn))
        yield stacked(records)


def stacked(records: list[tuple[int, dict[str, np.ndarray]]], pin: bool = False) -> Batch:
    """What was drawn of each shape as one batch, with the places of the shapes as `index`."""
    batch = {"index": torch.tensor([index for index, _ in records])}
    for name in records[0][1]:
        batch[name] = torch.from_numpy(np.stack([record[name] for _, record in records]))
    return {name: tensor.pin_memory() for name, tensor in batch.items()} if pin else batch


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
