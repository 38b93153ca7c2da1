"""The closed forms, against distances measured to many points of the surfaces and against laws."""

import numpy as np
import pytest

from shapetool.geometry import analytic
from shapetool.geometry.analytic import Field

OUTLINE = np.array([[0.0, -0.4], [0.5, -0.4], [0.3, 0.0], [0.5, 0.4], [0.0, 0.4]])
RING = np.array([[0.3, -0.2], [0.6, -0.2], [0.6, 0.3], [0.3, 0.1]])
STAR = np.array([[0.6, 0.0], [0.2, 0.2], [0.0, 0.6], [-0.2, 0.2], [-0.6, 0.0], [-0.2, -0.2], [0.0, -0.6], [0.2, -0.2]])
HOLE = STAR * 0.3
BOXES = np.array(
    [[[-0.5, -0.5, -0.5], [0.1, 0.2, 0.3]], [[-0.2, -0.3, 0.0], [0.5, 0.5, 0.5]], [[0.5, 0, 0.1], [0.7, 0.2, 0.3]]]
)
FIELDS: dict[str, Field] = {
    "sphere": analytic.sphere(0.6),
    "box": analytic.box((-0.5, -0.3, -0.2), (0.4, 0.6, 0.5)),
    "torus": analytic.torus(0.5, 0.2),
    "capsule": analytic.capsule(0.4, 0.25),
    "cylinder": analytic.cylinder(0.5, 0.4),
    "disjoint": analytic.disjoint([analytic.box((-0.8, -0.8, -0.8), (-0.2, -0.2, -0.2)), analytic.sphere(0.3)]),
    "revolution": analytic.revolution(OUTLINE),
    "ring of revolution": analytic.revolution(RING),
    "extrusion": analytic.extrusion([STAR, HOLE], 0.35),
    "box union": analytic.box_union(BOXES),
}


def _gradient(field: Field, points: np.ndarray, step: float = 1e-6) -> np.ndarray:
    offsets = np.eye(3) * step
    return np.stack([(field(points + o) - field(points - o)) / (2 * step) for o in offsets], axis=1)


@pytest.mark.parametrize("name", FIELDS)
def test_a_step_along_the_gradient_by_the_distance_reaches_the_surface(name: str) -> None:
    """True of exact distances alone: a mere bound would stop short, an overestimate would overshoot."""
    field = FIELDS[name]
    points = np.random.default_rng(0).uniform(-1, 1, (4000, 3))
    values, slopes = field(points), _gradient(field, points)
    smooth = np.abs(np.linalg.norm(slopes, axis=1) - 1) < 1e-5  # not within a step of the medial axis
    assert smooth.mean() > 0.99
    landed = points - values[:, None] * slopes
    assert np.abs(field(landed)[smooth]).max() < 1e-4


@pytest.mark.parametrize("name", FIELDS)
def test_no_distance_changes_faster_than_its_point_moves(name: str) -> None:
    rng = np.random.default_rng(1)
    first, second = rng.uniform(-1, 1, (2, 20_000, 3))
    second = np.where(rng.random((20_000, 1)) < 0.5, second, first + 0.05 * second)
    gap = np.abs(FIELDS[name](first) - FIELDS[name](second))
    assert (gap <= np.linalg.norm(first - second, axis=1) * (1 + 1e-12) + 1e-15).all()


@pytest.mark.parametrize("name", FIELDS)
def test_a_shape_is_negative_inside_and_positive_far_away(name: str) -> None:
    points = np.random.default_rng(2).uniform(-1, 1, (4000, 3))
    assert 0 < (FIELDS[name](points) < 0).mean() < 0.5
    assert (FIELDS[name](points + 5) > 0).all()


@pytest.mark.parametrize(
    ("name", "volume"),
    [
        ("sphere", 4 / 3 * np.pi * 0.6**3),
        ("box", 0.9 * 0.9 * 0.7),
        ("torus", 2 * np.pi**2 * 0.5 * 0.04),
        ("capsule", np.pi * 0.25**2 * 0.8 + 4 / 3 * np.pi * 0.25**3),
        ("cylinder", np.pi * 0.16),
        ("extrusion", 0.7 * 0.48 * (1 - 0.09)),  # the star is 4 kites of 0.12
        # each box less what another one holds already: 0.3 x 0.5 x 0.3 is shared, the third only touches
        ("box union", 0.6 * 0.7 * 0.8 + 0.7 * 0.8 * 0.5 - 0.3 * 0.5 * 0.3 + 0.2 * 0.2 * 0.2),
        # cones between the corners: pi h (r1^2 + r1 r2 + r2^2) / 3, twice
        ("revolution", 2 * np.pi * 0.4 * (0.25 + 0.15 + 0.09) / 3),
    ],
)
def test_the_inside_has_the_volume_of_the_shape(name: str, volume: float) -> None:
    points = np.random.default_rng(3).uniform(-1, 1, (400_000, 3))
    share = volume / 8
    assert (FIELDS[name](points) < 0).mean() == pytest.approx(share, abs=5 * np.sqrt(share / 400_000))


def test_values_that_can_be_read_off() -> None:
    assert analytic.torus(2.0, 0.5)(np.array([[2.0, 0, 0], [0, 0, 0], [0, 3, 0]])).tolist() == [-0.5, 1.5, 0.5]
    assert analytic.cylinder(1.0, 0.5)(np.array([[0.0, 0, 0], [3.5, 0, 5], [0, 0, 0.9]])) == pytest.approx(
        [-0.5, 5, -0.1]
    )
    assert analytic.capsule(1.0, 0.5)(np.array([[0.0, 0, 3], [2, 0, 0], [0, 0, 1]])).tolist() == [1.5, 1.5, -0.5]
    assert analytic.rounded(analytic.box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)), 0.5)(
        np.array([[4.0, 5, 1]])
    ).tolist() == [4.5]


def test_inside_a_union_the_shared_wall_is_no_surface() -> None:
    halves = np.array([[[-1.0, -1, -1], [0, 1, 1]], [[0, -1, -1], [1, 1, 1]]])
    whole = analytic.box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    points = np.random.default_rng(4).uniform(-1.5, 1.5, (2000, 3))
    np.testing.assert_allclose(analytic.box_union(halves)(points), whole(points), rtol=0, atol=1e-15)


def test_a_point_on_the_shared_wall_of_a_union_is_inside() -> None:
    halves = np.array([[[-1.0, -1, -1], [0, 1, 1]], [[0, -1, -1], [1, 1, 1]]])
    assert analytic.box_union(halves)(np.array([[0.0, 0.25, 0.5]])).tolist() == [-0.5]
