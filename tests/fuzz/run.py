"""The fuzzers: `python -m tests.fuzz.run PARSER... --seconds N --jobs J`, or `all` for every parser.

Each parser has N seconds of processor time, shared by its targets, the ways into it; what earlier calls used counts, so
a call that was ended is gone on with by the same call. Each target runs in a process of its own, however often it was
paused or died. What raises is kept in fuzz-results/TARGET/findings, one file for each place in the code, the shortest
input that was seen; a line of fuzz-results/log.jsonl says what each run did.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fuzz.native_text import replayed

RESULTS = Path("fuzz-results")
INTERRUPTED = 72  # how libFuzzer leaves then
TIMEOUT = 10  # seconds for one input
MEMORY = 2048  # MiB
TURN_SECONDS = 600.0
LEAK = 8  # MiB over a thousand inputs
EDGES = re.compile(rb"cov: (\d+)")


def fuzz(target: str, seconds: float) -> dict[str, Any]:
    """What a target did in so many seconds of processor time; it is started again where an input ends the process."""
    folder = RESULTS / target
    for name in ("corpus", "findings", "deaths"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    used, executions, edges, memory, starts, code = 0.0, 0, 0, 0, 0, 0
    began = time.time()
    while used < seconds and starts < 50:
        starts += 1
        with (folder / "log.txt").open("wb") as log:
            words = [sys.executable, "-m", "tests.fuzz.inside", target, str(folder), str(seconds - used)]
            child = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=environment())
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = code = os.waitstatus_to_exitcode(status)
        used += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss // 1024)
        state = folder / "state.json"
        edges = max([edges, *map(int, EDGES.findall((folder / "log.txt").read_bytes()))])
        if not state.exists():  # the target cannot even begin
            code = code or 3
            break
        executions += json.loads(state.read_bytes())["executions"]
        state.unlink()
        if code in (-signal.SIGTERM, -signal.SIGINT, INTERRUPTED):  # somebody ended this turn; what it used counts
            break
    deaths = [name for name in names(folder / "deaths", began) if died_again(target, folder / "deaths" / name)]
    if target == "native-text":
        deaths += under_sanitizers(folder / "corpus")
    line = {
        "target": target, "cpu_seconds": round(used, 1), "executions": executions, "edges": edges,
        "findings": names(folder / "findings", began), "deaths": deaths,
        "grown_mib": grown(target, folder / "corpus"), "starts": starts,
        "last_exit": code, "peak_mib": memory, "ended": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }  # fmt: skip
    with (RESULTS / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    return line


def under_sanitizers(corpus: Path) -> list[str]:
    """What AddressSanitizer says of the inputs that were found, if anything."""
    try:
        replayed(path.read_bytes() for path in corpus.iterdir())
    except AssertionError as error:
        return [str(error)]
    return []


def grown(target: str, corpus: Path) -> float | None:
    """By how many MiB a process grows over rounds of the inputs that were found; None where it did not end."""
    words = [sys.executable, "-m", "tests.fuzz.inside", target, "--leak", str(corpus)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else None


def names(folder: Path, since: float) -> list[str]:
    """The files in a folder, written since then, that say something is wrong: slow inputs are none."""
    new = (path for path in folder.iterdir() if path.stat().st_mtime >= since)
    return sorted(path.name for path in new if not path.name.startswith("slow-unit"))


def died_again(target: str, path: Path) -> bool:
    """Whether an input that ended a process does so again; one that a pause made seem slow does not."""
    words = [sys.executable, "-m", "tests.fuzz.inside", target, "--one", str(path)]
    code = f"import resource; resource.setrlimit(resource.RLIMIT_CPU, ({3 * TIMEOUT}, {3 * TIMEOUT + 1}))"
    limited = [sys.executable, "-c", f"{code}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])", *words]
    return subprocess.run(limited, env=environment(), capture_output=True, check=False).returncode != 0


def environment() -> dict[str, str]:
    """One thread, so that processor time is that of the parser."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def used_before() -> Counter[str]:
    """The seconds of processor time that each target has had."""
    log, used = RESULTS / "log.jsonl", Counter[str]()
    for text in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        line = json.loads(text)
        used[line["target"]] += line["cpu_seconds"]
    return used


def table() -> str:
    """What each target has had so far, as Markdown; the edges are the most of any turn."""
    from tests.fuzz.targets import PARSERS

    log = RESULTS / "log.jsonl"
    lines = [json.loads(text) for text in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    rows = ["| parser | processor time | of it, each way in: minutes, executions, edges |", "| --- | --- | --- |"]
    for name, targets in PARSERS.items():
        parts, used = [], 0.0
        for target in targets:
            had = [line for line in lines if line["target"] == target]
            seconds, runs = (sum(line[key] for line in had) for key in ("cpu_seconds", "executions"))
            edges = max((line["edges"] for line in had), default=0)
            parts.append(f"`{target}` {seconds / 60:.1f}, {runs:,}, {edges}")
            used += seconds
        rows.append(f"| {name} | {used / 60:.0f} min | {'; '.join(parts)} |")
    return "\n".join(rows)


def turns(targets: Sequence[str], seconds: float, used: Mapping[str, float]) -> list[tuple[str, float]]:
    """Which target runs for how long, in turns of ten minutes, until each has had so many seconds in all."""
    left = {target: seconds - used.get(target, 0.0) for target in targets}
    found = []
    while todo := [target for target in targets if left[target] > 0]:
        for target in todo:
            found.append((target, min(TURN_SECONDS, left[target])))
            left[target] -= TURN_SECONDS
    return found


def main() -> int:
    """0 where nothing was found, 1 otherwise."""
    from tests.fuzz.targets import PARSERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help=f"all, or of: {' '.join(PARSERS)}")
    parser.add_argument("--seconds", type=float, default=3600, help="processor time for each")
    parser.add_argument("--jobs", type=int, default=1, help="parsers at a time")
    parser.add_argument("--table", action="store_true", help="what was done so far, instead of more of it")
    words = parser.parse_args()
    if words.table:
        print(table())  # noqa: T201 - a command
        return 0
    chosen = list(PARSERS) if words.parsers == ["all"] else words.parsers
    if not chosen:
        parser.error(f"expected all, or some of: {' '.join(PARSERS)}")
    if unknown := sorted(set(chosen) - set(PARSERS)):
        parser.error(f"unknown parser {unknown[0]}; known: {' '.join(PARSERS)}")

    def wrong(name: str) -> int:
        targets, found = PARSERS[name], 0
        for target, seconds in turns(targets, words.seconds / len(targets), used_before()):
            line = fuzz(target, seconds)
            print(json.dumps(line), flush=True)  # noqa: T201 - a command
            found += len(line["findings"]) + len(line["deaths"]) + (line["executions"] == 0)
            found += line["grown_mib"] is None or line["grown_mib"] > LEAK
        return found

    with ThreadPoolExecutor(words.jobs) as threads:
        return int(sum(threads.map(wrong, chosen)) > 0)


if __name__ == "__main__":
    sys.exit(main())
