"""`render-views --layout`: the views of a run laid out as other people's training code wants them.

The run makes shards first, beside OUT, with straight colours where the layout has opacity, so that nothing is lost to a
background; then they are written out as `convert` does. A rerun goes on with either.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shapetool.errors import ConfigError, Interrupted, suggestion
from shapetool.recipes import ViewsRecipe
from shapetool.recipes.views import VIEW_LAYOUTS
from shapetool.runner.run import is_file

if TYPE_CHECKING:
    from shapetool.runner.job import Options, Summary

SHARDS = VIEW_LAYOUTS[0]
CHANNELS = {
    "nerf": ("rgb", "alpha"),
    "nerfstudio": ("rgb", "alpha", "depth", "silhouette"),
    "r2n2": ("rgb", "alpha"),
    "neus": ("rgb", "silhouette"),
}
"""What a layout holds."""


def check_layout(layout: str) -> None:
    """None, if there is such a layout.

    Raises:
        ConfigError: there is none.
    """
    if layout not in VIEW_LAYOUTS:
        raise ConfigError(f"--layout {layout}: unknown{suggestion(layout, VIEW_LAYOUTS)}")


def decided_by(layout: str) -> tuple[str, ...]:
    """The settings that a layout leaves no choice about."""
    if layout not in CHANNELS:
        return ()
    return ("channels", "background") if "alpha" in CHANNELS[layout] else ("channels",)


def for_layout(recipe: ViewsRecipe, layout: str) -> ViewsRecipe:
    """The recipe with the channels of a layout, and without a background where that has opacity."""
    if layout == SHARDS:
        return recipe
    changed = recipe.replace(channels=CHANNELS[layout])
    return changed.replace(background="transparent") if "alpha" in CHANNELS[layout] else changed


def shards_of(out: Path, layout: str, options: Options) -> Path:
    """Where the shards of a run go.

    Raises:
        ConfigError: a layout that is a folder is to be a file, or is asked for in parts.
    """
    if layout == SHARDS:
        return out
    if is_file(out):
        raise ConfigError(
            f"{out}: expected a folder as OUT, for --layout {layout} has files of its own for each shape."
        )
    if options.shard is not None:
        raise ConfigError(f"--layout {layout}: is not written in parts. Render shards, then `convert --to {layout}`.")
    return out.with_name(out.name + ".shards")


def lay_out(summary: Summary, out: Path, layout: str, options: Options) -> Summary:
    """How the run ended, after the views of its shards are files of a layout in `out`.

    Shapes that the layout refuses count as invalid; a notice says why.

    Raises:
        ConfigError: `out` holds something else.
        DataError: the shards are damaged.
        OSError: the disk is full or fails.
    """
    from shapetool.pipelines.export import Conversion, export

    if not summary.counts.get("ok"):
        options.emit("notice", text=f"{out} is not written, for no shape could be rendered.")
        return summary
    try:
        ended = export(summary.out, out, Conversion(layout, options=options))
    except Interrupted:
        return replace(summary, stopped="SIGTERM")
    except KeyboardInterrupt:
        return replace(summary, stopped="SIGINT")
    for text in (*ended.notices, *ended.problems):
        options.emit("notice", text=text)
    refused = len(ended.problems)
    counts = Counter(summary.counts) + Counter(invalid=refused) - Counter(ok=refused)
    return replace(summary, out=out, counts=counts)
