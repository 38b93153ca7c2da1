"""The quick looks that let a sound mesh pass unrepaired: never yes where the slow look would act."""

import numpy as np
import pytest

from shapetool.geometry import clean
from shapetool.geometry.mesh import scaled_cross
from shapetool.native._kernel import clearly_has_area, clearly_outward
from tests.geometry.mesh_files import CUBE_FACES, CUBE_VERTICES

CUBE = np.array(CUBE_VERTICES, np.float64), np.array(CUBE_FACES, np.int64)
SHARE = clean._ROUNDING


def test_no_face_near_zero_area_passes_the_quick_look() -> None:
    rng, answers = np.random.default_rng(8), set()
    face = np.array([[0, 1, 2]])
    for _ in range(4000):
        edge, far = 10.0 ** rng.uniform(-3, 3), 10.0 ** rng.uniform(-3, 6)
        height = far * SHARE * 10.0 ** rng.uniform(-1, 2)
        turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        flat = np.array([[0, 0, 0], [edge, 0, 0], [edge * rng.uniform(-2, 2), height, 0]])
        corners = np.ldexp(flat @ turned + far * rng.normal(size=3), int(rng.integers(-250, 250)))
        cross, exponents = scaled_cross(corners[None])
        reach = np.ldexp(np.abs(corners).max(), -int(exponents[0]))
        is_flat = bool(np.linalg.norm(cross[0]) <= SHARE * reach)
        passes = clearly_has_area(corners, face, SHARE)
        assert not (passes and is_flat)
        answers.add((passes, is_flat))
    assert answers == {(True, False), (False, True), (False, False)}


def test_a_sound_mesh_passes_and_one_flat_face_among_its_faces_stops_it() -> None:
    vertices, faces = CUBE
    assert clearly_has_area(vertices, faces, SHARE)
    between = np.vstack([vertices, vertices[:2].mean(axis=0)])
    assert not clearly_has_area(between, np.vstack([faces, [[0, 1, 8]]]), SHARE)


@pytest.mark.parametrize("scale", [1e-90, 1e-20, 1.0, 1e20, 1e90])
def test_outward_is_said_of_what_winds_outward_alone(scale: float) -> None:
    vertices, faces = CUBE
    moved = (vertices + np.array([3.0, -200.0, 7.0])) * scale
    assert clearly_outward(moved, faces) is (1e-50 < scale < 1e50)
    assert not clearly_outward(moved, faces[:, ::-1])


def test_outward_is_never_said_of_what_the_slow_look_would_turn() -> None:
    rng, answers = np.random.default_rng(9), set()
    for _ in range(3000):
        kept = CUBE[1][rng.random(12) < rng.choice([0.5, 0.9, 1.0])]
        if not len(kept):
            continue
        turn = rng.random(len(kept)) < rng.choice([0.0, 0.3, 1.0])
        faces = np.where(turn[:, None], kept[:, ::-1], kept)
        vertices = (CUBE[0] + rng.normal(size=(8, 3)) * 0.2) * [1.0, 1.0, 10.0 ** rng.uniform(-9, 0)]
        triangles = vertices[faces]
        areas = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
        a, b, c = np.moveaxis(triangles - (areas[:, None] * triangles.mean(axis=1)).sum(axis=0) / areas.sum(), 1, 0)
        volume = float((a * np.cross(b, c)).sum())
        passes = clearly_outward(vertices, faces)
        assert volume > 0 or not passes
        answers.add((passes, volume > 0))
    assert answers == {(True, True), (False, True), (False, False)}


def test_faces_that_point_at_no_vertex_are_refused() -> None:
    for faces in (CUBE[1] + 1, CUBE[1] - 1):
        with pytest.raises(ValueError, match="point at vertices"):
            clearly_has_area(CUBE[0], faces, SHARE)
        with pytest.raises(ValueError, match="point at vertices"):
            clearly_outward(CUBE[0], faces)


def variants() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A cube, and the cube with each thing that cleaning looks for."""
    vertices, faces = CUBE
    apart = vertices[faces].reshape(-1, 3)
    middle = np.vstack([vertices, vertices[:2].mean(axis=0)])
    return {
        "sound": (vertices, faces),
        "inside out": (vertices, faces[:, ::-1]),
        "open": (vertices, faces[2:]),
        "open, inside out": (vertices, faces[1:, ::-1]),
        "corners apart": (apart, np.arange(36).reshape(-1, 3)),
        "minus zero": (np.where(vertices == 0, -0.0, vertices), faces),
        "twice": (vertices, np.vstack([faces, faces[3:5, [1, 2, 0]]])),
        "both ways": (vertices, np.vstack([faces, faces[3:5, ::-1]])),
        "flat face": (middle, np.vstack([faces, [[0, 8, 1]]])),
        "unused": (middle, faces),
        "thin": (vertices * [1, 1, 1e-14], faces),
        "small": (vertices * 1e-80, faces),
        "large": (vertices * 1e80, faces),
    }


@pytest.mark.parametrize("name", variants())
def test_a_mesh_is_cleaned_alike_with_the_quick_looks_and_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, faces = variants()[name]
    quick = clean.clean(vertices, faces, merge_is_expected=False)
    monkeypatch.setattr(clean, "clearly_has_area", lambda *_: False)
    monkeypatch.setattr(clean, "clearly_outward", lambda *_: False)
    monkeypatch.setattr(clean, "_all_differ", lambda _: False)
    slow = clean.clean(vertices, faces, merge_is_expected=False)
    assert quick.vertices.tobytes() == slow.vertices.tobytes()
    assert quick.faces.tolist() == slow.faces.tolist()
    assert quick.warnings == slow.warnings


def test_corners_too_large_to_be_packed_are_compared_the_slow_way() -> None:
    far = 1 << clean._CORNER_BITS
    assert clean._no_corners_twice(np.array([[0, 1, 2], [0, 1, far - 1]]))
    assert not clean._no_corners_twice(np.array([[0, 1, 2], [0, 1, far]]))
    assert not clean._no_corners_twice(np.array([[0, 1, 2], [2, 0, 1], [0, 3, 1]]))
