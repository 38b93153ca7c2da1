"""The tutorial: its commands run one after the other in an empty folder, and its page holds them and their pictures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "tutorial.py"
PAGE = ROOT / "docs" / "tutorial.md"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tutorial_runs_and_writes_a_page_with_its_pictures(tmp_path):
    page = tmp_path / "page" / "tutorial.md"
    page.parent.mkdir()
    command = [sys.executable, str(SCRIPT), str(tmp_path / "work"), "--quick", "--page", str(page)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}  # other tests run beside it
    done = subprocess.run(command, check=False, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-3000:]
    commands = blocks(page)
    assert [options(command) for command in commands] == [options(command) for command in blocks(PAGE)]
    for name in re.findall(r"!\[[^]]*]\(([^)]+)\)", page.read_text()):
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "work" / "held-out").glob("**/*.ply"))) == len(
        (tmp_path / "work" / "lists" / "test.lst").read_text().split()
    )


def options(command: str) -> str:
    """A command without the numbers and names that differ where few shapes are learned for seconds."""
    return re.sub(r"(--budget|--resolution|--count|--interpolate \S+) \S+", lambda found: found[1].split()[0], command)


def blocks(page: Path) -> list[str]:
    """The commands of a page."""
    return re.findall(r"```sh\n(.*?)\n```", page.read_text())


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("kept")
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], check=False, text=True, capture_output=True)
    assert done.returncode != 0
    assert "expected an empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
