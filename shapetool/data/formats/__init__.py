"""The layouts of other people's training code: one file each, named here and imported when it is asked for."""

import importlib
from types import ModuleType

from shapetool.errors import ConfigError, suggestion

# Each module has KINDS (of shards), FRAMES (with their sizes; None: any), ORDERED (not shuffled), SHARED (many shapes
# in a file) and functions: `deepsdf` says what they do, and `imnet_v1` where a file is shared.
FORMATS: dict[str, str] = {
    "deepsdf": "shapetool.data.formats.deepsdf",
    "onet": "shapetool.data.formats.onet",
    "convonet": "shapetool.data.formats.onet",  # the same files for ShapeNet
    "imnet-v1": "shapetool.data.formats.imnet_v1",
    "imnet-v2": "shapetool.data.formats.imnet_v2",
    "disn": "shapetool.data.formats.disn",
    "vecset": "shapetool.data.formats.vecset",
    "nerf": "shapetool.data.formats.nerf",  # of views, as the three below: their rows and files are `view_rows`
    "nerfstudio": "shapetool.data.formats.nerfstudio",
    "r2n2": "shapetool.data.formats.r2n2",
    "neus": "shapetool.data.formats.neus",
}


def load_format(name: str) -> ModuleType:
    """The module of a layout.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in FORMATS:
        raise ConfigError(f"unknown layout {name!r}{suggestion(name, FORMATS)}")
    return importlib.import_module(FORMATS[name])
