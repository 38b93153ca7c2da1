"""Mesh files, their colours, and the kernel's reading of plain text."""

import contextlib
from collections.abc import Callable

import numpy as np

from shapetool.errors import MeshError
from shapetool.geometry.mesh import Mesh, load_mesh
from shapetool.geometry.readers.obj import _read_line_by_line, read_obj, statement_lines
from shapetool.geometry.readers.off import _read_lines, read_off
from shapetool.geometry.readers.raw import RawMesh
from shapetool.native._kernel import read_coordinates, read_polygons, read_statements
from shapetool.render.colours.texture import decode
from shapetool.render.paint import load_painted
from tests.fuzz.folders import put

Target = Callable[[bytes], None]
POINT = np.array([[0.2, 0.3, 0.5]])


def mesh_file(suffix: str) -> Target:
    """A file of that ending is refused, or gives a mesh that passes the gate."""

    def run(data: bytes) -> None:
        with contextlib.suppress(MeshError):
            check_mesh(load_mesh(put("mesh", f"mesh{suffix}", data)))

    return run


def check_mesh(mesh: Mesh) -> None:
    """Nothing, when every index points at a finite vertex and there is something to see."""
    assert len(mesh.faces) >= 1
    assert np.isfinite(mesh.vertices).all()
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)
    assert mesh.area > 0


def painted_file(suffix: str) -> Target:
    """A file of that ending is refused as a mesh, or has finite colours for every face, or none."""

    def run(data: bytes) -> None:
        with contextlib.suppress(MeshError):
            painted = load_painted(put("paint", f"mesh{suffix}", data))
            if painted.paint is not None:
                faces = np.arange(len(painted.mesh.faces))
                colours = painted.paint.filtered(0.01).colours(faces, np.repeat(POINT, len(faces), axis=0))
                assert colours.shape == (len(faces), 3)
                assert np.isfinite(colours).all()

    return run


def painted_beside(main: tuple[str, bytes], name: str) -> Target:
    """What a sound mesh names beside itself (a material library, a picture) may be anything: the mesh is drawn."""

    def run(data: bytes) -> None:
        path = put("beside", *main)
        put("beside", name, data)
        painted = load_painted(path)
        assert painted.paint is None or np.isfinite(painted.paint.colours(np.array([0]), POINT)).all()

    return run


def texture(data: bytes) -> None:
    """An image is refused, or becomes bytes of colours. The decoders are Pillow's."""
    with contextlib.suppress(MeshError):
        pixels, _ = decode(data, 1 << 20)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2:] == (3,)
        assert pixels.size > 0


def native_obj(data: bytes) -> None:
    """The kernel's reading of an OBJ gives what the reading line by line gives, or is no answer."""
    found = read_statements(data)
    if found is not None:
        vertices, corners, sizes = (np.asarray(part) for part in found)
        assert len(vertices) % 3 == 0
        assert (sizes >= 0).all()
        assert sizes.sum() == len(corners)
        assert not len(corners) or corners.min() >= 0
    both(read_obj, lambda text: _read_line_by_line(statement_lines(text)), data)


def native_off(data: bytes) -> None:
    """The kernel's reading of an OFF gives what the reading by lines gives, or is no answer."""
    both(read_off, _read_lines, data)


def both(read: Callable[[bytes], RawMesh], slow: Callable[[bytes], RawMesh], data: bytes) -> None:
    """Nothing, when what one reader accepts is to the bit what the other one says."""
    try:
        fast = read(data)
    except MeshError:
        return
    plain = slow(data)
    assert fast.vertices.tobytes() == plain.vertices.tobytes()
    assert np.array_equal(fast.faces, plain.faces)


def native_rows(data: bytes) -> None:
    """Rows of numbers: a place and two counts in six bytes, then the text."""
    at, rows, polygons = (int.from_bytes(data[k : k + 2], "little") for k in (0, 2, 4))
    text = data[6:]
    found = read_coordinates(text, min(at, len(text)), rows)
    if found is not None:
        coordinates, end = found
        assert coordinates.shape == (rows, 3)
        assert min(at, len(text)) <= end <= len(text)
        at = end
    more = read_polygons(text, min(at, len(text)), polygons)
    if more is not None:
        corners, sizes = (np.asarray(part) for part in more)
        assert len(sizes) == polygons
        assert sizes.sum() == len(corners)
