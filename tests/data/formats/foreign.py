"""Rows of a shard whose truth is known, a sphere, for the layouts of others."""

from typing import Any

import numpy as np

RADIUS = 0.6
BALLS = {(220, 30, 40): (0.3, 0.0, 0.0), (30, 200, 60): (0.0, 0.3, 0.0), (40, 60, 210): (0.0, 0.0, 0.3)}
BALL = 0.08
VIEWS_RECIPE = {"projection": "perspective", "background": "white", "channels": ["rgb", "alpha", "depth", "silhouette"]}


def sphere_row(shape_id: str, kind: str = "sdf", count: int = 900, dtype: str = "f4") -> dict[str, Any]:
    """One shape as a data set hands it over, with a frame that is no round number."""
    if kind == "views":
        return view_row(shape_id)
    rng = np.random.default_rng(list(shape_id.encode()))
    points = rng.uniform(-1, 1, (count, 3)).astype(dtype)
    distances = (np.linalg.norm(points.astype("f8"), axis=1) - RADIUS).astype(dtype)
    normals = rng.standard_normal((300, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype("f4")
    row = {
        "shape_id": shape_id,
        "source": f"{shape_id}.obj",
        "scale": 0.37,
        "offset": np.array([0.1, -2.3, 5.7]),
        "watertight": True,
        "sign_method": "pseudonormal",
        "points": points,
        "surface_points": RADIUS * normals,
        "surface_normals": normals,
    }
    return row | ({"distances": distances} if kind == "sdf" else {"inside": distances < 0})


def imnet_row(shape_id: str, method: str) -> dict[str, Any]:
    """The same sphere with IM-NET's sets of points, by its counts and its cubes: cells drawn at random here."""
    rng = np.random.default_rng(list(f"{method}{shape_id}".encode()))
    counts = {"v1": (4096, 8192, 32768), "v2": (4096, 4096, 16384)}[method]
    half, points = {"v1": 1.0, "v2": 0.5}[method], []
    for level, count in zip((16, 32, 64), counts, strict=True):
        across = level if method == "v1" else 256
        points.append((rng.integers(across, size=(count, 3)) + 0.5) / across * 2 * half - half)
    order = rng.permutation(sum(counts)).astype("i4")
    shuffled = np.concatenate(points)[order].astype("f4")
    inside = np.linalg.norm(shuffled.astype("f8"), axis=1) < RADIUS * half
    voxels = np.kron(rng.random((16, 16, 16)) < 0.1, np.ones((4, 4, 4), dtype=bool))
    more = {"points": shuffled, "inside": inside, "order": order, "voxels": voxels}
    return {name: value for name, value in sphere_row(shape_id).items() if name != "distances"} | more


def view_row(shape_id: str, views: int = 3, size: tuple[int, int] = (137, 137)) -> dict[str, Any]:
    """Three balls, red on the x axis, green on y and blue on z, as cameras of R2N2 see them, y upwards, over white.

    Every pixel is found by hand: its rays meet the balls or do not.
    """
    rng = np.random.default_rng(list(shape_id.encode()))
    height, width = size
    focal = 35 / 32 * width
    lens = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    pose = np.tile(np.eye(4), (views, 1, 1))
    for view in range(views):
        a, e, distance = rng.uniform(0, 6.28), rng.uniform(0.44, 0.52), rng.uniform(1.14, 1.66)
        back = np.array([np.cos(e) * np.cos(a), np.sin(e), -np.cos(e) * np.sin(a)])
        right = np.cross([0, 1, 0], back) / np.cos(e)
        pose[view, :3] = np.column_stack([right, np.cross(back, right), back, distance * back])
    return {
        **{name: sphere_row(shape_id)[name] for name in ("shape_id", "source", "scale", "offset", "watertight")},
        **{"sign_method": "none", "intrinsics": np.tile(lens, (views, 1, 1)), "pose": pose, "recipe": VIEWS_RECIPE},
        **pictures_of_balls(np.tile(lens, (views, 1, 1)), pose, size),
    }


def pictures_of_balls(lenses: np.ndarray, pose: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Colour over white, opacity by four rays a pixel, and depth and silhouette by the one through its middle."""
    found: dict[str, list[np.ndarray]] = {"images": [], "alpha": [], "depth": [], "silhouette": []}
    for lens, where in zip(lenses, pose, strict=True):
        colour, alpha = np.zeros((*size, 3)), np.zeros(size)
        for du, dv in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
            seen, depth = balls_seen(lens, where, size, du, dv)
            colour += seen * (depth > 0)[..., None] / 4
            alpha += (depth > 0) / 4
        _, depth = balls_seen(lens, where, size, 0.5, 0.5)
        opacity = np.rint(255 * alpha)
        found["images"].append(np.rint(colour + (255 - opacity)[..., None]).clip(0, 255).astype("u1"))
        found["alpha"].append(opacity.astype("u1"))
        found["depth"].append(depth.astype("f4"))
        found["silhouette"].append(depth > 0)
    return {name: np.stack(values) for name, values in found.items()}


def balls_seen(
    lens: np.ndarray, pose: np.ndarray, size: tuple[int, int], du: float, dv: float
) -> tuple[np.ndarray, np.ndarray]:
    """Colour and depth along the axis, 0 where nothing is, at (column + du, row + dv)."""
    right, up, back, position = (pose[:3, column] for column in range(4))
    row, column = np.mgrid[: size[0], : size[1]]
    down = (row + dv - lens[1, 2]) / lens[1, 1]
    across = (column + du - lens[0, 2] - lens[0, 1] * down) / lens[0, 0]
    rays = across[..., None] * right - down[..., None] * up - back
    colour, nearest = np.zeros((*size, 3)), np.full(size, np.inf)
    for paint, centre in BALLS.items():
        to = position - np.array(centre)
        a, b, c = (rays**2).sum(axis=-1), rays @ to, to @ to - BALL**2
        t = (-b - np.sqrt(np.maximum(b * b - a * c, 0))) / a
        nearer = (b * b > a * c) & (t > 0) & (t < nearest)
        nearest[nearer], colour[nearer] = t[nearer], paint
    return colour, np.where(np.isfinite(nearest), nearest, 0)


def by_point(points: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Points and what belongs to them as rows in one order, whatever order they came in."""
    rows = np.column_stack([points, *more])
    return rows[np.lexsort(rows.T)]
