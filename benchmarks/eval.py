"""The whole `shapetool eval --protocol onet` against the obvious script of trimesh and pykdtree, in one run.

    python benchmarks/eval.py --pairs 50 --runs 5 --json bench-results/eval.json
    python benchmarks/eval.py --folder PRED TRUE

Both sides are meshes: 100,000 points are drawn on each, distances and normals taken both ways, and 100,000 volume
points labelled by containment in both, which the script does by Embree. Every contestant is a fresh interpreter with
one thread a process, and they take turns; `script` has as many processes as shapetool has workers, and `loop` is the
script as it is mostly written, one pair after the other. Whatever shapetool measures comes with intervals and floors,
and each pair with a row on the disk. Three ways of it: `same` measures what the script does, `default` the Hausdorff
distance and the exact IoU too, and `--out` writes the report as well.

`--no-embree` hides embreex from the script, which then takes trimesh's own rays: minutes a pair, so take few.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from shapetool import __version__
from shapetool.data.atomic import write_whole
from shapetool.data.mesh_files import encode_mesh
from shapetool.geometry import families
from shapetool.geometry.mesh import Mesh
from shapetool.pipelines.eval_inputs import list_shapes
from shapetool.runner.job import cores
from shapetool.sampling.seed import shape_rng

PEER = Path(__file__).parent / "peers" / "eval_pairs.py"
MAIN = "import sys; from shapetool.cli.app import main; sys.exit(main())"
HIDE = (
    "import runpy, sys; sys.modules['embreex'] = None; del sys.argv[0]; runpy.run_path(sys.argv[0], None, '__main__')"
)
SAME = "chamfer,fscore,normal_consistency"  # IoU at 100,000 points is the protocol's own
FACES = 20_000  # as many as ONet's extracted meshes have, or more
AMPLITUDE = 0.004  # of the longest edge: how far a prediction is bent away


def bent(mesh: Mesh, edge: float, rng: np.random.Generator) -> Mesh:
    """The mesh cut to at least `FACES` faces and bent by slow waves, so that it stays closed and sound."""
    import trimesh

    vertices, faces = mesh.vertices, mesh.faces
    while len(faces) < FACES:
        vertices, faces = trimesh.remesh.subdivide(vertices, faces)
    vertices = vertices.copy()
    for _ in range(3):
        wave, phase, axis = rng.normal(0, 3 / edge, 3), rng.uniform(0, 2 * np.pi), rng.integers(3)
        vertices[:, axis] += AMPLITUDE * edge * np.sin(vertices @ wave + phase)
    return Mesh(vertices, faces)


def make_pairs(folder: Path, count: int) -> None:
    """Truths of all procedural families and bent predictions of them, in the unit of ONet: the longest edge is 1."""
    names = sorted(families.FAMILIES)
    for number in range(count):
        name, rng = names[number % len(names)], shape_rng(0, f"pair {number}")
        mesh = families.build(name, families.draw_parameters(name, rng))
        true = Mesh(mesh.vertices / float((mesh.bounds[1] - mesh.bounds[0]).max()), mesh.faces)
        for side, shape in (("true", true), ("pred", bent(true, 1.0, rng))):
            path = folder / side / name / f"{number:04d}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, encode_mesh(shape, "off"))


def timed(words: list[str]) -> float:
    """The seconds of a fresh interpreter from its start to its end, with one thread for each process that it makes."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, env=os.environ | one, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def rounds(sides: tuple[Path, Path], options: argparse.Namespace, scratch: Path) -> list[dict[str, float]]:
    """The seconds of every contestant in every round."""
    shapes = [list_shapes(str(side)) for side in sides]
    pairs = [str(side[name].path) for name in sorted(shapes[0].keys() & shapes[1].keys()) for side in shapes]
    workers = str(options.workers)
    ours = ["-c", MAIN, "eval", *map(str, sides), "--protocol", "onet", "-j", workers, "-q"]
    hidden = ["-c", HIDE] if options.no_embree else []
    contestants: dict[str, Callable[[Path], list[str]]] = {
        "same": lambda out: [*ours, "--metrics", SAME],
        "default": lambda out: ours,
        "--out": lambda out: [*ours, "--out", str(out)],
        "script": lambda out: [*hidden, str(PEER), workers, str(out), *pairs],
        "loop": lambda out: [*hidden, str(PEER), "1", str(out), *pairs],
        "imports": lambda out: ["-c", "import shapetool.pipelines.evaluate"],
        "script's imports": lambda out: ["-c", "import numpy, trimesh, pykdtree.kdtree"],
    }
    found = []
    for number in range(options.runs):
        names = list(contestants)[:: 1 if number % 2 else -1]
        found.append({name: timed(contestants[name](scratch / f"{number}{name}")) for name in names})
        said = ", ".join(f"{name} {found[-1][name]:.2f}" for name in contestants)
        print(f"round {number + 1} of {options.runs}: {said}", flush=True)
    return found


def main() -> None:
    """Measures, prints a table and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, nargs=2, metavar=("PRED", "TRUE"), help="meshes of your own")
    parser.add_argument("--pairs", type=int, default=50, help="how many procedural pairs, where no folder is given")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--no-embree", action="store_true", help="the script takes trimesh's own rays")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    Path("bench-results").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="bench-results") as scratch:
        if options.folder is None:
            make_pairs(Path(scratch), options.pairs)
        sides = tuple(options.folder or (Path(scratch) / "pred", Path(scratch) / "true"))
        shapes = len(list_shapes(str(sides[1])))
        found = rounds(sides, options, Path(scratch))
    medians = {name: statistics.median(result[name] for result in found) for name in found[0]}
    print(f"\n{shapes} pairs, {options.workers} workers, medians of {options.runs} rounds")
    for name, seconds in medians.items():
        print(f"  {name:<18}{seconds:9.2f} s")
    for name in ("same", "default", "--out"):
        for peer in ("script", "loop"):
            net = (medians[peer] - medians["script's imports"]) / (medians[name] - medians["imports"])
            print(
                f"  {peer} / {name:<9}{medians[peer] / medians[name]:9.2f} x, {net:.2f} x without the imports of both"
            )
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        versions = {name: version(name) for name in ("trimesh", "pykdtree", "embreex", "numpy", "torch")}
        record = {"pairs": shapes, "workers": options.workers, "embree": not options.no_embree}
        record |= {"shapetool": __version__, "versions": versions}
        options.json.write_text(json.dumps(record | {"median": medians, "rounds": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
