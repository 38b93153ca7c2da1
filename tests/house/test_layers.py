"""The house rules that can be read off the sources: imports go down, the library is silent, files stay short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import shapetool

PACKAGE = Path(shapetool.__file__).parent
# The height of each part; a part may import itself and what is lower. native stands below geometry, which wraps it.
LEVEL = {
    "errors": 0,
    "recipes": 1,
    "native": 2,
    "geometry": 3,
    "sampling": 4,
    "render": 4,
    "data": 4,
    "metrics": 5,
    "losses": 5,
    "models": 5,
    "training": 6,
    "extraction": 6,
    "runner": 6,
    "pipelines": 7,
    "cli": 8,
}
SOURCES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 400  # about 300 is meant; beyond this a file is two
LONGEST_FUNCTION = 75  # about 60 is meant


def named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def parts_imported(tree: ast.AST, path: Path) -> Iterator[str]:
    """The parts of shapetool that a source imports, at its top or inside a function, absolute or relative."""
    here = ("shapetool", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).rstrip(".")
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "shapetool" else [module]
        for name in names:
            pieces = name.split(".")
            if pieces[0] == "shapetool" and len(pieces) > 1 and pieces[1] in LEVEL:
                yield pieces[1]


def violations(source: str, path: Path) -> list[str]:
    own = part_of(path)
    return [
        f"{own} imports {other}"
        for other in parts_imported(ast.parse(source), path)
        if other != own and LEVEL[other] >= LEVEL[own]
    ]


def noises(source: str) -> list[str]:
    """The calls in a source that print or leave the process."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            text = ast.unparse(node.func)
            if text in {"print", "exit", "quit", "sys.exit", "sys.stdout.write", "sys.stderr.write"}:
                found.append(f"line {node.lineno}: {text}()")
        elif isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc):
            found.append(f"line {node.lineno}: raises SystemExit")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_part_has_a_level(path):
    assert part_of(path) == "__init__" or part_of(path) in LEVEL


@pytest.mark.parametrize("path", [path for path in SOURCES if part_of(path) in LEVEL], ids=named)
def test_imports_go_down_only(path):
    assert violations(path.read_text(), path) == []


@pytest.mark.parametrize("path", [path for path in SOURCES if part_of(path) != "cli"], ids=named)
def test_library_code_neither_prints_nor_exits(path):
    assert noises(path.read_text()) == []


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= LONGEST_FUNCTION, f"{node.name} is too long to read at once"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_file_is_a_drawer_for_everything(path):
    assert path.stem.strip("_") not in {"utils", "util", "common", "helpers", "misc"}


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_public_thing_says_what_it_is(path):
    tree = ast.parse(path.read_text())
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [node for node in tree.body if isinstance(node, documented) and not node.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []
    if tree.body:
        assert ast.get_docstring(tree), "a module says in its first line what it is for"


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("geometry/a.py", "from shapetool.sampling.surface import sample_surface"),
        ("sampling/a.py", "def f():\n    import shapetool.data.shards"),
        ("geometry/a.py", "from ..cli import app"),
        ("data/a.py", "from shapetool import render"),
    ],
)
def test_the_layer_check_sees_an_upward_or_sideways_import(file, source):
    assert len(violations(source, PACKAGE / file)) == 1


@pytest.mark.parametrize("source", ["print(1)", "import sys\nsys.exit(2)", "raise SystemExit", "sys.stderr.write('x')"])
def test_the_silence_check_hears_a_noise(source):
    assert len(noises(source)) == 1
