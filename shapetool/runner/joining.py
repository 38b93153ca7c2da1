"""OUT as one `.h5` file: shards go into it as they are published, by the workers, while others make the next shards."""

import contextlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapetool.data.atomic import beside, sync_file, sync_folder
from shapetool.errors import DataError
from shapetool.runner.manifest import Layout
from shapetool.runner.shard import refusal


@dataclass(frozen=True)
class JoinTask:
    """One step as it travels to a worker: a shard to take into the growing file, or all that were taken, to end it."""

    out: Path
    kind: str
    growing: Path
    shard: Path | None
    taken: tuple[Any, ...] = ()


def join_shard(task: JoinTask) -> dict[str, Any]:
    """`{"taken": what the file has of the shard}`, or `{"shapes": n}` once the file is under its name.

    `{"io": ...}` if the disk refuses, `{"data": text}` if a shard is damaged.
    """
    from shapetool.data.merge import GrowingFile

    file = GrowingFile(task.out, task.kind, task.growing)
    try:
        return {"taken": file.add(task.shard)} if task.shard is not None else {"shapes": file.publish(task.taken)}
    except (DataError, OSError, RuntimeError) as error:  # the last is what h5py makes of much that is damaged
        return refusal(error)


class Joining:
    """Which step comes next, one at a time and shard by shard in order; the workers take them.

    A single shard is that file already and is moved. `has_ended` tells that no step is left. Used in a `with`, nothing
    is left of a file that was not ended.
    """

    def __init__(self, layout: Layout, out: Path, kind: str) -> None:
        self._layout, self._out, self._kind = layout, out, kind
        self._growing = beside(out)
        self._published: set[int] = set()
        self._taken: list[Any] = []
        self.has_ended = layout.shard_count == 1
        self._under_way = False
        self._thread = ThreadPoolExecutor(1)
        self._synced: list[Future[None]] = []

    def __enter__(self) -> "Joining":
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._growing.unlink(missing_ok=True)

    def published(self, shard: int) -> None:
        """None; the shard can be taken, after all those before it."""
        self._published.add(shard)

    @property
    def is_ready(self) -> bool:
        """Whether there is a step to take now."""
        following = len(self._taken)
        waiting = following < self._layout.shard_count and following not in self._published
        return not (self.has_ended or self._under_way or waiting)

    def begin_step(self) -> JoinTask:
        """The step to take now; `step_done` or `begin_anew` is to follow."""
        self._under_way = True
        following = len(self._taken)
        if following < self._layout.shard_count:
            return JoinTask(self._out, self._kind, self._growing, self._layout.shard_path(following))
        return JoinTask(self._out, self._kind, self._growing, None, tuple(self._taken))

    def step_done(self, result: dict[str, Any]) -> None:
        """None; `result` came of the step.

        Raises:
            OSError: the disk refused what an earlier step wrote.
        """
        self._under_way = False
        if "taken" not in result:
            self.has_ended = True
            return
        self._taken.append(result["taken"])
        self._synced.append(self._thread.submit(self._sync))
        self._raise_failures()

    def begin_anew(self) -> None:
        """None; the worker died over the step, and the file with it."""
        self._under_way = False
        self._taken.clear()
        self._growing.unlink(missing_ok=True)

    def finish(self) -> None:
        """None, once the file is under its name; every shard was published and every step is done.

        Raises:
            OSError: the disk refuses.
        """
        if self._layout.shard_count == 1:
            sync_file(self._layout.shard_path(0))
            os.replace(self._layout.shard_path(0), self._out)
            sync_folder(self._out.parent)
        self._thread.shutdown()
        self._raise_failures()

    def _sync(self) -> None:
        """Writes to the disk what was added so far, so that the end has little left to wait for."""
        try:
            with contextlib.suppress(FileNotFoundError):
                sync_file(self._growing)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._out)) from error

    def _raise_failures(self) -> None:
        for call in self._synced:
            if call.done():
                call.result()
