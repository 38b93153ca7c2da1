"""shapetool: from a folder of meshes to numbers a paper can print."""

__version__ = "0.1.0"
