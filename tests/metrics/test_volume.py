"""Intersection over union: exact by the boolean, bounded by the lattice, honest about which."""

import numpy as np
import pytest

from shapetool.errors import MetricError
from shapetool.geometry.mesh import Mesh
from shapetool.metrics.volume import iou, lattice_iou
from tests.analytic import box_mesh


def box(low=(0, 0, 0), high=(1, 1, 1)) -> Mesh:
    return Mesh(*box_mesh(low, high))


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts[:-1], strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def opened(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces[:-1])


def ball(centre: float, radius: float = 1):
    return lambda points: np.linalg.norm(points - [centre, 0, 0], axis=1) - radius


@pytest.mark.parametrize("t", [0.0, 0.25, 0.75, 1.0, 2.0])
def test_cubes_apart_have_the_share_of_the_formula(t):
    moved = box((t, 0, 0), (1 + t, 1, 1))
    found = iou(box(), moved)
    assert found.method == "boolean"
    assert found.value == pytest.approx(max(0, 1 - t) / (1 + min(t, 1)), abs=1e-12)


def test_a_mesh_wound_inward_and_with_split_corners_is_the_same_solid():
    mesh = box()
    loose = Mesh(mesh.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3)[:, ::-1])
    found = iou(loose, box((0.5, 0, 0), (1.5, 1, 1)))
    assert (found.method, found.value) == ("boolean", pytest.approx(1 / 3, abs=1e-12))


def test_a_cavity_is_no_part_of_a_solid():
    room = box((0.25, 0.25, 0.25), (0.75, 0.75, 0.75))
    hollow = joined(box(), Mesh(room.vertices, room.faces[:, ::-1]))
    assert iou(hollow, box()).value == pytest.approx(7 / 8, abs=1e-12)


def test_a_shell_within_a_shell_counts_once():
    nested = joined(box(), box((0.25, 0.25, 0.25), (0.75, 0.75, 0.75)))
    found = iou(nested, box())
    assert "shells within shells" in found.note
    assert found.value == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("side", ["a", "b"])
def test_an_open_mesh_is_named_and_its_bounds_promise_nothing(side):
    meshes = {"a": box(), "b": box((0.5, 0, 0), (1.5, 1, 1))}
    meshes[side] = opened(meshes[side])
    found = iou(meshes["a"], meshes["b"], resolution=32)
    assert found.method == "lattice"
    assert found.note.startswith(f"{side} has 3 open edges")
    assert (found.certain_lower, found.certain_upper) == (0, 1)
    assert found.value == pytest.approx(1 / 3, abs=0.1)  # half of one side is missing, and with it a bulge of inside


def test_cubes_that_meet_themselves_go_to_the_lattice():
    crossed = joined(box(), box((0.5, 0.5, 0.5), (1.5, 1.5, 1.5)))
    found = iou(crossed, crossed, resolution=32)
    assert "a has" in found.note
    assert "faces that meet" in found.note
    assert found.upper == 1
    assert found.value == 1  # the same points are inside both


@pytest.mark.parametrize("apart", [0.0, 0.3, 1.0, 1.9, 3.0])
def test_the_bounds_of_the_lattice_hold_the_truth(apart):
    lens = np.pi * (4 + apart) * max(0, 2 - apart) ** 2 / 12
    truth = lens / (2 * 4 * np.pi / 3 - lens)
    box_around = np.array([[[-1.0, -1, -1], [1 + apart, 1, 1]]])
    found = lattice_iou((ball(0), ball(apart)), box_around, 64, np.random.default_rng(1))
    assert found.certain_lower <= truth <= found.certain_upper
    assert found.certain_lower <= found.lower <= found.value <= found.upper <= found.certain_upper


def test_the_interval_of_the_lattice_covers_at_least_what_it_says():
    truth = 5 / 27
    box_around = np.array([[[-1.0, -1, -1], [2, 1, 1]]])
    found = [lattice_iou((ball(0), ball(1)), box_around, 16, np.random.default_rng(k)) for k in range(400)]
    held = sum(one.lower <= truth <= one.upper for one in found)
    assert held >= 368  # 95 of 100, less three standard errors of 400 trials
    assert len({one.value for one in found}) > 1


def test_finer_cells_leave_less_undecided():
    widths = []
    for resolution in (16, 32, 64):
        box_around = np.array([[[-1.0, -1, -1], [2, 1, 1]]])
        found = lattice_iou((ball(0), ball(1)), box_around, resolution, np.random.default_rng(0))
        widths.append(found.certain_upper - found.certain_lower)
    assert widths[0] > 1.5 * widths[1] > 1.5**2 * widths[2]  # towards a half each, as the cells along the surface do


def test_questions_without_an_answer_are_refused():
    with pytest.raises(MetricError, match="unknown method"):
        iou(box(), box(), method="voxels")
    with pytest.raises(MetricError, match="resolution of at least 16"):
        iou(box(), box(), resolution=4)
    with pytest.raises(MetricError, match="b has 3 open edges"):
        iou(box(), opened(box()), method="boolean")
    nothing = lambda points: np.ones(len(points))  # noqa: E731
    with pytest.raises(MetricError, match="0/0"):
        lattice_iou((nothing, nothing), np.array([[[0.0, 0, 0], [1, 1, 1]]]), 16, np.random.default_rng(0))
