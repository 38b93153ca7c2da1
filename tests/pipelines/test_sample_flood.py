"""`--sign flood` through the sampling commands: what is stored, and what `verify` says of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.mesh_files import encode_mesh
from shapetool.data.shards import open_dataset
from shapetool.geometry.flood_sign import Flood, FloodField
from shapetool.geometry.mesh import Mesh, load_mesh
from tests import analytic

WORDS = (
    "--sign",
    "flood",
    "--set",
    "flood_resolution=48",
    "--count",
    "4000",
    "--surface-count",
    "500",
    "-j",
    "2",
    "-q",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A box of which every face is there twice, one with every third face turned, and an open sheet."""
    root = tmp_path / "in"
    root.mkdir()
    doubled, plain = analytic.doubled_box(), analytic.overlapping_shells()
    turned = plain.faces.copy()
    turned[::3] = turned[::3, ::-1]
    first = (np.concatenate([doubled.vertices] * 2), np.concatenate([doubled.faces[:12], doubled.faces[12:] + 8]))
    for name, (vertices, faces) in {
        "doubled": first,
        "sheet": (doubled.vertices, doubled.faces[:2]),
        "turned": (plain.vertices, turned),
    }.items():
        (root / f"{name}.obj").write_bytes(encode_mesh(Mesh(vertices, faces), "obj"))
    return root


def test_distances_labels_and_lattices_have_the_sign_and_the_recipe_says_so(folder, tmp_path):
    box = ("--normalize", "none")
    assert main(["sample-sdf", str(folder), str(tmp_path / "sdf.h5"), *WORDS, *box]) == 3
    assert main(["sample-occupancy", str(folder), str(tmp_path / "inside.h5"), *WORDS, *box]) == 3
    assert main(["sample-sdf", str(folder), str(tmp_path / "nodes.h5"), *WORDS, *box, "--grid", "16"]) == 3
    sdf, inside, nodes = (open_dataset(tmp_path / f"{name}.h5") for name in ("sdf", "inside", "nodes"))
    for dataset in (sdf, inside, nodes):
        assert list(dataset.shape_ids) == ["doubled", "turned"]
        assert (dataset.recipe["sign"], dataset.recipe["flood_resolution"], dataset.recipe["flood_gap"]) == (
            "flood",
            48,
            0,
        )
        assert all(dataset[i]["sign_method"] == "flood" for i in range(2))
    for place, name in enumerate(("doubled", "turned")):
        field = FloodField(load_mesh(folder / f"{name}.obj"), flood=Flood(48))
        points = sdf[place]["points"].astype(np.float64)
        np.testing.assert_array_equal(sdf[place]["distances"], field(points).astype(np.float32))
        assert 0.05 < (sdf[place]["distances"] < 0).mean() < 0.7
        points = inside[place]["points"].astype(np.float64)
        np.testing.assert_array_equal(inside[place]["inside"], field(points) < 0)
        axis = np.linspace(-1, 1, 16)
        np.testing.assert_array_equal(nodes[place]["lattice"], field.at_nodes(axis, axis, axis).astype(np.float32))
    report = [json.loads(line) for line in (tmp_path / "sdf.h5.report.jsonl").read_text().splitlines()]
    assert [(line["id"], line["status"]) for line in report] == [
        ("doubled", "ok"),
        ("sheet", "invalid"),
        ("turned", "ok"),
    ]
    assert "encloses nothing" in report[1]["error"]
    for name in ("sdf", "inside", "nodes"):
        assert main(["verify", str(tmp_path / f"{name}.h5")]) == 0


def test_other_signs_store_nothing_of_the_flood(folder, tmp_path):
    out = tmp_path / "plain.h5"
    words = ["--sign", "parity", "--count", "100", "--surface-count", "10", "-q"]
    main(["sample-sdf", str(folder / "turned.obj"), str(out), *words])
    assert not [key for key in open_dataset(out).recipe if key.startswith("flood")]
    assert main(["sample-sdf", str(folder), str(out), *words, "--set", "flood_gap=0.1"]) == 1
