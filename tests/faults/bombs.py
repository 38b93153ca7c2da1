"""Small files that ask for much memory: promises of a header, archives of zeros, and scenes that multiply."""

import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tests.geometry.mesh_files import CUBE_FACES, CUBE_VERTICES, glb_bytes, gltf_tree, off_text, ply_bytes, stl_bytes
from tests.render.painted_files import with_texture

GIB = 1 << 30


def write_bombs(folder: Path, mebibytes: int) -> dict[str, str]:
    """Writes a file of each kind; for each the statuses that its item may have. Archives hold so many mebibytes."""
    promises: dict[str, str | bytes] = {
        "accessor.gltf": json.dumps(accessor(2**31)),
        "accessor40.gltf": json.dumps(accessor(2**40)),
        "sparse.gltf": json.dumps(accessor(2**31, sparse={"count": 2**31, "indices": {}, "values": {}})),
        "view.glb": wide_view(),
        "stride.gltf": json.dumps(no_stride()),
        "doubling.gltf": json.dumps(doubling(40)),
        "instances.gltf": json.dumps(instances(12_000)),
        "binary.ply": ply_bytes("binary_little_endian", counts=(4_000_000_000, 12)),
        "text.ply": ply_bytes("ascii", counts=(4_000_000_000, 4_000_000_000)),
        "list.ply": long_list(),
        "counts.stl": stl_bytes(promised=4_000_000_000),
        "counts.off": off_text().replace("8 12 0", "4000000000 4000000000 0"),
        "face.off": off_text().replace("3 0 2 3", "4000000000 0 2 3"),
        "laughs.dae": laughs("COLLADA"),
        "laughs.xaml": laughs("Viewport3D"),
    }
    for name, content in promises.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    zeros(folder / "zeros.zip", "a.stl", mebibytes)
    zeros(folder / "text.zip", "a.obj", mebibytes)
    zeros(folder / "zeros.3mf", "3D/3dmodel.model", mebibytes)
    zeros(folder / "zeros.3dxml", "a.3dxml", mebibytes)
    lying(folder / "lying.zip", mebibytes)
    model_3mf(folder / "laughs.3mf", laughs("model"))
    names = [*promises, "zeros.zip", "text.zip", "zeros.3mf", "zeros.3dxml", "lying.zip", "laughs.3mf"]
    return dict.fromkeys(names, "invalid oom")


def accessor(count: int, **more: object) -> dict:
    """Vertices of which nothing is in the file: 24 GiB for 2**31."""
    return gltf_tree(accessors=[{"componentType": 5126, "count": count, "type": "VEC3", **more}] * 2)


def wide_view() -> bytes:
    """A GLB whose buffer, view and accessor all agree on 24 GiB."""
    tree = gltf_tree()
    tree["accessors"][0]["count"] = 2**31
    tree["bufferViews"][0]["byteLength"] = tree["buffers"][0]["byteLength"] = 24 * GIB
    return glb_bytes(tree)


def no_stride() -> dict:
    """Two thousand million vertices at one place of a view, if a stride of 0 were taken at its word."""
    tree = gltf_tree()
    tree["accessors"][0]["count"] = 2**31
    tree["bufferViews"][0]["byteStride"] = 0
    return tree


def doubling(levels: int) -> dict:
    nodes: list[dict] = [{"children": [level + 1, level + 1]} for level in range(levels)]
    return gltf_tree(nodes=[*nodes, {"mesh": 0}])


def instances(count: int) -> dict:
    """A mesh of a hundred cubes that stands in the scene so often: two gigabytes to read."""
    faces = np.concatenate([CUBE_FACES + 8 * k for k in range(100)])
    return gltf_tree(
        np.tile(CUBE_VERTICES, (100, 1)), faces, nodes=[{"mesh": 0}] * count, scenes=[{"nodes": list(range(count))}]
    )


def long_list() -> bytes:
    data = ply_bytes("binary_little_endian").replace(b"list uchar", b"list uint")
    head = data.index(b"end_header\n") + 11
    return data[: head + 8 * 24] + b"\xff" * 4 + data[head + 8 * 24 :]


def laughs(root: str) -> str:
    """Entities of entities, ten to the power of nine of them."""
    lines = ['<!ENTITY a0 "haha">'] + [f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 10)]
    return f'<?xml version="1.0"?><!DOCTYPE {root} [{"".join(lines)}]><{root}>&a9;</{root}>'


def zeros(path: Path, member: str, mebibytes: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w") as file:
        for _ in range(mebibytes):
            file.write(bytes(1 << 20))


def lying(path: Path, mebibytes: int) -> None:
    """An archive that says of its zeros that they are a thousand."""
    zeros(path, "a.stl", mebibytes)
    size = struct.pack("<I", mebibytes << 20)
    path.write_bytes(path.read_bytes().replace(size, struct.pack("<I", 1000)))


def model_3mf(path: Path, model: str) -> None:
    start = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{relations}"><Relationship Target="/3D/3dmodel.model" Id="r" Type="{start}"/>'
            "</Relationships>",
        )
        archive.writestr("3D/3dmodel.model", model)


def black_png(side: int) -> bytes:
    """A whole PNG of one bit a pixel, made without its pixels: each block of zeros is compressed once."""
    row = -(-side // 8) + 1
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(row)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(row)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">I", (row * side % 65521) << 16 | 1)
    body = start + block * (side - 1) + b"\x03\x00" + checksum  # an empty last block

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def write_pictures(folder: Path, side: int) -> None:
    """A GLB and an OBJ with a texture that is this wide and high."""
    with_texture(folder, "square.glb", black_png(side))
    with_texture(folder, "square.obj", black_png(side))
