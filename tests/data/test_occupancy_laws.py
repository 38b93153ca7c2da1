"""The laws of occupancy: true labels of balls break none, and each kind of wrong ones is named."""

import numpy as np
import pytest

from shapetool.data.laws import occupancy_problems
from shapetool.data.shards import build_shard, publish
from shapetool.data.verify import verify

FRAME = {"normalize": "box", "frame_size": 1.0}


def ball(count: int = 20_000, dtype: str = "f2") -> dict[str, object]:
    """A ball of diameter 1 in ONet's box."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.55, 0.55, (count, 3)).astype(dtype)
    normals = rng.standard_normal((5000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return {
        "shape_id": "ball",
        "source": "ball.obj",
        "scale": 1.0,
        "offset": np.zeros(3),
        "watertight": True,
        "sign_method": "pseudonormal",
        "points": points,
        "inside": (points.astype("f8") ** 2).sum(axis=1) < 0.25,
        "surface_points": (normals / 2).astype("f4"),
        "surface_normals": normals.astype("f4"),
    }


@pytest.mark.parametrize("method", ["pseudonormal", "parity", "crossings"])
def test_labels_exchanged_on_a_closed_surface_are_found_whichever_method_decided_by_the_surface(method):
    row = {**ball(), "sign_method": method}
    assert occupancy_problems(row, frame=FRAME) == []
    row["inside"] = ~row["inside"]
    assert any("exchanged" in problem for problem in occupancy_problems(row, frame=FRAME))


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_true_labels_pass_alone_and_in_a_shard(tmp_path, dtype):
    row = ball(dtype=dtype)
    assert occupancy_problems(row, frame=FRAME) == []
    columns = {name: [value] for name, value in row.items()}
    publish(tmp_path / "s.h5", build_shard("occupancy", {"name": "onet", **FRAME}, 0, columns))
    assert verify(tmp_path / "s.h5") == []


def test_labels_of_points_before_they_were_rounded_are_found():
    row = ball()
    row["points"][:2000] = row["points"][2000:4000]
    row["inside"][:2000] = row["inside"][2000:4000]
    assert occupancy_problems(row, frame=FRAME) == []
    row["inside"][7] = not row["inside"][7]
    assert occupancy_problems(row, frame=FRAME) == ["1 points are stored twice, once inside and once outside"]


@pytest.mark.parametrize(
    "frame",
    [{"normalize": "box", "frame_size": 0.9}, {"normalize": "sphere", "frame_size": 0.45}],
)
def test_something_inside_beyond_the_frame_is_found(frame):
    found = occupancy_problems(ball(), frame=frame)
    assert ["beyond the frame" in problem for problem in found] == [True]
    assert occupancy_problems({**ball(), "watertight": False}, frame=frame) == []
    assert occupancy_problems(ball(), frame={"normalize": "none", "frame_size": 1.0}) == []


def test_inside_and_outside_exchanged_and_normals_inward_are_found():
    row = ball()
    for wrong in ({"inside": ~row["inside"]}, {"surface_normals": -row["surface_normals"]}):
        found = occupancy_problems({**row, **wrong}, frame={})
        assert ["labels and surface normals disagree" in problem for problem in found] == [True]
    assert occupancy_problems({**row, "surface_normals": -row["surface_normals"], "watertight": False}, frame={}) == []


def test_a_plate_too_thin_for_its_surface_points_is_no_finding():
    rng = np.random.default_rng(1)
    row = ball()
    row["inside"] = np.abs(row["points"][:, 2].astype("f8")) < 1e-4
    row["surface_normals"] = np.tile([0, 0, 1.0], (5000, 1)).astype("f4") * rng.choice([-1, 1], (5000, 1))
    row["surface_points"] = rng.uniform(-0.5, 0.5, (5000, 3)).astype("f4")
    row["surface_points"][:, 2] = 1e-4 * row["surface_normals"][:, 2]
    assert occupancy_problems(row, frame={}) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scale": -1.0}, "scale is -1"),
        ({"surface_normals": np.full((5000, 3), 0.5, "f4")}, "5000 of 5000 surface normals"),
        ({"inside": np.zeros(20_000, bool), "watertight": False}, "no sample lies inside"),
    ],
)
def test_other_impossible_records_are_found(changes, reason):
    assert any(reason in problem for problem in occupancy_problems({**ball(), **changes}, frame=FRAME))
