"""The documents keep their word: commands in them run, tests and files they name exist, limits of length hold."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from shapetool.cli.app import app

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of `language` in a page; `bash` and `python` blocks run here, others only show."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def run_in(folder: Path, command: list[str], text: str) -> None:
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [*command, text],
        check=False,
        cwd=folder,
        env=os.environ | {"PATH": search},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.slow
def test_the_tour_of_the_readme_runs_word_for_word(tmp_path):
    readme = REPOSITORY / "README.md"
    shell, python = blocks(readme, "bash"), blocks(readme, "python")
    assert shell
    assert python
    for block in shell:
        run_in(tmp_path, ["bash", "-euc"], block)
    for block in python:
        run_in(tmp_path, [sys.executable, "-c"], block)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run(page, tmp_path):
    for block in blocks(page, "python"):
        run_in(tmp_path, [sys.executable, "-c"], block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tests_that_a_page_names_exist(page):
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text()):
        source = REPOSITORY / file
        assert source.is_file(), f"{page.name} names {file}"
        assert not name or f"def {name}(" in source.read_text(), f"{page.name} names {file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_links_to_exist(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_convention_names_the_test_that_guards_it():
    page = (REPOSITORY / "docs" / "conventions.md").read_text()
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    assert len(sections) >= 5
    assert [section.splitlines()[0] for section in sections if "::test_" not in section] == []


@pytest.mark.parametrize("page", sorted(REPOSITORY.glob("docs/adding-*.md")), ids=lambda page: page.name)
def test_a_page_on_adding_something_fits_on_one_screen(page):
    assert len(page.read_text().splitlines()) <= 40


def test_the_page_on_recipes_has_every_recipe_and_its_count():
    from shapetool.recipes import SDF_RECIPES, SdfRecipe

    page = (REPOSITORY / "docs" / "recipes.md").read_text()
    rows = [f"| `{name}` | {recipe.count:,} |" for name, recipe in SDF_RECIPES.items()]
    assert [row for row in rows if row not in page] == []
    usual = SdfRecipe.surface_count
    others = {name: recipe.surface_count for name, recipe in SDF_RECIPES.items() if recipe.surface_count != usual}
    assert [name for name, count in others.items() if f"{count:,} for `{name}`" not in page] == []
    assert f"their normals: {usual:,}" in page


def test_the_page_on_shards_has_every_column_and_attribute():
    from shapetool.data.layout import DIGEST, KINDS, REQUIRED_ATTRIBUTES, ROW_DIGESTS

    page = (REPOSITORY / "docs" / "shard-format.md").read_text()
    names = [*REQUIRED_ATTRIBUTES, DIGEST, ROW_DIGESTS, *(column.name for kind in KINDS.values() for column in kind)]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_page_on_frames_has_every_frame():
    from shapetool.recipes import FRAME_SIZES

    page = (REPOSITORY / "docs" / "conventions.md").read_text()
    assert [name for name in FRAME_SIZES if f"| `{name}` |" not in page] == []


def test_the_page_on_the_command_line_has_every_command_and_option():
    commands = typer.main.get_command(app).commands
    page = "".join((REPOSITORY / "docs" / name).read_text() for name in ("command-line.md", "training.md"))
    names = {option for command in commands.values() for parameter in command.params for option in parameter.opts}
    assert [name for name in sorted(names) if name.startswith("-") and not re.search(rf"`{name}[ `]", page)] == []
    assert [name for name in commands if f"shapetool {name} " not in page or f"`{name}`" not in page] == []


def test_the_page_on_the_command_line_has_every_status():
    from shapetool.runner.job import STATUSES

    page = (REPOSITORY / "docs" / "command-line.md").read_text()
    assert [name for name in STATUSES if f"| `{name}` |" not in page] == []
