"""Several processes that train one model: started by `torchrun`, they see the batches that one process would see."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from shapetool.errors import ShapetoolError


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is.

    Raises:
        ShapetoolError: by every method, another process ended.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """None, once each gradient is the mean over the processes."""
        if self.count == 1:
            return
        gradients = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        flat = self._sum(torch.cat([gradient.reshape(-1) for gradient in gradients])) / self.count
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def mean(self, values: list[float], device: torch.device) -> list[float]:
        """The means of some numbers over the processes."""
        if self.count == 1:
            return values
        together = self._sum(torch.tensor(values, dtype=torch.float64, device=device))
        return [float(value) for value in together / self.count]

    def first_does(self, work: Callable[[], None], device: torch.device) -> None:
        """None, once the first process has done this; where it fails there, the others end, too."""
        failure: BaseException | None = None
        if self.first:
            try:
                work()
            except BaseException as error:
                failure = error
        failed = self.mean([float(failure is not None)], device)[0] > 0
        if failure is not None:
            raise failure
        if failed:
            raise ShapetoolError(f"process {self.rank} of {self.count} ends with the first one, which says why.")

    def _sum(self, values: Tensor) -> Tensor:
        try:
            dist.all_reduce(values)
        except RuntimeError as error:
            raise ShapetoolError(
                f"process {self.rank} of {self.count}: lost the others, one of which says why: {error}"
            ) from error
        return values


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The processes that `torchrun` started, this one among them; one alone where it did not."""
    if world_size() == 1:
        yield Ranks()
        return
    # After a restart the store of `torchrun` still holds the addresses of processes that are gone.
    store, rank, count = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    attempt = dist.PrefixStore(f"attempt-{restarts}", store)  # type: ignore[attr-defined]
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=attempt, rank=rank, world_size=count)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """The number of processes that `torchrun` started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))
