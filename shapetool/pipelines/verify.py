"""`shapetool verify`: what is wrong with a shard, a dataset folder or a folder of repaired meshes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shapetool.data.verify import Finding
from shapetool.data.verify import verify as findings_of


def run(path: Path, report: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Everything found wrong with the data at `path`, empty if all is well; `report(done, total)` follows the shapes.

    `path` is a shard, a folder of shards, or a folder that `repair` made.

    Raises:
        DataError: there is nothing to verify.
    """
    from shapetool.pipelines import mesh_folders

    return mesh_folders.verify(path, report) if mesh_folders.is_mesh_folder(path) else findings_of(path, report)
