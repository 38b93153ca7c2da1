"""`shapetool make-shapes` from the outside."""

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from shapetool.cli.make_shapes import make_shapes
from shapetool.geometry.families import FAMILIES, SEGMENTS
from shapetool.geometry.mesh import load_mesh

app = Typer()
app.command()(make_shapes)


def test_it_writes_shapes_and_prints_one_record_a_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["gear", str(tmp_path), "--count", "2", "--seed", "3", "--json", "--format", "ply"]
    )
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["file"] for record in records] == ["gear-00000.ply", "gear-00001.ply"]
    assert len(load_mesh(tmp_path / "gear-00001.ply").faces) == records[1]["n_faces"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_help_names_every_family(family: str) -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert family in result.stdout
    assert f"{SEGMENTS}" in result.stdout


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(tmp_path: Path) -> None:
    words = ["box", str(tmp_path / "new"), "--count", "2"]
    dry = CliRunner().invoke(app, [*words, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert not (tmp_path / "new").exists()
    assert CliRunner().invoke(app, words).exit_code == 0
    written = sum(path.stat().st_size for path in (tmp_path / "new").glob("*.obj"))
    assert json.loads(dry.stdout) == {"event": "dry-run", "out": str(tmp_path / "new"), "shapes": 2, "bytes": written}
    refused = CliRunner().invoke(app, [*words, "--dry-run", "--seed", "1"])
    assert "exists and holds another shape" in str(refused.exception)


def test_verbose_names_every_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["box", str(tmp_path), "--count", "2", "-v"])
    assert result.stderr.splitlines()[:2] == [
        f"{tmp_path / f'box-0000{k}.obj'}: 8 vertices, 12 faces" for k in range(2)
    ]
