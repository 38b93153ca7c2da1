"""Every parser that was written here, as a function of bytes that raises only where something is wrong."""

from collections.abc import Callable
from functools import partial

from tests.fuzz import data_targets as d
from tests.fuzz import hdf5_targets as h
from tests.fuzz import layout_targets as lay
from tests.fuzz import mesh_targets as m
from tests.fuzz import native_text as n
from tests.fuzz import seeds as s
from tests.fuzz import training_targets as t

Words = tuple[bytes, ...]
LAYOUTS = ("deepsdf", "onet", "vecset", "disn", "imnet-v1", "imnet-v2", "nerf", "nerfstudio", "r2n2", "neus")
_TEXT = s.NUMBERS + s.MARKS
_TREE = s.JSON + s.NUMBERS
_LAYOUT = _TREE + s.ZIPPED + s.BINVOX + s.HDF

_TABLE: dict[str, tuple[m.Target, s.Seeds, Words]] = {
    "obj": (m.mesh_file(".obj"), lambda: s.meshes(".obj"), s.OBJ + _TEXT),
    "off": (m.mesh_file(".off"), lambda: s.meshes(".off"), s.OFF + _TEXT),
    "ply": (m.mesh_file(".ply"), lambda: s.meshes(".ply"), s.PLY + _TEXT),
    "stl": (m.mesh_file(".stl"), lambda: s.meshes(".stl") + s.meshes(".STL"), s.STL + _TEXT),
    "gltf": (m.mesh_file(".gltf"), lambda: s.meshes(".gltf") + s.gltf_beside(), s.GLTF + _TREE),
    "glb": (m.mesh_file(".glb"), lambda: s.meshes(".glb"), s.GLTF + _TREE + s.MARKS),
    "archive": (m.mesh_file(".zip"), s.archives, s.ZIPPED + s.MARKS),
    "native-obj": (m.native_obj, lambda: s.meshes(".obj"), s.OBJ + _TEXT),
    "native-off": (m.native_off, lambda: s.meshes(".off"), s.OFF + _TEXT),
    "native-text": (n.native_text, s.texts, s.OBJ + _TEXT),
    "native-rows": (m.native_rows, s.rows, _TEXT),
    "colours-obj": (m.painted_file(".obj"), lambda: s.painted(".obj"), s.OBJ + _TEXT),
    "colours-mtl": (m.painted_beside(s.SQUARE, "square.mtl"), lambda: [s.MTL, s.GIVEN], s.MATERIAL + _TEXT),
    "colours-off": (m.painted_file(".off"), lambda: s.painted(".off"), s.OFF + _TEXT),
    "colours-ply": (m.painted_file(".ply"), lambda: s.painted(".ply"), s.PLY + _TEXT),
    "colours-gltf": (m.painted_file(".gltf"), lambda: s.painted(".gltf"), s.GLTF + _TREE),
    "colours-glb": (m.painted_file(".glb"), lambda: s.painted(".glb"), s.GLTF + _TREE + s.MARKS),
    "texture": (m.texture, s.pictures, s.MARKS),
    "cameras": (d.cameras, s.cameras, s.CAMERA + _TREE),
    "binvox": (lay.binvox, lay.binvox_seeds, s.BINVOX + _TEXT),
    **{f"layout-{name}": (lay.layout(name), partial(lay.layout_seeds, name), _LAYOUT) for name in LAYOUTS},
    "shard": (h.shard, h.shard_seeds, s.HDF),
    "shard-tree": (h.shard_tree, h.tree_seeds, ()),
    "layout-tree": (h.layout_tree, h.tree_seeds, ()),
    "folder": (d.folder, d.folder_seeds, _TREE + s.MARKS),
    "outputs": (d.outputs, d.outputs_seeds, _TREE + s.MARKS),
    "cloud": (d.cloud, s.clouds, s.PLY + s.ZIPPED + _TEXT),
    "split": (d.split_file, s.splits, _TREE + s.MARKS),
    "lists": (lay.lists, lambda: [b"a\nchair/b\n"], s.MARKS),
    "config": (
        d.config,
        lambda: [s.CONFIG],
        (b"[", b"]", b"=", b'"""', b"{", b"}", b"1979-05-27", b"sample-sdf", b"seed", *_TEXT),
    ),
    "settings": (d.settings, lambda: [s.SETTINGS, s.RECIPE], s.KEYS + _TREE + s.MARKS),
    "run": (t.run_folder, t.run_seeds, s.TENSORS + _TREE),
}
TARGETS: dict[str, Callable[[bytes], None]] = {name: row[0] for name, row in _TABLE.items()}
SEEDS: dict[str, s.Seeds] = {name: row[1] for name, row in _TABLE.items()}
WORDS: dict[str, Words] = {name: row[2] for name, row in _TABLE.items()}

# What has an hour: a parser, which is a source file or a few that belong together, by all the ways in that there are.
PARSERS: dict[str, tuple[str, ...]] = {
    "obj": ("obj", "native-obj", "colours-obj", "colours-mtl"),
    "off": ("off", "native-off", "colours-off"),
    "kernel-text": ("native-text", "native-rows"),
    "ply": ("ply", "colours-ply"),
    "stl": ("stl",),
    "gltf": ("gltf", "glb", "colours-gltf", "colours-glb"),
    "archive": ("archive",),
    "textures": ("texture",),
    "cameras": ("cameras",),
    "binvox": ("binvox",),
    "layouts-of-arrays": ("layout-deepsdf", "layout-onet", "layout-vecset", "layout-disn"),
    "layouts-of-pictures": ("layout-nerf", "layout-nerfstudio", "layout-r2n2", "layout-neus"),
    "layouts-of-hdf5": ("layout-imnet-v1", "layout-imnet-v2", "layout-tree"),
    "shards": ("shard", "shard-tree"),
    "clouds": ("cloud",),
    "state-of-runs": ("folder", "outputs", "settings"),
    "lists-and-config": ("lists", "split", "config"),
    "trained-runs": ("run",),
}
