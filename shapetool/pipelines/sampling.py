"""What the sampling commands share: a run and its preview, which files they take, and what they say of a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.geometry.wording import plural
from shapetool.recipes import PointRecipe
from shapetool.runner.files import many_objects
from shapetool.runner.items import Collection, collect
from shapetool.runner.job import Event, Job, Options, Summary
from shapetool.runner.preview import Preview, preview
from shapetool.runner.run import run_job
from shapetool.runner.warm import warm_up


class PointJob(Job, Protocol):
    """A job with a recipe of points."""

    @property
    def recipe(self) -> PointRecipe:
        """The recipe."""


@many_objects()
def sample(job: PointJob, inputs: Sequence[str | Path], out: str | Path, options: Options | None) -> Summary:
    """How the run of `job` over every mesh in `inputs` ended.

    Raises:
        ConfigError: no input, a library that is not installed, or an `out` made with other settings.
        DataError: state of an earlier run is damaged.
        OSError: the disk is full or fails.
    """
    if options is None or options.runs_here:
        warm_up(job.preload)  # it imports what workers need while this process looks for the meshes
    found = collect_meshes(inputs, job.recipe)
    return run_job(job, found.items, Path(out), telling(options or Options(), notices(job.recipe, found)))


def foresee(job: PointJob, inputs: Sequence[str | Path], out: str | Path, options: Options | None) -> Preview:
    """What `sample` would do, with nothing written.

    Raises:
        ConfigError: as `sample` does.
    """
    options = options or Options()
    found = collect_meshes(inputs, job.recipe)
    would = preview(job, found.items, Path(out), options)
    for text in notices(job.recipe, found):
        options.emit("notice", text=text)
    return would


def collect_meshes(inputs: Sequence[str | Path], recipe: PointRecipe) -> Collection:
    """The meshes in the inputs, once the library that the recipe asks for is known to be there.

    Raises:
        ConfigError: no input, or a library that is not installed.
    """
    if recipe.backend != "native":
        from shapetool.geometry.backends import load_backend

        load_backend(recipe.backend)
    return collect([str(word) for word in inputs], MESH_SUFFIXES)


def notices(recipe: PointRecipe, found: Collection) -> list[str]:
    """What the user should know of a run that is not refused."""
    said = []
    if recipe.backend == "pysdf":
        from shapetool.geometry.backends import APPROXIMATE

        said.append(APPROXIMATE)
    return said + passed_over(found)


def passed_over(found: Collection) -> list[str]:
    """A sentence if some files were no meshes."""
    return [f"{plural(found.ignored, 'file')} passed over: no mesh by the suffix."] if found.ignored else []


def telling(options: Options, said: list[str]) -> Options:
    """`options`, with a listener that hears the notices once the run has begun, so that a refusal stays one line."""
    tell = options.on_event
    if tell is None:
        return options

    def listener(event: Event) -> None:
        tell(event)
        if event["event"] == "start":
            for text in said:
                tell({"event": "notice", "text": text})

    return replace(options, on_event=listener)


def no_inside(path: str | Path, recipe: PointRecipe, method: str, asked: str | None = None) -> str:
    """The words for a mesh of which no point is inside, or nothing of what was `asked` in their place."""
    others = " or ".join(f"--sign {sign}" for sign in ("parity", "winding", "flood") if sign != method)
    points = asked or f"{recipe.count} points"
    more = f", or more points (--count is {recipe.count})" if recipe.count < 10_000 and asked is None else ""
    return (
        f"{path}: expected some of the {points} inside the surface, found none ({method} sign). "
        "The mesh encloses nothing that this sign can tell: an open sheet, or every face twice. "
        f"Close it, or try {others}{more}."
    )
