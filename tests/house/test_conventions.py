"""Each convention of docs/conventions.md, held from the command line to the stored number, on a box in closed form."""

from pathlib import Path

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.shards import open_dataset
from shapetool.geometry.mesh import load_mesh

CENTRE = np.array([5.0, -3.0, 2.0])
HALF = np.array([2.0, 1.0, 0.5])
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]  # outward
RADIUS = 1 / 1.03


def write_box(path: Path, quads: list[tuple[int, ...]] = QUADS) -> None:
    corners = [CENTRE + HALF * (x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in (corner.tolist() for corner in corners)]
    lines += [f"f {' '.join(str(index + 1) for index in quad)}" for quad in quads]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def box_distance(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The signed distance to a box about the origin, in closed form."""
    beyond = np.abs(points) - half
    return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)


def sampled(folder: Path, out: Path, *options: str) -> dict:
    """The record of the first shape that `sample-sdf` stores for a folder."""
    assert main(["sample-sdf", str(folder), str(out), "-j", "1", "-q", *options]) == 0
    return open_dataset(out)[0]


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("box")
    write_box(folder / "in" / "box.obj")
    return sampled(folder / "in", folder / "out.h5", "--count", "20000", "--surface-count", "2000")


def unit_half() -> np.ndarray:
    return HALF * RADIUS / np.linalg.norm(HALF)


def test_inside_is_negative_and_the_surface_is_at_zero(record):
    points = record["points"].astype(np.float64)
    truth = box_distance(points, unit_half())
    # float32 storage: half a unit in the last place of numbers below 2.
    np.testing.assert_allclose(record["distances"], truth, rtol=0, atol=1.2e-7)
    assert (truth < -0.01).sum() > 1000
    assert (truth > 0.01).sum() > 1000


def test_the_stored_frame_is_shift_then_scale_and_leads_back(record):
    assert record["scale"] == pytest.approx(RADIUS / np.linalg.norm(HALF), rel=1e-12)
    np.testing.assert_allclose(record["offset"], -CENTRE, rtol=1e-12)
    corner = (CENTRE + HALF + record["offset"]) * record["scale"]
    assert np.linalg.norm(corner) == pytest.approx(RADIUS, rel=1e-12)
    original = record["surface_points"] / record["scale"] - record["offset"]
    # The surface is stored in float32, in a frame 2.36 times smaller.
    np.testing.assert_allclose(box_distance(original - CENTRE, HALF), 0, atol=1e-6)


def test_normals_point_outward(record):
    outward = np.einsum("ij,ij->i", record["surface_points"], record["surface_normals"])
    assert np.all(outward > 0), "the box is convex about the origin, so the outward normal looks away from it"
    np.testing.assert_allclose(np.linalg.norm(record["surface_normals"], axis=1), 1, atol=1e-6)


def test_a_mesh_that_winds_inward_is_turned_and_says_so(tmp_path):
    write_box(tmp_path / "in" / "box.obj", [quad[::-1] for quad in QUADS])
    mesh = load_mesh(tmp_path / "in" / "box.obj")
    assert mesh.volume == pytest.approx(8 * HALF.prod())
    assert any("inside-out" in warning or "flipped" in warning for warning in mesh.warnings)


def test_every_slice_of_the_points_is_a_fair_draw(record):
    near = np.abs(record["distances"]) < 0.05
    first, second = near[:10000].mean(), near[10000:].mean()
    # Two draws of 10,000 differ by more than five standard deviations less than once in a million.
    assert abs(first - second) < 5 * np.sqrt(2 * near.mean() * (1 - near.mean()) / 10000)


def test_a_shape_draws_the_same_points_whatever_lies_beside_it(tmp_path):
    write_box(tmp_path / "alone" / "m.obj")
    for name in ("a.obj", "m.obj", "z.obj"):
        write_box(tmp_path / "three" / name)
    options = ("--count", "3000", "--surface-count", "100", "--seed", "7")
    alone = sampled(tmp_path / "alone", tmp_path / "alone.h5", *options)
    assert main(["sample-sdf", str(tmp_path / "three"), str(tmp_path / "three.h5"), "-j", "2", "-q", *options]) == 0
    three = open_dataset(tmp_path / "three.h5")
    assert list(three.shape_ids) == ["a", "m", "z"]
    np.testing.assert_array_equal(three[1]["points"], alone["points"])
    assert not np.array_equal(three[0]["points"], alone["points"])


def test_another_seed_is_another_draw(tmp_path):
    write_box(tmp_path / "in" / "m.obj")
    options = ("--count", "3000", "--surface-count", "100")
    first = sampled(tmp_path / "in", tmp_path / "1.h5", *options, "--seed", "1")
    second = sampled(tmp_path / "in", tmp_path / "2.h5", *options, "--seed", "2")
    assert not np.array_equal(first["points"], second["points"])


def test_a_distance_belongs_to_the_point_as_stored(tmp_path):
    write_box(tmp_path / "in" / "box.obj")
    record = sampled(
        tmp_path / "in", tmp_path / "out.h5", "--count", "5000", "--surface-count", "100", "--dtype", "f16"
    )
    assert record["points"].dtype == record["distances"].dtype == np.float16
    truth = box_distance(record["points"].astype(np.float64), unit_half())
    # Only the distance itself is rounded (to 11 bits); rounding the point afterwards would cost up to 5e-4 everywhere.
    near = np.abs(truth) < 0.01
    assert near.sum() > 500
    np.testing.assert_allclose(record["distances"][near], truth[near], rtol=0, atol=1e-5)
