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
    "losses": 4,  # below models, which have them
    "models": 5,
    "training": 6,
    "extraction": 6,
    "runner": 6,
    "report": 6,
    "pipelines": 7,
    "cli": 8,
    "__main__": 9,
}
SPEAKING = {"cli", "__main__"}  # only these print and exit
SOURCES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 400  # about 300 is meant; beyond this a file is two
LONGEST_FUNCTION = 75  # about 60 is meant
MOST_PARAMETERS = 7  # beyond, a recipe
ERRORS = {"MeshError", "DataError", "ConfigError", "MetricError", "CheckpointError"}
# What has another word here: vertices, faces, points, inside, distances, code, lattice, pose, recipe.
NOT_SAID = {"verts", "tris", "pts", "xyz", "coords", "occ", "gt", "latent", "embedding", "grid", "extrinsic", "cfg"}
OPTIONS_OF_THE_CONTRACT = {"grid"}  # an argument of a command is named like its option


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


def crowded(source: str) -> list[str]:
    """The functions of a source with more parameters than a reader keeps in mind, `self` not counted."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            if len([name for name in names if name not in ("self", "cls")]) > MOST_PARAMETERS:
                found.append(node.name)
    return found


def silent_raises(source: str) -> list[str]:
    """The public functions of a source that raise an error of shapetool which neither they nor their class name."""
    tree = ast.parse(source)
    documented = [(node, "") for node in tree.body]
    for kind in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        documented += [(node, ast.get_docstring(kind) or "") for node in kind.body]
    found = []
    for function, above in documented:
        if isinstance(function, ast.FunctionDef) and (function.name == "__init__" or function.name[0] != "_"):
            said = above + (ast.get_docstring(function) or "")
            raised = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)} & ERRORS
            found += [f"{function.name} makes {name}" for name in sorted(raised) if name not in said]
    return found


def other_words(source: str) -> list[str]:
    """The names that a source gives to something for which the house has another word."""
    given: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg):
            given |= {node.arg} - OPTIONS_OF_THE_CONTRACT
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            given.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            given.add(node.name)
    return sorted(name for name in given if NOT_SAID & set(name.lower().split("_")))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_part_has_a_level(path):
    assert part_of(path) == "__init__" or part_of(path) in LEVEL


@pytest.mark.parametrize("path", [path for path in SOURCES if part_of(path) in LEVEL], ids=named)
def test_imports_go_down_only(path):
    assert violations(path.read_text(), path) == []


@pytest.mark.parametrize("path", [path for path in SOURCES if part_of(path) not in SPEAKING], ids=named)
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


@pytest.mark.parametrize("path", [path for path in SOURCES if part_of(path) != "cli"], ids=named)
def test_a_function_has_few_parameters(path):
    assert crowded(path.read_text()) == []  # in cli, a command has one for each of its options


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_the_errors_of_a_public_function_are_in_its_docstring(path):
    assert silent_raises(path.read_text()) == []


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_things_are_called_what_the_house_calls_them(path):
    assert other_words(path.read_text()) == []


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


def test_the_checks_of_parameters_docstrings_and_words_see_what_they_look_for():
    assert crowded("def f(self, a, b, c, d, e, f, g): pass\ndef h(a, b, c, d, *, e, f, g, i): pass") == ["h"]
    assert other_words("def f(verts): tri_grid = 1") == ["tri_grid", "verts"]
    raising = "def f():\n    '''{}'''\n    raise DataError('x')"
    assert silent_raises(raising.format("A number.")) == ["f makes DataError"]
    assert silent_raises(raising.format("A number. Raises: DataError.")) == []
    method = "class C:\n    '''{}'''\n    def __init__(self):\n        raise MeshError('x')"
    assert silent_raises(method.format("A mesh.")) == ["__init__ makes MeshError"]
    assert silent_raises(method.format("A mesh. Raises: MeshError.")) == []
