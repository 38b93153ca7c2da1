"""Small good files to begin from, made when they are needed, and words that parsers know."""

import io
import json
import zipfile
from collections.abc import Callable

import numpy as np

from tests.fuzz.folders import ram
from tests.geometry.mesh_files import CUBES, gltf_tree, off_text, write
from tests.render.painted_files import letter, obj_square, png, rainbow, with_texture

Seeds = Callable[[], list[bytes]]

NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"nan",
    b"-inf",
    b"1e999",
    b"1e-999",
    b"4294967295",
    b"2147483648",
    b"0.5",
    b"1_0",
    b"1e308",
)
MARKS = (b"\n", b"\r\n", b" ", b"\t", b"#", b"\\\n", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x00")
JSON = (
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[",
    b"]]",
    b'""',
    b'":',
    b",",
    b"null",
    b"true",
    b"1E400",
    b"-0.0",
    b"NaN",
    b"Infinity",
    b'"\\ud800"',
)
OBJ = (
    b"v ",
    b"f ",
    b"vt ",
    b"vn ",
    b"vp ",
    b"l ",
    b"p ",
    b"fo ",
    b"g ",
    b"usemtl ",
    b"mtllib ",
    b"1/1/1",
    b"1//1",
    b"-1/-1",
)
OFF = (b"OFF", b"COFF", b"NOFF", b"STOFF", b"4OFF", b"nOFF", b"OFF BINARY")
PLY = (
    b"ply", b"format ascii 1.0", b"format binary_little_endian 1.0", b"format binary_big_endian 1.0",
    b"element vertex ", b"element face ", b"property list ", b"property ", b"uchar", b"int", b"float", b"double",
    b"int64", b"uint64", b"vertex_indices", b"vertex_index", b"comment TextureFile ", b"end_header\n", b"texcoord",
    b"red", b"texnumber", b"obj_info ", b"tristrips",
)  # fmt: skip
STL = (b"solid", b"facet normal", b"outer loop", b"vertex ", b"endloop", b"endfacet", b"endsolid")


def meshes(suffix: str) -> list[bytes]:
    """The cubes of that ending."""
    return [write(ram("seeds"), name, content).read_bytes() for name, content in CUBES.items() if name.endswith(suffix)]


def painted(suffix: str) -> list[bytes]:
    """Coloured meshes of that ending, and those with a texture."""
    kinds = [
        kind
        for kind in ("square.obj", "ply corners", "ply vertices", "square.glb", "square.gltf")
        if suffix[1:] in kind
    ]
    found = [with_texture(ram("seeds"), kind, png(letter(4, 4))).read_bytes() for kind in kinds]
    if suffix != ".gltf":
        found.append(rainbow(ram("seeds"), f"rainbow{suffix}").read_bytes())
    return found


SQUARE = ("square.obj", obj_square().encode())
MTL = b"newmtl skin\nKd 1 0.5 0.25\nd 0.5\nmap_Kd -s 1 1 1 -o 0 0 0 image.png\nnewmtl other\nTr 0.5\nmap_d a.png\n"
GIVEN = b"newmtl skin\nmap_Kd image.png\n"


def pictures() -> list[bytes]:
    """One small picture in each of the formats that textures come in."""
    from PIL import Image

    found = []
    for kind in ("PNG", "JPEG", "BMP", "TGA", "GIF", "TIFF", "WEBP", "PPM"):
        memory = io.BytesIO()
        Image.fromarray(letter(4, 4)).save(memory, kind)
        found.append(memory.getvalue())
    return found


def gltf_beside() -> list[bytes]:
    """glTFs whose bytes stand in a file beside, in sparse parts, in strips and below turned nodes."""
    tree = gltf_tree()
    beside = json.loads(json.dumps(tree))
    beside["buffers"][0]["uri"] = "mesh.bin"
    nodes = [{"children": [1], "scale": [2, 1, 1]}, {"mesh": 0, "rotation": [0, 0, 0, 1], "translation": [1, 0, 0]}]
    strips = gltf_tree(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "mode": 5}]}])
    sparse = json.loads(json.dumps(tree))
    part = {"count": 1, "indices": {"bufferView": 1, "componentType": 5125}, "values": {"bufferView": 0}}
    sparse["accessors"][0]["sparse"] = part
    return [json.dumps(t).encode() for t in (beside, gltf_tree(nodes=nodes), strips, sparse)]


def archives() -> list[bytes]:
    """A zip archive of one mesh, stored and deflated."""
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w", method) as archive:
            archive.writestr("mesh.off", off_text())
        found.append(memory.getvalue())
    return found


