"""Benchmarks and examples are not run by the tests, but what they take from shapetool is there."""

import ast
import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path for folder in ("benchmarks", "examples") for path in (REPOSITORY / folder).rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_what_a_script_imports_from_shapetool_exists(script):
    imports = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)]
    missing = [
        f"{node.module}.{name.name}"
        for node in imports
        if node.module and node.module.split(".")[0] == "shapetool"
        for name in node.names
        if not hasattr(importlib.import_module(node.module), name.name) and not is_module(f"{node.module}.{name.name}")
    ]
    assert missing == []


def is_module(name):
    try:
        return importlib.import_module(name) is not None
    except ModuleNotFoundError:
        return False
