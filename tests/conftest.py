"""What every test may ask for: the real meshes beside the repository, if they are there."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a GPU skip where torch finds none."""
    wanting = [item for item in items if item.get_closest_marker("needs_gpu")]
    if wanting:
        import torch

        if not torch.cuda.is_available():
            for item in wanting:
                item.add_marker(pytest.mark.skip(reason="torch finds no CUDA device here"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout that is tested."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real meshes: SHAPETOOL_DATA, or ../shared/data beside the checkout; skips where there is none."""
    folder = Path(os.environ.get("SHAPETOOL_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "meshes.csv").is_file():
        pytest.skip(f"real meshes not found in {folder}; SHAPETOOL_DATA may name another folder")
    return folder


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Runs a script in a fresh interpreter at the root of the checkout, and returns what it prints."""

    def run(script: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of six generated shapes with 20,000 signed distances each, so that a column has two chunks."""
    from shapetool.cli.app import main

    folder = tmp_path_factory.mktemp("sampled")
    for family in ("bottle", "chair", "capsule"):
        assert main(["make-shapes", family, str(folder / "meshes" / family), "--count", "2", "--segments", "24"]) == 0
    shard = folder / "shapes.h5"
    words = ["sample-sdf", str(folder / "meshes"), str(shard), "--count", "20000", "--surface-count", "1000"]
    assert main([*words, "-j", "1", "-q"]) == 0
    return shard


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of training draw no curves, which would take longer than all else that a tiny run does."""
    monkeypatch.setattr("shapetool.pipelines.train_pictures.draw_curves", lambda entries, title: b"curves")


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of one megabyte, or of another size by `parametrize("small_disk", ["8m"], indirect=True)`; skips
    where this user may not mount one.
    """
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', '1m')}", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
