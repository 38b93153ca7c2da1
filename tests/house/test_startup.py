"""`shapetool --help` is there at once: what makes a start slow is imported by the command that needs it."""

import json
import subprocess
import sys

import pytest

HEAVY = {"numpy", "torch", "trimesh", "h5py", "scipy", "pebble", "PIL", "jaxtyping", "rich", "shapetool.native._kernel"}
PROGRAM = """
import io, json, sys
from contextlib import redirect_stdout
from shapetool.cli.app import main
with redirect_stdout(io.StringIO()) as out:
    code = main(sys.argv[1:])
print(json.dumps({"code": code, "said": out.getvalue(), "modules": sorted(sys.modules)}))
"""


def run_fresh(*arguments: str) -> dict:
    """What a fresh interpreter says to these arguments, its exit code, and the modules it had loaded in the end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("sample-sdf", "--help"),
        ("render-views", "--help"),
        ("eval", "--help"),
        ("train", "--help"),
        ("extract", "--help"),
        ("make-shapes", "--help"),
        ("info", "--help"),
        ("verify", "--help"),
        ("merge", "--help"),
        ("split", "--help"),
        ("selftest", "--help"),
    ],
    ids=" ".join,
)
def test_help_and_version_load_nothing_heavy(arguments):
    answer = run_fresh(*arguments)
    assert answer["code"] == 0
    assert answer["said"]
    assert HEAVY & set(answer["modules"]) == set()


def test_the_help_names_every_command():
    said = run_fresh("--help")["said"]
    for command in ("sample-sdf", "eval", "make-shapes", "info", "verify", "merge", "split"):
        assert command in said


def test_the_version_is_that_of_the_package():
    import shapetool

    assert run_fresh("--version")["said"] == f"shapetool {shapetool.__version__}\n"
    assert run_fresh("info", "--version")["said"] == f"shapetool {shapetool.__version__}\n"


def test_eval_leaves_torch_to_its_workers(tmp_path):
    for side in ("pred", "true"):
        (tmp_path / f"{side}.xyz").write_text("0 0 0\n1 0 0\n0 1 0\n0 0 1\n")
    answer = run_fresh("eval", str(tmp_path / "pred.xyz"), str(tmp_path / "true.xyz"), "-j", "1")
    assert answer["code"] == 0
    assert "chamfer" in answer["said"]
    assert "torch" not in answer["modules"]
