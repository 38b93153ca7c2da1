"""What others rely on by name: the commands with their options, and what can be imported with its arguments."""

import importlib
import inspect

import pytest
import typer

from shapetool.cli.app import app, main

EVERYWHERE = {"--json", "--quiet", "-q", "--verbose", "-v", "--config", "--version"}
COMMANDS = {
    "sample-sdf": {
        *("--seed", "--workers", "-j", "--device", "--recipe", "--shard", "--engine", "--overwrite", "--dry-run"),
        *("--item-timeout", "--max-failures", "--retry"),
        *("--count", "--surface-count", "--sign", "--backend", "--normalize", "--dtype"),
    },
    "sample-occupancy": {
        *("--seed", "--workers", "-j", "--device", "--recipe", "--shard", "--engine", "--overwrite", "--dry-run"),
        *("--item-timeout", "--max-failures", "--retry", "--padding", "--grid"),
        *("--count", "--surface-count", "--sign", "--backend", "--normalize", "--dtype"),
    },
    "render-views": {
        *("--seed", "--workers", "-j", "--device", "--recipe", "--shard", "--engine", "--overwrite", "--dry-run"),
        *("--item-timeout", "--max-failures", "--retry", "--normalize"),
        *("--views", "--size", "--cameras", "--channels", "--layout", "--fov", "--radius", "--projection", "--up"),
        *("--background", "--ambient", "--shadows", "--occlusion", "--samples", "--contact-sheet", "--turntable"),
    },
    "extract": {
        *("--seed", "--device", "--overwrite", "--resolution", "--method", "--data", "--complete", "--interpolate"),
        *("--steps", "--sample", "--against", "--render", "--contact-sheet"),
    },
    "make-shapes": {"--count", "--seed", "--overwrite", "--dry-run"},
    "convert": {"--to", "--from", "--split", "--seed", "--workers", "--overwrite", "--dry-run", "--item-timeout"},
    "repair": {
        *("--workers", "-j", "--shard", "--engine", "--overwrite", "--dry-run", "--item-timeout", "--max-failures"),
        *("--retry", "--resolution", "--gap", "--keep-cavities", "--force", "--format", "--fill-holes"),
    },
    "eval": {
        *("--seed", "--workers", "-j", "--device", "--shard", "--engine", "--overwrite", "--dry-run", "--retry"),
        *("--item-timeout", "--max-failures", "--protocol", "--metrics", "--samples", "--align", "--out", "--worst"),
    },
    "train": {
        *("--config", "--set", "--steps", "--budget", "--resume", "--seed", "--workers", "-j", "--device"),
        *("--overwrite", "--dry-run", "--target", "--views", "--split"),
    },
    "merge": {"--overwrite", "--dry-run"},
    "split": {"--train", "--val", "--test", "--seed", "--overwrite", "--dry-run"},
    "info": {"--picture"},
    "verify": set(),
    "selftest": {"--dir"},
}
NAMES = {
    "geometry.mesh.Mesh": "vertices faces",
    "geometry.mesh.load_mesh": "path",
    "geometry.sdf.signed_distance": "mesh points sign",
    "geometry.distance.closest_point": "mesh points",
    "geometry.sign.winding_number": "mesh points",
    "render.rays.cast_rays": "mesh origins directions",
    "data.shards.open_dataset": "path",
    "metrics.points.chamfer": "a b",
    "metrics.points.fscore": "a b thresholds",
    "metrics.points.hausdorff": "a b",
    "metrics.volume.iou": "mesh_a mesh_b",
    "extraction.surface.extract_surface": "field box resolution method",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_every_option_that_was_promised(name: str) -> None:
    command = typer.main.get_command(app).commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert (COMMANDS[name] | EVERYWHERE) - options == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_python_name_is_where_it_was_promised_with_its_first_arguments(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    promised = getattr(importlib.import_module(f"shapetool.{module}"), attribute)
    arguments = list(inspect.signature(promised).parameters)
    assert arguments[: len(NAMES[name].split())] == NAMES[name].split()


def test_the_device_and_the_engine_of_this_version_are_taken(tmp_path, capsys) -> None:
    (tmp_path / "t.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    words = ["sample-sdf", str(tmp_path / "t.obj"), str(tmp_path / "out.h5"), "--dry-run", "-q", "--engine", "local"]
    for device in ("auto", "cpu"):
        assert main([*words, "--device", device]) == 0
    assert capsys.readouterr().err == ""
