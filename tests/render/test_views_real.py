"""No ray leaves a closed mesh between its faces: ten million of them over real meshes, from inside."""

import os

import numpy as np
import pytest

from shapetool.geometry.distance import closest_point
from shapetool.geometry.frame import fit
from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.sign import winding_number
from shapetool.render.cameras import Cameras, look_at, pinhole
from shapetool.render.rays import cast_rays
from shapetool.render.views import render_views
from tests.render.views_scene import with_settings

RAYS = int(os.environ.get("SHAPETOOL_PINHOLE_RAYS", "1000000"))  # over all meshes; ten million take half a minute


def targets(mesh, count, rng):
    """Vertices, points on edges, and points about both that rays graze."""
    corner = mesh.triangles[rng.integers(len(mesh.faces), size=count)]
    share = rng.random((count, 1)) * (rng.random((count, 1)) < 0.7)
    on_edges = corner[:, 0] * (1 - share) + corner[:, 1] * share
    return on_edges + 1e-9 * rng.normal(size=(count, 3)) * (rng.random((count, 1)) < 0.3)


def directions_from(mesh, origins, rng):
    """A third each towards edges and vertices, along the axes or nearly so, and any way."""
    kind = rng.integers(3, size=(len(origins), 1))
    axes = np.eye(3)[rng.integers(3, size=len(origins))] * rng.choice([-1.0, 1.0], size=(len(origins), 1))
    axes = axes + 1e-7 * rng.normal(size=axes.shape) * (rng.random((len(axes), 1)) < 0.5)
    free = rng.normal(size=origins.shape)
    towards = targets(mesh, len(origins), rng) - origins
    chosen = np.where(kind == 0, towards, np.where(kind == 1, axes, free))
    return np.where((chosen == 0).all(axis=1, keepdims=True), free, chosen)


def inside_points(mesh, rng, wanted=64):
    """Points inside and not on an edge; some straight below vertices, so that rays along an axis meet those."""
    low, high = mesh.bounds
    points = rng.uniform(low, high, (4000, 3))
    points[::2, :2] = mesh.vertices[rng.integers(len(mesh.vertices), size=2000), :2]
    inside = np.flatnonzero((winding_number(mesh, points) > 0.75) & (closest_point(mesh, points)[0] > 1e-9))
    return points[inside[rng.permutation(len(inside))[:wanted]]]


@pytest.mark.verify
@pytest.mark.slow
def test_no_ray_looks_through_a_closed_real_mesh(real_data):
    rng = np.random.default_rng(0)
    meshes = []
    for path in sorted([*(real_data / "classic").iterdir(), *(real_data / "cad").iterdir()]):
        mesh = load_mesh(path)
        mesh = fit(mesh, "sphere").apply_mesh(mesh)
        if kernel_of(mesh).topology()["closed"] and len(inside_points(mesh, rng)):
            meshes.append(mesh)
    assert len(meshes) > 20
    rays, side = 0, 64
    each = max(side * side, RAYS // len(meshes) // 2)
    for mesh in meshes:
        points = inside_points(mesh, rng)
        origins = points[rng.integers(len(points), size=each)]
        _, faces = cast_rays(mesh, origins, directions_from(mesh, origins, rng))
        assert (faces >= 0).all()
        views = -(-each // side**2)
        where = points[rng.integers(len(points), size=views)]
        ways = np.where(np.arange(views)[:, None] % 2, axes_of(views), rng.normal(size=(views, 3)))
        poses = np.concatenate([look_at(one[None], (one + way).tolist()) for one, way in zip(where, ways, strict=True)])
        cameras = Cameras((side, side), np.tile(pinhole(0.5 * side, (side, side)), (views, 1, 1)), poses)
        drawn = render_views(Mesh(mesh.vertices, mesh.faces), cameras, with_settings(channels=("face",))).channels
        assert (drawn["face"] >= 0).all()
        rays += each + views * side**2
    assert rays >= RAYS


def axes_of(count):
    """The six directions along the axes, over and over."""
    six = np.concatenate([np.eye(3), -np.eye(3)])
    return six[np.arange(count) % 6]
