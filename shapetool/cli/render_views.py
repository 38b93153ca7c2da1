"""`shapetool render-views`: meshes to images, depth, normals and silhouettes with their cameras."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapetool.cli import _options, _sampling
from shapetool.cli._progress import Progress
from shapetool.errors import ConfigError
from shapetool.recipes import VIEWS_RECIPES, ViewsRecipe, views_recipe
from shapetool.recipes.views import BACKGROUNDS, CAMERAS, CHANNELS, PROJECTIONS, UPS, VIEW_LAYOUTS

if TYPE_CHECKING:
    from shapetool.pipelines.view_pictures import Pictures
    from shapetool.runner.job import Options

Recipe = Annotated[str, typer.Option(metavar="NAME", help=f"One of {', '.join(VIEWS_RECIPES)}.")]
Count = Annotated[int | None, typer.Option(min=1, help="Views a shape. Default: the recipe's, 24.")]
Size = Annotated[str | None, typer.Option(metavar="N|HxW", help="Pixels. Default: the recipe's, 224.")]
Placing = Annotated[
    str | None, typer.Option(metavar=f"{'|'.join(CAMERAS)}|FILE", help="Where the cameras stand. Default: sphere.")
]
Channels = Annotated[
    str | None, typer.Option(metavar="A,B,C", help=f"Of {', '.join(CHANNELS)}. Default: rgb,depth,normal,silhouette.")
]
Layout = Annotated[str, typer.Option(metavar="|".join(VIEW_LAYOUTS), help="The files that are written.")]
Fov = Annotated[float | None, typer.Option(metavar="DEGREES", help="Field of view of the shorter side. Default: 40.")]
Radius = Annotated[
    float | None, typer.Option(help="Distance of the cameras from the origin. Default: the unit sphere just fits.")
]
Projection = Annotated[str | None, typer.Option(metavar="|".join(PROJECTIONS), help="Default: perspective.")]
Up = Annotated[str | None, typer.Option(metavar="|".join(UPS), help="The axis that is up in the images. Default: y.")]
Background = Annotated[str | None, typer.Option(metavar="|".join(BACKGROUNDS), help="Behind colour. Default: white.")]
Ambient = Annotated[float | None, typer.Option(metavar="SHARE", help="Light from everywhere, 0 to 1. Default: 0.35.")]
Shadows = Annotated[int | None, typer.Option(min=0, help="Rays a pixel for soft shadows. Default: 0, none.")]
Occlusion = Annotated[int | None, typer.Option(min=0, help="Rays a pixel for ambient occlusion. Default: 0, none.")]
Samples = Annotated[
    int | None, typer.Option(min=1, help="Rays a pixel along each side for colour and silhouette. Default: 3.")
]
Sheet = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw a table of shapes and views as well.")]
Turntable = Annotated[Path | None, typer.Option(metavar="FILE.gif", help="Draw the first shapes turning as well.")]


def render_views(
    inputs: _options.Inputs,
    out: _options.Out,
    recipe: Recipe = "default",
    views: Count = None,
    size: Size = None,
    cameras: Placing = None,
    channels: Channels = None,
    layout: Layout = "h5",
    fov: Fov = None,
    radius: Radius = None,
    projection: Projection = None,
    up: Up = None,
    background: Background = None,
    ambient: Ambient = None,
    shadows: Shadows = None,
    occlusion: Occlusion = None,
    samples: Samples = None,
    normalize: _sampling.Normalize = None,
    contact_sheet: Sheet = None,
    turntable: Turntable = None,
    set: _sampling.Settings = None,  # as in sample-sdf
    seed: _options.Seed = 0,
    workers: _options.Workers = None,
    shard: _options.Shard = None,
    device: _options.Device = "auto",
    engine: _options.Engine = "local",
    dask: _options.Dask = None,
    dask_workers: _options.DaskWorkers = None,
    dask_set: _options.DaskSet = None,
    overwrite: _options.Overwrite = False,
    dry_run: _options.DryRun = False,
    item_timeout: _options.ItemTimeout = 600.0,
    item_memory: _sampling.ItemMemory = None,
    max_failures: _options.MaxFailures = None,
    retry: _options.Retry = None,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    config: _options.Config = None,
    version: _options.Version = False,
) -> int:
    """Render meshes from many cameras: colour, depth, normals, silhouettes and what else a pixel can tell."""
    from shapetool.pipelines.view_pictures import Pictures

    height, width = (None, None) if size is None else _read_size(size)
    words: dict[str, Any] = {"views": views, "height": height, "width": width, "cameras": cameras, "channels": channels}
    words |= {"fov": fov, "radius": radius, "projection": projection, "up": up, "background": background}
    words |= {"ambient": ambient, "shadows": shadows, "occlusion": occlusion, "samples": samples}
    chosen = _chosen(recipe, layout, _sampling.overrides(set, **words, normalize=normalize))
    with Progress(json=json, quiet=quiet, verbose=verbose) as progress:
        options = _sampling.run_options(
            progress,
            shard,
            item_memory,
            (engine, dask, dask_workers, dask_set),
            workers=workers,
            overwrite=overwrite,
            item_timeout=item_timeout,
            max_failures=max_failures,
            retry=retry,
        )
        pictures = Pictures(contact_sheet, turntable)
        if dry_run:
            return _preview(inputs, out, chosen, (seed, options, pictures, layout))
        return _run(inputs, out, chosen, (seed, options, pictures, layout), progress)


def _run(
    inputs: list[str], out: Path, recipe: ViewsRecipe, how: "tuple[int, Options, Pictures, str]", progress: Progress
) -> int:
    from shapetool.pipelines.render_views import run

    seed, options, pictures, layout = how
    summary = run(inputs, out, recipe, seed=seed, options=options, pictures=pictures, layout=layout)
    return _sampling.ended(summary, progress)


def _preview(inputs: list[str], out: Path, recipe: ViewsRecipe, how: "tuple[int, Options, Pictures, str]") -> int:
    from shapetool.pipelines.render_views import plan

    seed, options, pictures, layout = how
    would = plan(inputs, out, recipe, seed=seed, options=options, pictures=pictures, layout=layout)
    return _sampling.foreseen(would, options)


def _chosen(name: str, layout: str, given: dict[str, Any]) -> ViewsRecipe:
    """The recipe of this name with what was given, where it means something."""
    from shapetool.pipelines.render_views import check_given
    from shapetool.pipelines.view_layouts import decided_by

    for word in decided_by(layout):
        if word in given:
            raise ConfigError(f"--layout {layout}: has its own {word}. Leave --{word} out.")
    if "r2n2" in (layout, given.get("cameras")) and name == "default":
        name = "r2n2"  # whose cameras come so near that the frame is another
    chosen = views_recipe(name).replace(**given)
    check_given(chosen, list(given))
    return chosen


def _read_size(text: str) -> tuple[int, int]:
    """Height and width from words such as 224 or 480x640."""
    match = re.fullmatch(r"\s*(\d+)(?:\s*[xX]\s*(\d+))?\s*", text)
    if match is None:
        raise ConfigError(f"--size {text}: expected pixels such as 224, or height x width such as 480x640.")
    return int(match[1]), int(match[2] or match[1])
