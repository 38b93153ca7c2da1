"""Small coloured mesh files written by hand: a square with an image on it, and a cube whose colour is its position."""

import base64
import json
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tests.geometry.mesh_files import CUBE_FACES, CUBE_VERTICES, glb_bytes, gltf_tree, write

# The unit square, seen upright from +z; texture coordinates with v upwards, as in OBJ and PLY.
SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
UPWARDS = SQUARE[:, :2]
TWO = np.array([[0, 1, 2], [0, 2, 3]])


def letter(height: int = 8, width: int = 12) -> np.ndarray:
    """An F of another colour in every texel, on white: no turn and no mirror maps it to itself."""
    image = np.full((height, width, 3), 255, np.uint8)
    ink = np.random.default_rng(5).integers(0, 200, (height, width, 3), dtype=np.uint8)
    on = np.zeros((height, width), bool)
    on[1:-1, 2:4] = on[1, 2:9] = on[3, 2:7] = True
    image[on] = ink[on]
    return image


def png(image: np.ndarray) -> bytes:
    """The image as a PNG."""
    stream = BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def with_texture(folder: Path, kind: str, image: bytes, uv: np.ndarray = UPWARDS) -> Path:
    """The square with an image on it, in one of the formats that can say so."""
    if kind in ("square.obj", "ply corners", "ply vertices"):
        write(folder, "image one.png", image)
    match kind:
        case "square.obj":
            write(folder, "square.mtl", "# by hand\nnewmtl skin\nKd 1 1 1\nmap_Kd -blendu on image one.png\n")
            return write(folder, kind, obj_square(uv))
        case "ply corners":
            corners = [f"3 {a} {b} {c} 6 " + " ".join(map(repr, uv[[a, b, c]].ravel().tolist())) for a, b, c in TWO]
            return write(
                folder, "corners.ply", ply_square("", [""] * 4, "property list uchar float texcoord\n", corners)
            )
        case "ply vertices":
            rows = [f" {u!r} {v!r}" for u, v in uv.tolist()]
            faces = [f"3 {a} {b} {c}" for a, b, c in TWO]
            return write(folder, "vertices.ply", ply_square("property float s\nproperty float t\n", rows, "", faces))
        case "square.glb":
            return write(folder, kind, glb_bytes(gltf_square(uv, image)))
        case "square.gltf":
            return write(folder, kind, gltf_square(uv, image))
    raise AssertionError(kind)


def obj_square(uv: np.ndarray = UPWARDS, library: str = "square.mtl") -> str:
    """The square as an OBJ of one material."""
    lines = [f"mtllib {library}", "usemtl skin"]
    lines += [f"v {x} {y} {z}" for x, y, z in SQUARE.tolist()]
    lines += [f"vt {u!r} {v!r}" for u, v in uv.tolist()]
    return "\n".join([*lines, "f 1/1 2/2 3/3 4/4"]) + "\n"


def ply_square(
    vertex: str, rows: list[str], face: str, faces: list[str], comment: str = "TextureFile image one.png"
) -> str:
    """The square as a PLY with further properties."""
    head = f"ply\nformat ascii 1.0\ncomment {comment}\nelement vertex 4\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz") + vertex
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\n{face}end_header\n"
    points = [f"{x} {y} {z}" + row for (x, y, z), row in zip(SQUARE.tolist(), rows, strict=True)]
    return head + "\n".join(points + faces) + "\n"


def add_view(tree: dict, data: bytes) -> int:
    """The number of a new buffer view of the bytes."""
    packed = base64.b64encode(data).decode()
    tree["buffers"].append({"byteLength": len(data), "uri": f"data:application/octet-stream;base64,{packed}"})
    tree["bufferViews"].append({"buffer": len(tree["buffers"]) - 1, "byteLength": len(data)})
    return len(tree["bufferViews"]) - 1


def add_attribute(tree: dict, name: str, values: np.ndarray) -> None:
    """Nothing; the first primitive gains an attribute, normalized where it is whole numbers."""
    code = {"float32": 5126, "uint8": 5121, "uint16": 5123}[values.dtype.name]
    accessor = {
        "bufferView": add_view(tree, values.tobytes()),
        "componentType": code,
        "count": len(values),
        "type": f"VEC{values.shape[1]}",
        "normalized": code != 5126,
    }
    tree["accessors"].append(accessor)
    tree["meshes"][0]["primitives"][0]["attributes"][name] = len(tree["accessors"]) - 1


def gltf_square(uv: np.ndarray = UPWARDS, image: bytes | None = None, sampler: dict | None = None) -> dict:
    """The square as a glTF, whose v runs downwards, with an image in it."""
    tree = gltf_tree(SQUARE, TWO)
    add_attribute(tree, "TEXCOORD_0", (uv * [1, -1] + [0, 1]).astype("<f4"))
    tree["meshes"][0]["primitives"][0]["material"] = 0
    tree["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    tree["textures"] = [{"source": 0, "sampler": 0}]
    tree["samplers"] = [sampler or {}]
    tree["images"] = [{"uri": "gone.png"}]
    if image is not None:
        tree["images"] = [{"bufferView": add_view(tree, image), "mimeType": "image/png"}]
    return tree


def rainbow(folder: Path, kind: str, faces: np.ndarray = CUBE_FACES, colours: np.ndarray = CUBE_VERTICES) -> Path:
    """The unit cube with the colours at its vertices, by default each vertex's position."""
    points, rows = CUBE_VERTICES.tolist(), colours.tolist()
    pairs = list(zip(points, rows, strict=True))
    match kind:
        case "rainbow.obj":
            lines = ["v " + " ".join(map(repr, p + c)) for p, c in pairs]
            text = "\n".join(lines + ["f " + " ".join(str(i + 1) for i in face) for face in np.asarray(faces).tolist()])
        case "rainbow.off":
            lines = [f"COFF\n8 {len(faces)} 0"] + [" ".join(map(repr, [*p, *c, 1.0])) for p, c in pairs]
            text = "\n".join(lines + [" ".join(map(str, [len(face), *face])) for face in np.asarray(faces).tolist()])
        case "rainbow.ply":
            names = "".join(f"property float {n}\n" for n in ("x", "y", "z", "red", "green", "blue"))
            text = f"ply\nformat ascii 1.0\nelement vertex 8\n{names}element face {len(faces)}\n"
            text += "property list uchar int vertex_indices\nend_header\n"
            text += "\n".join(" ".join(map(repr, p + c)) for p, c in pairs) + "\n"
            text += "\n".join(" ".join(map(str, [len(face), *face])) for face in np.asarray(faces).tolist())
        case "rainbow.glb":
            tree = gltf_tree(faces=faces)
            add_attribute(tree, "COLOR_0", colours.astype("<f4"))
            return write(folder, kind, glb_bytes(json.loads(json.dumps(tree))))
        case _:
            raise AssertionError(kind)
    return write(folder, kind, text + "\n")
