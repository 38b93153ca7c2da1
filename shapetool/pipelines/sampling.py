"""What the sampling commands share: which files they take, and what they say of a run that is not refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from shapetool.geometry.suffixes import MESH_SUFFIXES
from shapetool.geometry.wording import plural
from shapetool.recipes import PointRecipe
from shapetool.runner.items import Collection, collect
from shapetool.runner.job import Event, Options


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
    if found.ignored:
        said.append(f"{plural(found.ignored, 'file')} passed over: no mesh by the suffix.")
    return said


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
    others = " or ".join(f"--sign {sign}" for sign in ("parity", "winding") if sign != method)
    points = asked or f"{recipe.count} points"
    more = f", or more points (--count is {recipe.count})" if recipe.count < 10_000 and asked is None else ""
    return (
        f"{path}: expected some of the {points} inside the surface, found none ({method} sign). "
        "The mesh encloses nothing that this sign can tell: an open sheet, or every face twice. "
        f"Close it, or try {others}{more}."
    )
