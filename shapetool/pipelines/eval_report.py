"""The page of an evaluation: its rows and means, and pictures of some of its shapes."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from shapetool.errors import ShapetoolError
from shapetool.geometry.mesh import Mesh
from shapetool.pipelines.eval_inputs import Shape, list_shapes, read_shape
from shapetool.pipelines.eval_pair import Pair, aligned
from shapetool.pipelines.evaluate import Evaluation
from shapetool.recipes.evaluation import EvalRecipe
from shapetool.report.columns import choose
from shapetool.report.page import write_report
from shapetool.report.pictures import Shown

PAGE = "report.html"


def write_page(
    found: Evaluation,
    pred: str | Path,
    true: str | Path,
    recipe: EvalRecipe,
    *,
    seed: int = 0,
    worst: int = 5,
    up: str = "z",
) -> Path | None:
    """Where `report.html` is, beside the rows of the evaluation; None where these are in no folder.

    Raises:
        ConfigError: `up` is no axis that points up.
        OSError: the file could not be written.
    """
    if found.out is None or not found.rows:
        return None
    predictions, truths = list_shapes(str(pred)), list_shapes(str(true))
    shown = []
    for shape_id, reason in choose(found.rows, worst=worst):
        item = predictions.get(shape_id) or next(iter(predictions.values()))
        try:
            pair = Pair(read_shape(item), read_shape(truths[shape_id]), recipe, seed, shape_id)
            bodies = [_body(aligned(pair)), _body(pair.true)]
        except ShapetoolError:
            continue  # the file has changed since it was scored; its row stands
        shown.append(Shown(shape_id, reason, bodies[0], bodies[1]))
    page = found.out / PAGE
    write_report(page, found.summary, found.rows, shown, up=up)
    return page


def _body(shape: Shape) -> Mesh | Float[np.ndarray, "N 3"]:
    if shape.mesh is not None:
        return shape.mesh
    assert shape.points is not None
    return shape.points
