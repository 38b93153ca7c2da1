"""A folder that `render-views --layout` made: what is wrong with the files of a shape."""

from pathlib import Path

import numpy as np

from shapetool.data.formats import load_format
from shapetool.data.view_laws import view_problems
from shapetool.errors import ConfigError, DataError
from shapetool.render.camera_file import read_cameras

KIND = "view-files"
_TEXT = {"r2n2": 1e-4}  # what is lost in words and numbers of a layout; its focal length is nominal
_EXACT = 1e-6


def problems_of(folder: Path, layout: str, shape_id: str) -> list[str]:
    """What is wrong with the files of one shape, its cameras and its images."""
    module, beside = load_format(layout), folder / f"{shape_id}.cameras.json"
    try:
        cameras = read_cameras(beside)
    except ConfigError as error:
        return [str(error)]
    main = next((path for path in module.files(folder, shape_id) if path.name == Path(module.MAIN).name), None)
    if main is None or not main.is_file():
        return [f"expected {module.MAIN}, found no such file. Run the same command again with --overwrite."]
    try:
        row = module.read(main, folder)
    except DataError as error:
        return [str(error)]
    problems = view_problems(row, recipe={"projection": "perspective"})
    off = np.abs(row["pose"] - cameras.pose).max() if row["pose"].shape == cameras.pose.shape else np.inf
    if off > _TEXT.get(layout, _EXACT):
        problems.append(f"poses differ by up to {off:.2g} from those in {main.name}. Put the right file back.")
    return problems
