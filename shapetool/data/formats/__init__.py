"""The layouts of other people's training code: one file each, named here and imported when it is asked for."""

import importlib
from types import ModuleType

from shapetool.errors import ConfigError, suggestion

# Each module has KINDS, FRAMES, ORDERED and the functions find, sizes, read, files, write and finish; `deepsdf` says
# what they do.
FORMATS: dict[str, str] = {
    "deepsdf": "shapetool.data.formats.deepsdf",
    "onet": "shapetool.data.formats.onet",
    "convonet": "shapetool.data.formats.onet",  # the same files for ShapeNet
    "disn": "shapetool.data.formats.disn",
    "vecset": "shapetool.data.formats.vecset",
}


def load_format(name: str) -> ModuleType:
    """The module of a layout.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in FORMATS:
        raise ConfigError(f"unknown layout {name!r}{suggestion(name, FORMATS)}")
    return importlib.import_module(FORMATS[name])
