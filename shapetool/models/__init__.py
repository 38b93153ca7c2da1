"""The models that `shapetool train` knows, one file each. Nothing heavy is imported until one is asked for."""

import importlib
from typing import TYPE_CHECKING, Any

from shapetool.errors import ConfigError, suggestion

if TYPE_CHECKING:
    from shapetool.models.base import Model

MODELS: dict[str, str] = {
    "deepsdf": "shapetool.models.deepsdf:DeepSDF",
    "onet": "shapetool.models.onet:OccupancyNetwork",
    "imnet": "shapetool.models.imnet:ImNet",
    "levelset-grid": "shapetool.models.levelset_lattice:LevelSetLattice",
    "svr": "shapetool.models.svr:SingleView",
}
"""Every model by name: where its class is."""


def model_class(name: str) -> "type[Model[Any]]":
    """The class of the model of this name.

    Raises:
        ConfigError: there is none; the message names the nearest and all that are known.
    """
    if name not in MODELS:
        raise ConfigError(f"unknown model {name!r}{suggestion(name, MODELS)}")
    module, _, kind = MODELS[name].partition(":")
    found: type[Model[Any]] = getattr(importlib.import_module(module), kind)
    return found
