"""How much of a fault test runs, and where what it measured is written down."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.faulty_run import Shim

LONG = os.environ.get("SHAPETOOL_FAULTS") == "long"


@pytest.fixture(scope="session")
def times() -> Callable[[int, int], int]:
    """Picks how often a fault is tried: the first number in `make test`, the second in `make faults`."""
    return lambda short, long: long if LONG else short


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Writes what a test measured as a line of JSON to the file that SHAPETOOL_FAULTS_LOG names, if it names one."""

    def write(number: int, **facts: object) -> None:
        path = os.environ.get("SHAPETOOL_FAULTS_LOG")
        if path:
            line = {"number": number, "test": request.node.nodeid, "long": LONG, **facts}
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    return write


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Shim:
    """Runs commands and lets their N-th call on files fail; skips where there is no compiler to build that with."""
    return Shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def capsules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six small shapes."""
    from shapetool.cli.app import main

    folder = tmp_path_factory.mktemp("meshes") / "in"
    assert main(["make-shapes", "capsule", str(folder), "--count", "6", "--segments", "24", "-q"]) == 0
    return folder
