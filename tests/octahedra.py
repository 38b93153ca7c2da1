"""A run whose shapes are known in closed form: a network that was never trained, whose weights were set by hand."""

from pathlib import Path

import numpy as np
import torch

from shapetool.models import model_class
from shapetool.models.base import Facts
from shapetool.training.checkpoint import State, save
from shapetool.training.runs import RunRecipe, built, write_recipe


def write_run(folder: Path, codes: list[float], shape_ids: list[str], data: Path, recipe: dict | None = None) -> Path:
    """A run of `deepsdf` whose field is |x| + |y| + |z| - radius, with the radius 0.5 + 0.1 times the code.

    The octahedron of radius r has the volume 4/3 r^3.
    """
    config = (
        model_class("deepsdf")
        .configs["default"]
        .replace(width=8, depth=2, skip=0, code_size=1, shapes=1, fit_steps=200, fit_lr=0.05, fit_penalty=0.0)
    )
    facts = Facts(
        tuple(shape_ids), "sdf", 1.0, recipe or {"normalize": "box", "frame_size": 1.0}, {"points": (1000, 3)}
    )
    made = RunRecipe("deepsdf", config, facts, (str(data),))
    model = built(made)
    first = torch.zeros(8, 4)
    for axis in range(3):
        first[2 * axis, 1 + axis], first[2 * axis + 1, 1 + axis] = 1.0, -1.0
    first[6, 0] = 1.0
    layers = {
        "layers.0.weight": first,
        "layers.0.bias": torch.tensor([0.0] * 6 + [20.0, 0.0]),  # the code comes in above zero
        "layers.1.weight": torch.eye(8),
        "layers.1.bias": torch.zeros(8),
        "layers.2.weight": torch.tensor([[1.0] * 6 + [-0.1, 0.0]]),
        "layers.2.bias": torch.tensor([2.0 - 0.5]),
        "codes.weight": torch.tensor(codes)[:, None],
    }
    assert layers.keys() == model.state_dict().keys()
    folder.mkdir(parents=True)
    write_recipe(folder, made)
    state = State(step=1, weights=layers)
    for which in ("best", "last"):
        save(folder / which, state, {"model": "DeepSDF"})
    return folder


def octahedron_text(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> str:
    """The OBJ of an octahedron."""
    corners = radius * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]) + centre
    faces = []
    for x in (0, 1):
        for y in (2, 3):
            for z in (4, 5):
                flip = (x + (y - 2) + (z - 4)) % 2
                faces.append((x, z, y) if flip else (x, y, z))
    lines = [f"v {a} {b} {c}" for a, b, c in corners.tolist()]
    return "\n".join(lines + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]) + "\n"
