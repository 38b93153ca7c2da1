"""Surfaces of fields by the sparse search, against asking every node: ours, and a loop with scikit-image, in one run.

    python benchmarks/extract.py --resolution 256 --runs 3 --json bench-results/extract.json
    python benchmarks/extract.py --resolution 512 --runs 1 --run runs/deepsdf runs/onet --contestants mise dense
    python benchmarks/extract.py --resolution 512 --runs 1 --families --contestants mise dense
    python benchmarks/extract.py --memory 512 1024

Seconds, of the clock and of all cores together, are medians over the runs, in which the contestants follow one another
on one field. The loop asks the field at every node in the same batches, keeps the values as float32, and hands them to
`skimage.measure.marching_cubes`. `share` is the part of the nodes that the search asked for, `moved` what moving
vertices onto zero came to on top, both in hundredths of all nodes; `off` the largest |value| at a vertex in cells.
`--run` takes the first shape of trained runs as fields in place of the others, `--families` one shape of each family of
`make-shapes` by its closed form, and parts a few cells of the lattice thin.
`--memory` measures one extraction of a ball that fills the box in a process of its own: seconds and its peak.
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from shapetool.extraction.surface import Extraction, Facts, extract_with_facts
from shapetool.geometry import analytic, families
from shapetool.geometry.frame import Similarity, fit
from shapetool.geometry.lattice import lattice_axes
from shapetool.geometry.sdf import SignedField
from shapetool.render.sphere_trace import TorchField

BOX = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
Field = Callable[[np.ndarray], np.ndarray]


def network(steps: int = 200) -> TorchField:
    """Six layers of 128, fitted to the distance of a torus."""
    import torch

    torch.manual_seed(0)
    widths = [3, *[128] * 5]
    layers: list[Any] = []
    for one, other in itertools.pairwise(widths):
        layers += [torch.nn.Linear(one, other), torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(128, 1))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    truth, rng = analytic.torus(0.6, 0.25), np.random.default_rng(0)
    for _ in range(steps):
        points = rng.uniform(-1, 1, (1024, 3))
        wanted = torch.as_tensor(truth(points), dtype=torch.float32)[:, None]
        loss = (module(torch.as_tensor(points, dtype=torch.float32)) - wanted).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return TorchField(module)


def fields() -> dict[str, Field]:
    """What is extracted."""
    knot = families.build("knot", families.draw_parameters("knot", np.random.default_rng(3)))
    return {
        "sphere": analytic.sphere(0.7),
        "torus": analytic.torus(0.6, 0.2),
        "knot, a mesh": SignedField(fit(knot, "sphere").apply_mesh(knot)),
        "network 6 x 128": network(),
    }


def all_families(resolution: int) -> dict[str, Field]:
    """One shape of each family that has a closed form, made to fit the box; and plates and rods of some cells."""
    found: dict[str, Field] = {}
    for name, family in families.FAMILIES.items():
        if family.truth:
            parameters = families.draw_parameters(name, np.random.default_rng(0))
            exact, frame = families.true_distance(name, parameters), fit(families.build(name, parameters), "sphere")
            assert exact is not None
            found[name] = fitted(exact, frame)
    cell = 2 / (resolution - 1)
    for cells in (2, 3):
        found[f"plate of {cells} cells"] = analytic.box((-0.7, -0.6, -cells / 2 * cell), (0.7, 0.6, cells / 2 * cell))
        found[f"rod of {cells} cells"] = slanted(analytic.capsule(0.8, cells / 2 * cell))
    return found


def fitted(field: Field, frame: Similarity) -> Field:
    """The distance of the shape that a frame makes of another, its own by `field`."""
    return lambda points: field(frame.invert(points)) * frame.scale


def slanted(field: Field) -> Field:
    """A field turned about the axis (1, 2, 3), so that nothing in it lies along an axis of the lattice."""
    turn = Rotation.from_rotvec(0.7 * np.array([1.0, 2.0, 3.0])).as_matrix()
    # not points @ turn, whose last bits depend on how many points there are
    return lambda points: field((points[:, None, :] * turn.T).sum(axis=2))


def trained(folder: Path) -> Field:
    """The field of the first shape of a run, its cube brought to that of the others."""
    from shapetool.pipelines.codes import codes_for
    from shapetool.pipelines.extract import field_of
    from shapetool.training.runs import open_run
    from shapetool.training.shapes import open_shapes

    run = open_run(folder)
    shapes = open_shapes([Path(path) for path in run.recipe.data], run.recipe.facts.shape_ids[:1])
    field, extent = field_of(run.model, codes_for(run.model, run.recipe, shapes)[0]), float(run.model.extent)
    return lambda points: field(points * extent)


def loop(field: Field, resolution: int, batch: int) -> np.ndarray:
    """The vertices that marching cubes makes of the values at all nodes."""
    from skimage.measure import marching_cubes

    x, y, z = lattice_axes(BOX, resolution)
    values = np.empty(resolution**3, np.float32)
    for start in range(0, len(values), batch):
        node = np.arange(start, min(start + batch, len(values)))
        i, j, k = np.unravel_index(node, (resolution,) * 3)
        values[node] = field(np.stack([x[i], y[j], z[k]], axis=1))
    vertices: np.ndarray = marching_cubes(values.reshape((resolution,) * 3), 0.0)[0]
    return BOX[0] + vertices * (2 / (resolution - 1))


def measured(field: Field, resolution: int, runs: int, contestants: list[str]) -> dict[str, Any]:
    """The seconds of the contestants and what the search asked for."""
    settings = Extraction()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    cpu: dict[str, list[float]] = {name: [] for name in seconds}
    vertices, facts = {}, {}
    for _ in range(runs):
        for name, spent in seconds.items():
            start, busy = time.perf_counter(), time.process_time()
            if name == "loop":
                vertices[name] = loop(field, resolution, settings.batch)
            else:
                mesh, facts[name] = extract_with_facts(field, BOX, resolution, name, settings)
                vertices[name] = mesh.vertices
            spent.append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - busy)
    same = vertices["mise"].shape == vertices["dense"].shape
    apart = float(np.abs(vertices["mise"] - vertices["dense"]).max()) if same else float("inf")
    found: Facts = facts["mise"]
    return {
        **{name: statistics.median(spent) for name, spent in seconds.items()},
        **{f"{name}_cpu": statistics.median(spent) for name, spent in cpu.items()},
        "share": 100 * (found.evaluations - found.refinements) / resolution**3,
        "moved": 100 * found.refinements / resolution**3,
        "calls": found.calls,
        "off": float(np.abs(field(vertices["mise"])).max() * (resolution - 1) / 2),
        "mise_to_dense": apart,
    }


def one_in_memory(resolution: int, method: str) -> None:
    """Prints what one extraction took, for the process that started this one."""
    start = time.perf_counter()
    mesh, facts = extract_with_facts(analytic.sphere(0.97), BOX, resolution, method)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share = 100 * (facts.evaluations - facts.refinements) / resolution**3
    print(f"{resolution}^3 {method:>5}: {len(mesh.faces):,} faces, {time.perf_counter() - start:.1f} s, ", end="")
    print(f"{share:.2f} % of the nodes, peak {peak:,.0f} MiB")


def main() -> None:
    """Prints the table and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="words in the names of fields")
    parser.add_argument("--run", nargs="*", type=Path, help="trained runs, whose first shapes are the fields")
    parser.add_argument("--families", action="store_true", help="one shape of each family, and thin parts")
    parser.add_argument("--contestants", nargs="*", default=["mise", "dense", "loop"])
    parser.add_argument("--memory", type=int, nargs="*", help="only measure memory, at these resolutions")
    parser.add_argument("--methods", nargs="*", default=["mise", "dense"], help="what --memory measures")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, default=Path("bench-results/extract.json"))
    options = parser.parse_args()
    if options.alone:
        return one_in_memory(int(options.alone[0]), options.alone[1])
    if options.memory:
        for resolution in options.memory:
            for method in options.methods:
                subprocess.run([sys.executable, __file__, "--alone", str(resolution), method], check=True)
        return None
    rows = {}
    print(f"{options.resolution}^3 nodes, seconds, median of {options.runs}")
    keys = [*options.contestants, *(f"{name}_cpu" for name in options.contestants), "share", "moved", "off"]
    print(f"{'field':>16} " + " ".join(f"{head:>8}" for head in keys) + "  mise to dense")
    if options.run:
        chosen = {str(place): trained(place) for place in options.run}
    else:
        chosen = all_families(options.resolution) if options.families else fields()
    for name, field in chosen.items():
        if options.only and not any(word in name for word in options.only):
            continue
        rows[name] = row = measured(field, options.resolution, options.runs, options.contestants)
        numbers = " ".join(f"{row[key]:8.3f}" for key in keys)
        print(f"{name:>16} {numbers}  {row['mise_to_dense']:.1e}", flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": {"cores": os.cpu_count()}, "resolution": options.resolution, "rows": rows}
    options.json.write_text(json.dumps(content, indent=1))
    return None


if __name__ == "__main__":
    main()
