"""What no source may do, read off the sources: unpickle, run text or a shell, ask the network, trust a count."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import shapetool

PACKAGE = Path(shapetool.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Modules that unpickle, run programs, or talk to other machines, and who may import one all the same.
MODULES = {
    **dict.fromkeys(("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "code"), ""),
    **dict.fromkeys(("urllib.request", "http", "ftplib", "smtplib", "telnetlib", "requests", "httpx", "aiohttp"), ""),
    **dict.fromkeys(("subprocess", "pty", "webbrowser", "antigravity", "xmlrpc", "paramiko", "fsspec"), ""),
    **dict.fromkeys(("tarfile", "gzip", "bz2", "lzma"), ""),  # nothing here needs them, and they unpack without end
    "socket": "gethostname",  # the one thing asked of it
    "ctypes": "CDLL",
}
# Calls by the end of their dotted name, and what is wrong with them.
CALLS = {
    "eval": "runs text",
    "exec": "runs text",
    "compile": "runs text",
    "__import__": "imports by text",
    "os.system": "runs a shell",
    "os.popen": "runs a shell",
    "os.execv": "runs a program",
    "os.execvp": "runs a program",
    "os.spawnv": "runs a program",
    "torch.load": "unpickles",
    "torch.save": "pickles",
    "torch.jit.load": "runs a stranger's program",
    "torch.export.load": "runs a stranger's program",
    "torch.hub.load": "downloads a program",
    "np.load": "believes the size that a file promises; `data/formats/npz.py` reads arrays",
    "np.fromfile": "believes the size that a file promises",
    "np.save": "may pickle; `data/formats/npz.py` writes arrays",
    "np.savez": "may pickle; `data/formats/npz.py` writes arrays",
    "h5py.File": "follows links to anywhere; `data/shardfile.py` opens files of others",
    "trimesh.load": "opens what a file names",
    "trimesh.load_remote": "downloads",
    "extractall": "writes where an archive says",
}
ALLOWED = {
    ("data/shardfile.py", "h5py.File"),  # the one place
    ("data/room.py", "h5py.File"),  # files that shapetool itself has just made
    ("data/formats/hdf5.py", "h5py.File"),  # into memory
    ("pipelines/crash_tests/damage.py", "h5py.File"),  # of a shard that the self-test made
    ("pipelines/crash_tests/processes.py", "subprocess"),  # the self-test starts shapetool, and kills it
}


def dotted(node: ast.expr) -> str:
    """The name of what is called, `a.b.c`; calls in it are passed over."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """Each module that is imported, and the names that are taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, set()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((f"{node.module}.{alias.name}", {alias.name}) for alias in node.names)


def offences(source: str, name: str = "x.py") -> list[str]:
    """What a source does that none may."""
    tree, found = ast.parse(source), []
    for module, _ in imported(tree):
        hit = next((word for word in MODULES if module == word or module.startswith(f"{word}.")), None)
        if hit is not None and not MODULES[hit] and (name, hit) not in ALLOWED:
            found.append(f"imports {hit}")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        root = called.partition(".")[0]
        if root in MODULES and MODULES[root] not in ("", called.partition(".")[2]):
            found.append(f"calls {called}")
        if CALLS.get(called) and (name, called) not in ALLOWED:
            found.append(f"calls {called}: {CALLS[called]}")
        if called.endswith(".extractall"):
            found.append(f"calls extractall: {CALLS['extractall']}")
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else ...
            trusting = (keyword.arg, value) in (
                ("allow_pickle", True), ("weights_only", False), ("shell", True), ("allow_remote", True),
                ("resolve_entities", True), ("huge_tree", True),
            )  # fmt: skip
            if trusting or (keyword.arg in ("allow_pickle", "shell") and value is ...):
                found.append(f"{called} with {keyword.arg}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_source_does_what_none_may(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import urllib.request",
        "from urllib import request",
        "def f():\n    import subprocess",
        "import socket\nsocket.socket()",
        "import os\nos.system('ls')",
        "eval('1')",
        "import torch\ntorch.load('a.pt')",
        "import numpy as np\nnp.load('a.npy')",
        "read_array(file, allow_pickle=True)",
        "read_array(file, allow_pickle=chosen)",
        "run(command, shell=True)",
        "import h5py\nh5py.File('a.h5')",
        "archive.extractall('there')",
        "load(file, weights_only=False)",
    ],
)
def test_each_of_them_would_be_seen(source: str) -> None:
    assert offences(source)


@pytest.mark.parametrize(
    "source", ["model.eval()", "import socket\nsocket.gethostname()", "from urllib.parse import unquote"]
)
def test_what_only_looks_like_one_is_not(source: str) -> None:
    assert offences(source) == []


def test_every_exception_is_still_needed() -> None:
    for name, called in ALLOWED:
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        calls = {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert called in calls | {module for module, _ in imported(tree)}, name
