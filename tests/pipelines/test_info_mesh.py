"""What `shapetool info` says about a mesh, on a cube."""

import json
from pathlib import Path

import pytest

from shapetool.errors import MeshError
from shapetool.pipelines.info_mesh import describe
from tests.geometry.mesh_files import CUBE_FACES, CUBE_VERTICES, obj_text, write
from tests.render.painted_files import letter, png, rainbow, with_texture


def test_a_cube_is_described_with_its_true_measures(tmp_path: Path) -> None:
    about = describe(write(tmp_path, "cube.obj", obj_text(CUBE_VERTICES * 2, CUBE_FACES)))
    assert json.loads(json.dumps(about)) == about
    assert (about["kind"], about["vertices"], about["faces"], about["components"]) == ("mesh", 8, 12, 1)
    assert about["watertight"]
    assert about["oriented"]
    assert not about["self_intersecting"]
    assert about["volume"] == pytest.approx(8.0)
    assert about["area"] == pytest.approx(24.0)
    assert about["bounds"] == [[0, 0, 0], [2, 2, 2]]


def test_a_cube_without_a_face_is_described_as_open(tmp_path: Path) -> None:
    about = describe(write(tmp_path, "open.obj", obj_text(CUBE_VERTICES, CUBE_FACES[1:])))
    assert not about["watertight"]
    assert about["open_edges"] == 3


def test_a_file_that_is_no_mesh_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"empty\.obj"):
        describe(write(tmp_path, "empty.obj", ""))


def test_colours_are_described_and_what_is_missing_is_said(tmp_path: Path) -> None:
    assert describe(write(tmp_path, "plain.obj", obj_text()))["colours"] == {}
    path = with_texture(tmp_path, "square.obj", png(letter(8, 12)))
    about = describe(path)
    assert about["colours"] == {"materials": 1, "textures": ["12 x 8"], "corner_colours": False}
    assert about["warnings"] == []
    (tmp_path / "image one.png").unlink()
    about = describe(path)
    assert about["colours"] == {}
    assert "image one.png" in about["warnings"][0]
    assert describe(rainbow(tmp_path, "rainbow.ply"))["colours"]["corner_colours"]
    assert json.loads(json.dumps(about)) == about