def rows() -> list[bytes]:
    """A text with two rows of numbers and two polygons behind its counts."""
    return [b"\0\0\2\0\2\0" + b"0 1.5 -2e3\n1 2 3 # more\n3 0 1 2\n4 0 1 2 3\n"]


def texts() -> list[bytes]:
    """OBJ texts behind counts that are not theirs, and rows."""
    return [*rows(), *(bytes(6) + data for data in meshes(".obj"))]


def clouds() -> list[bytes]:
    """Clouds in each of their endings, behind its number."""
    points = np.arange(12.0).reshape(4, 3)
    npz, npy = io.BytesIO(), io.BytesIO()
    np.savez(npz, points=points, normals=points)
    np.save(npy, np.hstack([points, points]))
    head = "ply\nformat ascii 1.0\nelement vertex 2\n" + "".join(
        f"property float {n}\n" for n in ("x", "y", "z", "nx", "ny", "nz")
    )
    ply = head + "end_header\n0 0 0 0 0 1\n1 1 1 0 0 1\n"
    return [
        b"\0" + ply.encode(),
        b"\1" + npz.getvalue(),
        b"\2" + npy.getvalue(),
        b"\3" + b"0 0 0\n1 2 3\n",
        b"\4" + b"2\n0,0,0\n1,1,1\n",
    ]


def cameras() -> list[bytes]:
    """Cameras of our own and of a transforms.json."""
    own = {
        "size": [4, 6],
        "projection": "orthographic",
        "views": [{"intrinsics": np.eye(3).tolist(), "pose": np.eye(4).tolist()}],
    }
    frame = {"transform_matrix": np.eye(4).tolist()}
    lens = {"fl_x": 5, "fl_y": 5, "cx": 2, "cy": 2, "w": 4, "h": 4, "camera_model": "OPENCV"}
    trees = (own, {"camera_angle_x": 0.7, "frames": [frame]}, {"frames": [frame | lens], "k1": 0})
    return [json.dumps(tree).encode() for tree in trees]


def splits() -> list[bytes]:
    """Lists of names behind the number of the kind of file."""
    trees = ({"train": ["a"], "val": ["chair/b"], "test": []}, {"ShapeNet": {"chair": ["b"]}})
    return [*(bytes([k]) + json.dumps(tree).encode() for k, tree in enumerate(trees)), b"\2a\nchair/b\n", b"\3b.obj\n"]


CONFIG = b'seed = 7\nworkers = 2\n[sample-sdf]\ncount = 1_000\nsign = "auto"\nfrom = "x"\n'
SETTINGS = b"near_stds=0.05,0.0158\nnear_weights=1,1\ncount=100\nnormalize=box\ndtype=f16\nsign=auto"
RECIPE = b'{"name": "x", "count": 5, "near_stds": [0.1], "near_weights": [1], "normalize": "sphere", "sharp_angle": 30}'
KEYS = tuple(
    b"name count surface_count near_stds near_weights uniform_weight normalize frame_size dtype sign backend".split()
)
CAMERA = tuple(
    b'"%s"' % word
    for word in b"size views cameras frames intrinsics pose projection transform_matrix fl_x fl_y cx cy w h "
    b"camera_angle_x camera_model".split()
)
GLTF = tuple(
    b'"%s"' % word
    for word in b"scenes nodes children matrix scale rotation translation mesh primitives attributes POSITION indices "
    b"mode accessors bufferView byteOffset componentType count type sparse values byteStride buffers byteLength uri "
    b"materials textures COLOR_0 TEXCOORD_0 normalized extensions KHR_draco_mesh_compression KHR_texture_transform "
    b"KHR_mesh_quantization instances".split()
)
MATERIAL = (
    b"newmtl ",
    b"Kd ",
    b"map_Kd ",
    b"-s ",
    b"-o ",
    b"-clamp on",
    b"d ",
    b"Tr ",
    b"xyz",
    b"spectral",
    b"../",
    b"/dev/zero",
)
ZIPPED = (
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"\x93NUMPY",
    b"'descr'",
    b"'shape'",
    b"'<f4'",
    b"(2**40,)",
    b"|O",
)
BINVOX = (b"#binvox 1\n", b"dim ", b"translate ", b"scale ", b"\ndata\n")
TENSORS = (
    b'"dtype"',
    b'"F32"',
    b'"shape"',
    b'"data_offsets"',
    b'"__metadata__"',
    b'"width"',
    b'"sizes"',
    b'"facts"',
    b'"step"',
)
HDF = (b"\x89HDF\r\n\x1a\n", b"TREE", b"SNOD", b"HEAP", b"OHDR", b"OCHK", b"FRHP", b"BTHD", b"GCOL", b"\xff" * 8)
