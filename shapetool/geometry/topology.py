"""What a mesh is as a surface: closed, oriented, manifold, meeting itself."""

from dataclasses import dataclass

from shapetool.geometry.kernel import kernel_of
from shapetool.geometry.mesh import Mesh


@dataclass(frozen=True)
class Topology:
    """Counts over the edges, vertices and faces of a mesh whose coinciding vertices have been merged."""

    open_edges: int  # with one face
    nonmanifold_edges: int  # with three faces or more
    misoriented_edges: int  # with two faces wound against each other
    nonmanifold_vertices: int  # whose faces form more than one fan
    degenerate_faces: int  # thinner than 1e-8 of their longest edge squared: they count as segments
    folded_edges: int  # whose two faces lie back to back
    components: int  # pieces connected through edges
    intersecting_pairs: int  # of faces that meet elsewhere than in a shared corner; counted up to 64
    volume: float  # signed; positive when wound outward
    area: float

    @property
    def watertight(self) -> bool:
        """Every edge has exactly two faces."""
        return self.open_edges == 0 and self.nonmanifold_edges == 0

    @property
    def oriented(self) -> bool:
        """The faces at every edge with two faces agree on what is outside."""
        return self.misoriented_edges == 0 and self.nonmanifold_edges == 0

    @property
    def manifold(self) -> bool:
        """No edge with more than two faces, and every vertex has its faces in one fan."""
        return self.nonmanifold_edges == 0 and self.nonmanifold_vertices == 0

    @property
    def self_intersecting(self) -> bool:
        """Some faces meet where they should not (in doubt, at rounding distance: yes)."""
        return self.intersecting_pairs > 0

    @property
    def sound(self) -> bool:
        """Closed, oriented, manifold, of positive volume, and meeting itself nowhere."""
        whole = self.watertight and self.oriented and self.manifold and self.volume > 0
        return whole and not (self.self_intersecting or self.folded_edges or self.degenerate_faces)


def analyse(mesh: Mesh, threads: int | None = None) -> Topology:
    """The topology of the mesh, self-intersections included.

    Raises:
        MeshError: the mesh has no face.
    """
    found = kernel_of(mesh, threads).topology(True, threads or 0)
    counts = {name: int(found[name]) for name in Topology.__dataclass_fields__ if name not in ("volume", "area")}
    return Topology(**counts, volume=float(found["volume"]), area=float(found["area"]))


def is_closed(mesh: Mesh, threads: int | None = None) -> bool:
    """Whether every edge has exactly two faces, coinciding vertices taken for one; cheaper than `analyse`.

    Raises:
        MeshError: the mesh has no face.
    """
    return bool(kernel_of(mesh, threads).topology(False, threads or 0)["closed"])
