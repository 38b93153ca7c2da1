"""From generated shapes to a trained model, held-out reconstructions, a completion and a scored report.

    python examples/tutorial.py work/ --page docs/tutorial.md

Runs the commands of the tutorial one after the other in a folder, and writes the page with what they printed. `--quick`
trains a dozen shapes for seconds instead of forty for a minute and a half, to try the commands alone.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

CAMERA = Path(__file__).with_name("camera.json")
TRAIN = "shapetool train deepsdf sdf.h5 run --split lists --budget {budget} --seed 0"
STEPS: list[tuple[str, str, list[str]]] = [
    (
        "Shapes",
        "Forty boxes with round edges, each with other sides. Any folder of closed meshes will do in their place.",
        ["shapetool make-shapes rounded-box meshes --count {count} --seed 0"],
    ),
    (
        "Samples",
        "DeepSDF's recipe: most points near the surface, some anywhere, each with its exact signed distance. `split` "
        "says by a hash of the name which shapes are learned and which are held out.",
        [
            "shapetool sample-sdf meshes sdf.h5 --count 50000 --seed 0",
            "shapetool split sdf.h5 --train 0.75 --val 0 --test 0.25 --out lists",
        ],
    ),
    (
        "Training",
        "One network for all shapes, and a code for each. The budget is the whole of it: the rate falls to zero as the "
        "time runs out. `run/` holds the log, curves, pictures of shapes on the way, and checkpoints without pickle; "
        "the same command goes on after any interruption.",
        [TRAIN],
    ),
    (
        "Meshes of held-out shapes",
        "The network never saw these. `extract` finds the code that explains the samples of each best, then its "
        "surface: it asks the network only near it. Meshes are closed and in the frame of the original meshes, "
        "so `--against` scores them by the code of `eval`.",
        [
            "shapetool extract run held-out --split lists --part test --resolution 128 --against meshes "
            "--scores scores --contact-sheet held-out.png"
        ],
    ),
    (
        "A part becomes a whole",
        "One view of each held-out shape, turned into points with normals: what a depth camera would see. "
        "[camera.json](../examples/camera.json) holds one camera that stands at (1.2, 1.5, 2.4) in the unit frame and "
        "looks at the origin; copy it here. `--camera` says where it stood, so that the way to the points is known to "
        "be free.",
        [
            "sed 's|.*|meshes/&.obj|' lists/test.lst > test.txt",
            "shapetool render-views @test.txt views.h5 --cameras camera.json --channels depth,normal,rgb",
            "shapetool convert views.h5 partial --to cloud --frame unit",
            "shapetool extract run completed --complete partial --camera 1.2,1.5,2.4 --contact-sheet completed.png",
        ],
    ),
    (
        "Between two shapes",
        "The codes on the straight line between two shapes are shapes, too.",
        ["shapetool extract run between --interpolate {first} {second} --steps 6 --contact-sheet between.png"],
    ),
]


def run(command: str, folder: Path) -> tuple[str, float]:
    """What a command printed, and its seconds."""
    print(f"$ {command}", flush=True)
    began = time.perf_counter()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=os.environ | {"PATH": path, "COLUMNS": "110"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    print(done.stdout, flush=True)
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}")
    return done.stdout, time.perf_counter() - began


def shortened(text: str, most: int = 24) -> str:
    """What a command printed without what differs from run to run for no reason, and not too much of it."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines if len(lines) <= most else [*lines[: most - 1], "..."])


def section(title: str, text: str, commands: list[str], folder: Path) -> tuple[list[str], float]:
    """A section of the page, after its commands ran."""
    lines, total = [f"## {title}", "", textwrap.fill(text, 150, break_long_words=False), ""], 0.0
    for command in commands:
        said, seconds = run(command, folder)
        total += seconds
        answer = ["```text", shortened(said), "```"] if said.strip() else []
        lines += ["```sh", command, "```", *answer, f"*{seconds:.0f} s*", ""]
    return lines, total


def main() -> None:
    """Runs everything and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    folder = options.folder
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder}: expected an empty folder. Name another one.")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(CAMERA, folder / CAMERA.name)
    words = {
        "count": "12" if options.quick else "40",
        "budget": "6s" if options.quick else "90s",
        "first": "",
        "second": "",
    }
    page, total = [], 0.0
    for title, text, commands in STEPS:
        if title == "Meshes of held-out shapes":
            words["first"], words["second"] = (folder / "lists" / "train.lst").read_text().split()[:2]
        if options.quick:
            commands = [re.sub(r"--resolution 128", "--resolution 48", command) for command in commands]
        lines, seconds = section(title, text, [command.format(**words) for command in commands], folder)
        page += lines
        total += seconds
    print(f"all commands together: {total:.0f} s")
    if options.page is not None:
        write_page(options.page, page, total, folder)


def write_page(page: Path, sections: list[str], total: float, folder: Path) -> None:
    """None, once the page and its pictures are there."""
    pictures = {"held-out.png": "Held-out shapes", "completed.png": "Completed", "between.png": "Between two shapes"}
    head = [
        "# Tutorial: learn shapes and bring them back",
        "",
        "Written by `examples/tutorial.py`, which ran every command below and copied what it printed. "
        f"All of them together took {total:.0f} s here, on two cores.",
        "",
    ]
    places = ["## What it looks like", ""]
    for name, title in pictures.items():
        target = page.with_name(f"tutorial-{name}")
        shutil.copyfile(folder / name, target)
        places += [f"![{title}]({target.name})", "", f"*{title}.*", ""]
    curves = page.with_name("tutorial-curves.png")
    shutil.copyfile(folder / "run" / "curves.png", curves)
    places += [f"![Loss over the steps]({curves.name})", "", "*The loss over the steps (`run/curves.png`).*", ""]
    page.write_text("\n".join([*head, *sections, *places]).rstrip() + "\n")


if __name__ == "__main__":
    main()
