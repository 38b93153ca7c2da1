"""The errors of shapetool: each says where, what was expected, what came, and what to do."""

import difflib
from collections.abc import Iterable


class ShapetoolError(Exception):
    """The root of every error that shapetool raises on purpose."""


class MeshError(ShapetoolError):
    """A mesh file that cannot be read, or a mesh that is not fit for what was asked of it."""


class DataError(ShapetoolError):
    """A shard, a data set or a manifest that is missing, foreign, damaged or made with other settings."""


class ConfigError(ShapetoolError):
    """A recipe, an option or an input list that makes no sense."""


class MetricError(ShapetoolError):
    """Arguments for which a metric has no value."""


class CheckpointError(ShapetoolError):
    """A run folder or checkpoint that is missing, foreign or damaged."""


class Interrupted(ShapetoolError):  # noqa: N818 - no fault, but the way a run ends
    """A run that was told to stop (SIGTERM, SIGUSR1) and goes on where it left off when it is started again."""


def suggestion(name: object, known: Iterable[str]) -> str:
    """How an error about an unknown name ends: the nearest of the known names if one is near, and all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    return f"; {f'did you mean {near[0]!r}? ' if near else ''}known: {', '.join(names)}"
