"""The folder that make-shapes writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from shapetool.errors import ConfigError, DataError
from shapetool.geometry.families import FAMILIES, true_distance
from shapetool.geometry.mesh import load_mesh
from shapetool.pipelines import make_shapes


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_written_and_loads_without_a_warning(family: str, tmp_path: Path) -> None:
    records = make_shapes.run(family, tmp_path, 2, segments=24)
    assert [record["id"] for record in records] == [f"{family}-00000", f"{family}-00001"]
    for record in records:
        mesh = load_mesh(tmp_path / record["file"])
        assert mesh.warnings == ()
        assert (len(mesh.vertices), len(mesh.faces)) == (record["n_vertices"], record["n_faces"])
        assert mesh.volume == pytest.approx(record["volume"], rel=1e-12)


def test_the_list_leads_from_a_file_to_its_true_distance(tmp_path: Path) -> None:
    make_shapes.run("chair", tmp_path, 1)
    record = json.loads((tmp_path / "parameters.jsonl").read_text())
    truth = true_distance(record["family"], record["parameters"])
    assert record["exact_distance"] == "box_union"
    assert truth is not None
    assert np.abs(truth(load_mesh(tmp_path / record["file"]).vertices)).max() < 1e-15


def test_shapes_depend_on_the_seed_and_their_number_alone(tmp_path: Path) -> None:
    make_shapes.run("table", tmp_path / "a", 3, seed=5)
    make_shapes.run("table", tmp_path / "b", 5, seed=5)
    make_shapes.run("table", tmp_path / "c", 3, seed=6)
    a, b, c = (_files(tmp_path / name) for name in "abc")
    for name in ("table-00000.obj", "table-00001.obj", "table-00002.obj"):
        assert a[name] == b[name] != c[name]


def test_families_share_a_folder_and_a_rerun_changes_nothing(tmp_path: Path) -> None:
    make_shapes.run("box", tmp_path, 2)
    make_shapes.run("gear", tmp_path, 1)
    before = _files(tmp_path)
    make_shapes.run("box", tmp_path, 2)
    assert _files(tmp_path) == before
    ids = [json.loads(line)["id"] for line in before["parameters.jsonl"].splitlines()]
    assert ids == ["box-00000", "box-00001", "gear-00000"]


def test_other_shapes_are_not_written_over_unless_asked(tmp_path: Path) -> None:
    make_shapes.run("box", tmp_path, 1, seed=0)
    before = _files(tmp_path)
    with pytest.raises(ConfigError, match=r"box-00000\.obj: exists and holds another shape\. Use --overwrite"):
        make_shapes.run("box", tmp_path, 1, seed=1)
    assert _files(tmp_path) == before
    make_shapes.run("box", tmp_path, 1, seed=1, overwrite=True)
    assert _files(tmp_path) != before


def test_a_foreign_list_a_file_as_folder_and_no_count_are_refused(tmp_path: Path) -> None:
    (tmp_path / "parameters.jsonl").write_text("not json\n")
    with pytest.raises(DataError, match="expected one JSON object"):
        make_shapes.run("box", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="expected a folder"):
        make_shapes.run("box", tmp_path / "file")
    with pytest.raises(ConfigError, match="count is 0"):
        make_shapes.run("box", tmp_path, 0)
    with pytest.raises(ConfigError, match="unknown mesh format"):
        make_shapes.run("box", tmp_path / "new", suffix="dwg")
    assert not (tmp_path / "new").exists()
