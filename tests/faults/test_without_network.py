"""Every command where there is no network: each ends well, talks JSON, and no socket that leads out is ever made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.commands import TALKING, run, sockets, strace

ALONE = (["unshare", "-n"], ["unshare", "-rn"])


def without_network() -> list[str]:
    """The words that take the network from a command; none where this user may not do that."""
    if shutil.which("unshare") is None:
        return []
    for words in ALONE:
        if not subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
            return words
    return []


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects on stdout, one a line and nothing else."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n"), path
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(line, dict) for line in lines), path
    return lines


def test_every_command_ends_well_and_talks_json_where_there_is_no_network(tmp_path: Path, record: Any) -> None:
    before = without_network()
    counted = {}
    for name, words in TALKING.items():
        place = tmp_path / f"stdout of {name}"
        with place.open("wb") as stdout:
            run(*words.split(), cwd=tmp_path, before=before, stdout=stdout)
        counted[name] = len(json_lines(place))
    assert all(counted.values()), counted
    record(30, part="NDJSON in a file", commands=len(counted), lines=sum(counted.values()))
    if not before:
        pytest.skip("every command ended well, but this user may not take the network away from one (unshare -n)")
    record(16, commands=len(counted), ended_well=len(counted))


def test_no_command_makes_a_socket_that_leads_out(tmp_path: Path, times: Any, record: Any) -> None:
    traced = {}
    for name in list(TALKING)[: times(2, len(TALKING))]:
        trace = tmp_path / f"trace of {name}"
        run(*TALKING[name].split(), cwd=tmp_path, before=strace(trace, "network"), timeout=600)
        traced[name] = sockets(trace)
    assert not any(traced.values()), traced
    record(16, part="strace", commands=len(traced), sockets=0)


def test_the_trace_would_show_a_socket(tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    command = [*strace(tmp_path / "trace", "network"), sys.executable, "-c", code]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1
    assert any("AF_INET" in line for line in sockets(tmp_path / "trace"))
