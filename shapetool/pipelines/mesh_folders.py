"""A folder of meshes, clouds or views in files of their own: what it holds, and what is wrong with it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shapetool.data.clouds import read_cloud
from shapetool.data.outside import stays_below
from shapetool.data.verify import Finding
from shapetool.errors import DataError, MeshError
from shapetool.geometry.mesh import load_mesh
from shapetool.geometry.topology import analyse
from shapetool.pipelines import view_folders
from shapetool.runner.manifest import files_made, read_settings
from shapetool.runner.report import read_report

REPORT = "report.jsonl"


def is_mesh_folder(path: Path) -> bool:
    """Whether this is such a folder, complete or not."""
    return path.is_dir() and files_made(path) is not None


def describe(path: Path) -> dict[str, Any]:
    """What the folder holds at a glance, as JSON-able values; no mesh is read.

    Raises:
        DataError: what the folder says of itself is damaged.
    """
    planned, settings, lines = _said(path)
    there = [file for file in planned if file.exists()]
    done = [line for line in lines if line["status"] == "ok"]
    about: dict[str, Any] = {"path": str(path), "kind": settings["kind"], "shapes": len(there)}
    about |= {"complete": len(lines) == len(planned), "bytes": sum(file.stat().st_size for file in there)}
    methods = Counter(str(line["method"]) for line in done if "method" in line)
    about |= {"methods": dict(sorted(methods.items()))} if methods else {}
    about |= {name: settings.get(name) for name in ("suffix", "recipe", "shapetool_version")}
    return about | {"report": dict(sorted(Counter(str(line["status"]) for line in lines).items()))}


def verify(path: Path, report: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Everything found wrong: files that are missing, and meshes that are not closed, oriented and free of
    self-intersections, or are others than the report says; `report(done, total)` follows the meshes.

    Raises:
        DataError: what the folder says of itself is damaged.
    """
    planned, settings, lines = _said(path)
    findings = []
    if len(lines) != len(planned):
        text = f"expected one line for each of {len(planned)} items, found {len(lines)}. Run the same command again."
        findings.append(Finding(str(path / REPORT), text))
    good = [line for line in lines if line["status"] == "ok"]
    for done, line in enumerate(good, 1):
        file = path / f"{line['id']}.{settings['suffix']}"
        if not stays_below(str(line["id"])):
            problems = ["the report names a file outside the folder, which is not read. Run the command again."]
        elif settings["kind"] == view_folders.KIND:
            problems = view_folders.problems_of(path, str(settings["recipe"].get("layout")), line["id"])
        else:
            problems = _problems(file, line)
        findings += [Finding(str(file), problem, shape_id=str(line["id"])) for problem in problems]
        if report is not None:
            report(done, len(good))
    return findings


def _problems(file: Path, line: dict[str, Any]) -> list[str]:
    """What is wrong with one mesh."""
    if not file.exists():
        return ["the report says it is there, and it is not. Run the same command again."]
    if not all(isinstance(line.get(name), int) for name in ("n_vertices", "n_faces")):
        return ["its line of the report does not say how many vertices and faces it has. Run the same command again."]
    if line["n_faces"] == 0:
        return _cloud_problems(file, line)
    try:
        mesh = load_mesh(file)
    except MeshError as error:
        return [str(error).removeprefix(f"{file}: ")]
    found = analyse(mesh)
    problems = []
    if (len(mesh.vertices), len(mesh.faces)) != (line["n_vertices"], line["n_faces"]):
        problems.append(
            f"expected {line['n_vertices']} vertices and {line['n_faces']} faces as in the report, "
            f"found {len(mesh.vertices)} and {len(mesh.faces)}"
        )
    for holds, text in (
        (found.watertight, f"{found.open_edges + found.nonmanifold_edges} edges have not two faces"),
        (found.oriented, f"{found.misoriented_edges} edges have faces that are wound against each other"),
        (not found.self_intersecting, f"{found.intersecting_pairs} pairs of faces meet"),
    ):
        if not holds:
            problems.append(text)
    return problems


def _cloud_problems(file: Path, line: dict[str, Any]) -> list[str]:
    """What is wrong with one cloud."""
    try:
        points, _ = read_cloud(file)
    except DataError as error:
        return [str(error).removeprefix(f"{file}: ")]
    wrong = len(points) != line["n_vertices"]
    return [f"expected {line['n_vertices']} points as in the report, found {len(points)}"] if wrong else []


def _said(path: Path) -> tuple[set[Path], dict[str, Any], list[dict[str, Any]]]:
    """The files that the folder plans, its settings and its report."""
    planned = files_made(path)
    if planned is None:
        raise DataError(f"{path}: expected a folder in which each shape has a file, found none. Run the command again.")
    return planned, read_settings(path), _lines(path)


def _lines(path: Path) -> list[dict[str, Any]]:
    report = path / REPORT
    if not report.is_file():
        raise DataError(f"{report}: expected the report of the run, found no such file. Run the same command again.")
    return read_report(report)
