"""The file name endings that `load_mesh` accepts. Nothing heavy is imported: a folder scan needs this table alone."""

# Read by shapetool's own strict readers.
OWN_SUFFIXES = frozenset({".obj", ".off", ".ply", ".stl", ".glb", ".gltf"})

# Handed to trimesh after a size check.
FOREIGN_SUFFIXES = frozenset({".3mf", ".3dxml", ".xaml", ".dae"})

# An archive that holds exactly one mesh.
ARCHIVE_SUFFIXES = frozenset({".zip"})

# Lower case, with the dot; compare with `path.suffix.lower()`.
MESH_SUFFIXES = OWN_SUFFIXES | FOREIGN_SUFFIXES | ARCHIVE_SUFFIXES
