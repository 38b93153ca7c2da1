"""Pictures of a prediction beside its truth, and of where they differ, by rays and a light of our own."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from shapetool.errors import ConfigError
from shapetool.geometry.mesh import Mesh
from shapetool.recipes.evaluation import UPS
from shapetool.report.body import Body
from shapetool.report.colour import ramp
from shapetool.report.png import encode_png

PICTURE = 300  # pixels on each side
SMOOTH = 2  # rays a pixel and axis
CLAY = np.array([0.80, 0.76, 0.69])
_FURTHEST = 1.6  # a prediction larger than this many truths leaves the picture instead of shrinking the truth
_ENOUGH = 99.0  # percentile of the distances seen at which the colours end


@dataclass(frozen=True, eq=False)
class Shown:
    """A pair to be drawn in a report: the shapes in the frame in which they were scored, and why it was chosen."""

    shape_id: str
    reason: str
    pred: Mesh | Float[np.ndarray, "N 3"]
    true: Mesh | Float[np.ndarray, "M 3"]


@dataclass(frozen=True)
class Drawing:
    """The pictures of one pair as PNG files; `largest` is the distance at which their colours end."""

    true: bytes
    pred: bytes
    pred_error: bytes
    true_error: bytes
    largest: float
    cut: bool  # the prediction reaches beyond the picture


@dataclass(frozen=True)
class _View:
    toward: Float[np.ndarray, "3"]
    right: Float[np.ndarray, "3"]
    above: Float[np.ndarray, "3"]
    origins: Float[np.ndarray, "R 3"]
    light: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class _Seen:
    rays: Int[np.ndarray, " H"]
    brightness: Float[np.ndarray, " H"]
    errors: Float[np.ndarray, " H"]


def draw(pred: Body, true: Body, up: str) -> Drawing:
    """The truth, the prediction, and each coloured by its distance to the other; one view and one scale for all.

    Raises:
        ConfigError: `up` is no axis that points up.
    """
    view, cut = _view(pred, true, up)
    seen_pred, seen_true = _look(view, pred, true), _look(view, true, pred)
    errors = np.concatenate([seen_pred.errors, seen_true.errors])
    largest = float(np.percentile(errors, _ENOUGH)) if len(errors) else 0.0

    def picture(seen: _Seen, coloured: bool) -> bytes:
        # Colours that carry a number are shaded less than clay.
        hue = ramp(seen.errors, largest) if coloured else np.broadcast_to(CLAY, (len(seen.rays), 3))
        shade = 0.62 + 0.38 * seen.brightness if coloured else 0.25 + 0.85 * seen.brightness
        return _png(seen.rays, hue * shade[:, None])

    return Drawing(
        true=picture(seen_true, False),
        pred=picture(seen_pred, False),
        pred_error=picture(seen_pred, True),
        true_error=picture(seen_true, True),
        largest=largest,
        cut=cut,
    )


def _view(pred: Body, true: Body, up: str) -> tuple[_View, bool]:
    if up not in UPS:
        raise ConfigError(f"up is {up!r}; expected one of {', '.join(UPS)}, the axis that points up.")
    axis = np.eye(3)[2 if up == "z" else 1]
    front = np.array([0.62, -1.0, 0.0]) if up == "z" else np.array([0.62, 0.0, 1.0])
    toward = _unit(front + 0.55 * axis)
    right = _unit(np.cross(axis, toward))
    above = np.cross(toward, right)
    centre = true.bounds.mean(axis=0)
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(-1, 3)

    def reach(body: Body) -> float:
        box = np.where(corners == 0, body.bounds[0], body.bounds[1]) - centre
        return float(np.abs(np.stack([box @ right, box @ above])).max())

    own = reach(true) or reach(pred) or 1.0
    wanted = max(own, reach(pred))
    half = 1.06 * min(wanted, _FURTHEST * own)
    steps = (np.arange(PICTURE * SMOOTH) + 0.5) / (PICTURE * SMOOTH) * 2 - 1
    x, y = np.meshgrid(steps * half, -steps * half)
    behind = float(np.linalg.norm(np.concatenate([pred.bounds, true.bounds]) - centre, axis=1).max()) + half
    origins = centre + (x[..., None] * right + y[..., None] * above).reshape(-1, 3) + behind * toward
    return _View(toward, right, above, origins, _unit(0.9 * toward + 0.55 * above - 0.45 * right)), wanted > half


def _look(view: _View, body: Body, other: Body) -> _Seen:
    rays, places, normals = body.hits(view.origins, -view.toward)
    facing = (normals @ view.toward)[:, None]
    normals = np.where(facing < 0, -normals, normals)  # both sides of an open surface are lit
    brightness = 0.72 * np.maximum(normals @ view.light, 0) + 0.28 * (0.5 + 0.5 * normals @ view.above)
    return _Seen(rays, brightness, other.distances(places) if len(rays) else np.zeros(0))


def _png(rays: Int[np.ndarray, " H"], colours: Float[np.ndarray, "H 3"]) -> bytes:
    side = PICTURE * SMOOTH
    image = np.zeros((side * side, 4))
    image[rays, :3] = np.clip(colours, 0, 1)
    image[rays, 3] = 1
    image = image.reshape(PICTURE, SMOOTH, PICTURE, SMOOTH, 4).mean(axis=(1, 3))
    # The mean is premultiplied: rays that missed are black and clear.
    image[..., :3] /= np.maximum(image[..., 3:], 1 / SMOOTH**2)
    return encode_png(image)


def _unit(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    return vector / np.linalg.norm(vector)
