"""Pictures and small copies against what closed forms say of them."""

import struct
import zlib

import numpy as np
import pytest

from shapetool.geometry.mesh import Mesh
from shapetool.report import body as bodies
from shapetool.report.body import Body
from shapetool.report.colour import ramp, stops
from shapetool.report.pictures import PICTURE, draw
from shapetool.report.png import encode_png
from tests.analytic import box_mesh
from tests.report.pairs import family_mesh


def decode(png: bytes) -> np.ndarray:
    """The pixels of a PNG that is written with filter 2 in every row."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 4 * width)
    assert (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:].reshape(height, width, 4), axis=0, dtype=np.uint8)


def cube(edge: float = 1.0) -> Mesh:
    vertices, faces = box_mesh((-edge / 2,) * 3, (edge / 2,) * 3)
    return Mesh(vertices, faces)


def test_a_png_holds_the_pixels_it_was_given():
    image = np.random.default_rng(0).random((7, 5, 4))
    assert (decode(encode_png(image)) == np.round(image * 255)).all()


def test_colours_darken_all_the_way_and_end_at_the_last():
    shades = ramp(np.linspace(0, 1, 101), 1.0) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(shades) < 0).all()
    assert (ramp(np.array([5.0]), 1.0) == ramp(np.array([1.0]), 1.0)).all()
    assert np.isfinite(ramp(np.zeros(3), 0.0)).all()
    assert stops()[0][0] == 0
    assert stops()[-1][0] == 1


@pytest.mark.parametrize("up", ["y", "z"])
def test_the_silhouette_of_a_cube_has_the_area_of_its_shadow(up):
    # Along a unit direction d the shadow of a unit cube has the area |dx| + |dy| + |dz|.
    front = np.array([0.62, -1.0, 0.55]) if up == "z" else np.array([0.62, 0.55, 1.0])
    shadow = np.abs(front / np.linalg.norm(front)).sum()
    image = decode(draw(Body(cube()), Body(cube()), up).true)
    covered = image[..., 3].astype(float).sum() / 255
    rows = np.flatnonzero(image[..., 3].max(axis=1))
    columns = np.flatnonzero(image[..., 3].max(axis=0))
    # The picture is square and its half is 1.06 times the farther of the reaches to the side and up.
    reach = (max(np.ptp(rows), np.ptp(columns)) + 1) / 2
    pixel = PICTURE / 2 / reach
    assert pixel == pytest.approx(1.06, abs=0.02)
    flat = np.hypot(front[0], front[1] if up == "z" else front[2])
    length = np.linalg.norm(front)
    upright = (flat / length) / 2 + 0.55 / length * (0.62 + 1.0) / flat / 2
    sideways = (0.62 + 1.0) / flat / 2
    unit = 1.06 * max(upright, sideways) / (PICTURE / 2)
    assert covered * unit**2 == pytest.approx(shadow, rel=0.01)


def test_equal_shapes_have_no_error_colour_and_a_larger_one_has_its_distance():
    same = draw(Body(cube()), Body(cube()), "z")
    assert same.largest < 1e-12
    assert same.true == same.pred
    grown = draw(Body(cube(1.2)), Body(cube()), "z")
    # Over a face of the cube the grown one is 0.1 away; only beside an edge or corner it is more, at most 0.1 sqrt 3.
    assert 0.1 <= grown.largest <= 0.1 * 3**0.5 + 1e-12
    assert not grown.cut
    assert draw(Body(cube(3.0)), Body(cube()), "z").cut


def test_distances_to_a_cloud_are_those_to_its_nearest_point():
    rng = np.random.default_rng(2)
    cloud, points = rng.normal(size=(400, 3)), rng.normal(size=(300, 3))
    brute = np.linalg.norm(points[:, None] - cloud, axis=2).min(axis=1)
    assert np.abs(Body(cloud).distances(points) - brute).max() < 1e-14


def test_a_cloud_of_one_point_has_a_picture():
    image = decode(draw(Body(np.zeros((1, 3))), Body(np.zeros((1, 3))), "z").pred)
    assert image[..., 3].any()


def test_few_faces_are_split_without_moving_the_surface():
    mesh = cube()
    small = Body(mesh).turnable()
    assert bodies.MOST_FACES / 4 < len(small.faces) <= bodies.MOST_FACES
    split = Mesh(small.points, small.faces)
    assert split.area == pytest.approx(6, abs=1e-12)
    assert split.volume == pytest.approx(1, abs=1e-12)
    assert small.note == "all 12 faces"


def test_many_faces_are_thinned_to_vertices_of_the_mesh(monkeypatch):
    monkeypatch.setattr(bodies, "MOST_FACES", 600)
    mesh = family_mesh("knot", 0)
    assert len(mesh.faces) > 600
    small = Body(mesh).turnable()
    assert 150 < len(small.faces) <= 600
    assert {tuple(point) for point in small.points} <= {tuple(point) for point in mesh.vertices}
    assert f"to {len(small.faces):,} faces" in small.note


def test_many_points_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr(bodies, "MOST_POINTS", 100)
    cloud = np.arange(3000.0).reshape(1000, 3)
    kept = Body(cloud).turnable()
    assert len(kept.points) == 100
    assert np.ptp(np.diff(kept.points[:, 0])) <= 3
    assert kept.note == "100 of 1,000 points"
