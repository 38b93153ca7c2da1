"""What every test may ask for: the real meshes beside the repository, if they are there."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


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
