"""The Mesh itself and the repairs that load_mesh makes, on shapes whose truth is known by hand."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.mesh import Mesh, load_mesh
from tests.geometry.mesh_files import CUBE_FACES, CUBE_QUADS, CUBE_VERTICES, obj_text, off_text, stl_bytes, write


def has_warning(mesh: Mesh, *words: str) -> bool:
    """Whether one warning holds all the words."""
    return any(all(word in warning for word in words) for warning in mesh.warnings)


def directed_edges(faces: np.ndarray) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1), strict=True)}


def test_a_mesh_of_a_cube_has_the_measures_of_a_cube() -> None:
    mesh = Mesh(CUBE_VERTICES * 2 + 5, CUBE_FACES)
    assert mesh.volume == pytest.approx(8.0, rel=1e-14)
    assert mesh.area == pytest.approx(24.0, rel=1e-14)
    assert mesh.bounds.tolist() == [[5, 5, 5], [7, 7, 7]]
    outward = mesh.triangles.mean(axis=1) - 6.0
    assert (np.einsum("ij,ij->i", mesh.face_normals, outward) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.face_normals, axis=1), 1.0, rtol=1e-15)


def test_a_mesh_converts_other_number_types_and_orders() -> None:
    mesh = Mesh(np.asarray(CUBE_VERTICES, np.float32), np.asarray(CUBE_FACES[:, ::-1], np.int32)[:, ::-1])
    assert mesh.vertices.dtype == np.float64
    assert mesh.faces.dtype == np.int64
    assert mesh.vertices.flags.c_contiguous
    assert mesh.faces.flags.c_contiguous


def test_a_mesh_survives_pickling() -> None:
    mesh = Mesh(CUBE_VERTICES, CUBE_FACES, ("one",))
    again = pickle.loads(pickle.dumps(mesh))
    assert again.warnings == ("one",)
    np.testing.assert_array_equal(again.faces, mesh.faces)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308])
def test_a_mesh_refuses_coordinates_that_are_not_sane_and_names_the_vertex(bad: float) -> None:
    vertices = CUBE_VERTICES.copy()
    vertices[3, 1] = bad
    with pytest.raises(MeshError, match="vertex 3"):
        Mesh(vertices, CUBE_FACES)


@pytest.mark.parametrize("bad", [-1, 8])
def test_a_mesh_refuses_an_index_out_of_range_and_names_the_face(bad: int) -> None:
    faces = CUBE_FACES.copy()
    faces[5, 2] = bad
    with pytest.raises(MeshError, match="face 5"):
        Mesh(CUBE_VERTICES, faces)


def test_areas_and_normals_hold_for_very_large_and_very_small_triangles() -> None:
    for scale in (1e-120, 1e90):
        mesh = Mesh(CUBE_VERTICES * scale, CUBE_FACES)
        np.testing.assert_allclose(mesh.face_areas / scale / scale, 0.5, rtol=1e-14)
        np.testing.assert_allclose(np.abs(mesh.face_normals).max(axis=1), 1.0, rtol=1e-14)


def test_bounds_ignore_vertices_that_no_face_uses() -> None:
    mesh = Mesh(np.concatenate([CUBE_VERTICES, [[99.0, 0, 0]]]), CUBE_FACES)
    assert mesh.bounds.max() == 1.0


def test_vertices_at_one_position_are_merged_and_minus_zero_is_zero(tmp_path: Path) -> None:
    soup = CUBE_VERTICES[CUBE_FACES].reshape(-1, 3)
    soup[soup == 0.0] = np.where(np.arange((soup == 0.0).sum()) % 2, -0.0, 0.0)
    mesh = load_mesh(write(tmp_path, "cube.obj", obj_text(soup, np.arange(36).reshape(-1, 3))))
    assert len(mesh.vertices) == 8
    assert mesh.volume == pytest.approx(1.0)
    assert has_warning(mesh, "28 vertices merged")
    assert not np.signbit(mesh.vertices).any()


def test_nearly_equal_vertices_stay_apart(tmp_path: Path) -> None:
    vertices = np.concatenate([CUBE_VERTICES, CUBE_VERTICES[:1] + 1e-15])
    faces = np.concatenate([CUBE_FACES, [[8, 1, 2]]])
    assert len(load_mesh(write(tmp_path, "cube.obj", obj_text(vertices, faces))).vertices) == 9


def test_merging_agrees_with_sorting_the_rows() -> None:
    from shapetool.geometry.clean import merge_positions

    rng = np.random.default_rng(5)
    vertices = rng.integers(-3, 4, (2000, 3)).astype(np.float32).astype(np.float64)
    faces = rng.integers(0, 2000, (500, 3))
    merged, remapped, count = merge_positions(vertices, faces)
    assert len(merged) == len(np.unique(vertices, axis=0)) == 2000 - count
    np.testing.assert_array_equal(merged[remapped], vertices[faces])


def test_an_stl_says_nothing_about_merging_because_it_stores_each_corner_anew(tmp_path: Path) -> None:
    mesh = load_mesh(write(tmp_path, "cube.stl", stl_bytes()))
    assert (len(mesh.vertices), mesh.warnings) == (8, ())


def test_degenerate_duplicate_and_unreferenced_parts_are_removed_and_counted(tmp_path: Path) -> None:
    vertices = np.concatenate([CUBE_VERTICES, [[5.0, 5, 5], [6.0, 6, 6]]])
    doubled = np.roll(CUBE_FACES, 1, axis=1)
    faces = np.concatenate([CUBE_FACES, doubled, [[0, 0, 1], [2, 3, 3]]])
    mesh = load_mesh(write(tmp_path, "cube.obj", obj_text(vertices, faces)))
    assert (len(mesh.vertices), len(mesh.faces)) == (8, 12)
    assert has_warning(mesh, "2 degenerate faces")
    assert has_warning(mesh, "12 duplicate faces removed")
    assert has_warning(mesh, "2 unreferenced vertices removed")


def test_a_face_in_both_windings_is_kept_and_counted(tmp_path: Path) -> None:
    faces = np.concatenate([CUBE_FACES, CUBE_FACES[:, ::-1]])
    mesh = load_mesh(write(tmp_path, "cube.obj", obj_text(CUBE_VERTICES, faces)))
    assert len(mesh.faces) == 24
    assert has_warning(mesh, "12 faces present in both windings")
    assert not has_warning(mesh, "inside out")


def test_a_duplicate_that_closes_a_fold_is_kept(tmp_path: Path) -> None:
    # A cube with one face three times: twice as wound, once against it. The chain is closed; without a copy it opens.
    faces = np.concatenate([CUBE_FACES, CUBE_FACES[:1], CUBE_FACES[:1, ::-1]])
    mesh = load_mesh(write(tmp_path, "cube.obj", obj_text(CUBE_VERTICES, faces)))
    assert len(mesh.faces) == 14
    assert has_warning(mesh, "1 duplicate face kept")


def cube_with_a_seam() -> tuple[np.ndarray, np.ndarray]:
    """A closed cube whose one edge is split on one side only, joined by a triangle of zero area."""
    vertices = np.concatenate([CUBE_VERTICES, [[0.5, 0.0, 0.0]]])
    faces = CUBE_FACES.tolist()
    at = next(i for i, face in enumerate(faces) if (0, 1) in directed_edges(np.array([face])))
    apex = next(corner for corner in faces[at] if corner not in (0, 1))
    faces[at : at + 1] = [[0, 8, apex], [8, 1, apex]]
    return vertices, np.array([*faces, [0, 1, 8]])


def test_a_face_of_zero_area_that_closes_a_seam_is_kept(tmp_path: Path) -> None:
    mesh = load_mesh(write(tmp_path, "seam.obj", obj_text(*cube_with_a_seam())))
    assert len(mesh.faces) == 14
    assert has_warning(mesh, "1 face of zero area kept")
    edges = directed_edges(mesh.faces)
    assert all((b, a) in edges for a, b in edges)
    assert mesh.volume == pytest.approx(1.0)


def test_a_face_of_zero_area_that_closes_nothing_is_removed(tmp_path: Path) -> None:
    vertices = np.concatenate([CUBE_VERTICES, [[3.0, 0, 0], [4.0, 0, 0], [5.0, 0, 0]]])
    faces = np.concatenate([CUBE_FACES, [[8, 9, 10]]])
    mesh = load_mesh(write(tmp_path, "loose.obj", obj_text(vertices, faces)))
    assert (len(mesh.faces), len(mesh.vertices)) == (12, 8)
    assert has_warning(mesh, "1 face of zero area removed")


def test_an_inside_out_mesh_is_flipped_with_a_warning(tmp_path: Path) -> None:
    mesh = load_mesh(write(tmp_path, "in.off", off_text(CUBE_VERTICES, CUBE_FACES[:, ::-1])))
    assert mesh.volume == pytest.approx(1.0)
    assert has_warning(mesh, "inside out: flipped")


def test_an_outward_mesh_far_from_the_origin_is_left_alone(tmp_path: Path) -> None:
    mesh = load_mesh(write(tmp_path, "far.off", off_text(CUBE_VERTICES - 1000.0, CUBE_FACES)))
    assert mesh.warnings == ()
    assert mesh.volume == pytest.approx(1.0)


def test_a_solid_with_a_cavity_is_not_taken_for_inside_out(tmp_path: Path) -> None:
    inner = CUBE_VERTICES * 0.5 + 0.25
    faces = np.concatenate([CUBE_FACES, CUBE_FACES[:, ::-1] + 8])
    mesh = load_mesh(write(tmp_path, "shell.obj", obj_text(np.concatenate([CUBE_VERTICES, inner]), faces)))
    assert mesh.warnings == ()
    assert mesh.volume == pytest.approx(0.875)


def sphere(n: int = 12) -> tuple[np.ndarray, list[list[int]]]:
    """A globe of quads and triangles wound outward."""
    rings = [np.pi * k / n for k in range(1, n)]
    points = [
        [np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)] for t in rings for p in np.arange(n) * 2 * np.pi / n
    ]
    faces = []
    for ring in range(n - 2):
        for k in range(n):
            a, b = ring * n + k, ring * n + (k + 1) % n
            faces.append([a, a + n, b + n, b])
    top, bottom = len(points), len(points) + 1
    faces += [[top, k, (k + 1) % n] for k in range(n)]
    faces += [[bottom, (n - 2) * n + (k + 1) % n, (n - 2) * n + k] for k in range(n)]
    return np.array([*points, [0, 0, 1.0], [0, 0, -1.0]]), faces


def test_an_open_mesh_that_clearly_faces_inward_is_flipped(tmp_path: Path) -> None:
    points, faces = sphere()
    inward = [face[::-1] for face in faces[:-2]]
    mesh = load_mesh(write(tmp_path, "open.off", off_text(points, inward)))
    assert has_warning(mesh, "inside out: flipped", "open")
    assert mesh.volume > 3.0


def test_a_sheet_and_loose_triangles_are_never_flipped(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        soup = rng.normal(size=(60, 3))
        faces = np.arange(60).reshape(-1, 3)
        mesh = load_mesh(write(tmp_path, "soup.obj", obj_text(soup, faces)))
        np.testing.assert_array_equal(mesh.triangles, soup[faces])
    bowl, quads = sphere()
    lower = [face[::-1] for face in quads if bowl[face, 2].max() < -0.2]
    mesh = load_mesh(write(tmp_path, "bowl.obj", obj_text(bowl, lower)))
    assert not has_warning(mesh, "inside out")


def test_polygons_become_triangles_that_keep_the_volume(tmp_path: Path) -> None:
    mesh = load_mesh(write(tmp_path, "quads.obj", obj_text(CUBE_VERTICES, CUBE_QUADS)))
    assert len(mesh.faces) == 12
    assert mesh.volume == pytest.approx(1.0)
