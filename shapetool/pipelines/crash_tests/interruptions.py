"""Runs that are stopped, killed or out of room: how they end, and that a rerun makes what an undisturbed run makes."""

from __future__ import annotations

import random
import re
import signal
import time

from shapetool.geometry.wording import plural
from shapetool.pipelines.crash_tests.check import Check, Finding, WrongError, expect
from shapetool.pipelines.crash_tests.place import IO_FAILED, LARGE, SMALL, Place
from shapetool.runner.items import STATE

STOPPED, CTRL_C = 75, 130
STOP_SECONDS = 30.0
TRIES = 8
LEAST_KILLS, MOST_KILLS, KILLS_A_RERUN = 3, 30, 2


def full_disk(place: Place) -> Finding:
    """Runs whose files may not become as large as they must, and one that then finds room."""
    largest = max(size for size, _ in place.undisturbed(SMALL).tree.values())
    wanted = [_out_of_room(place, limit) for limit in (largest // 20, largest - 1)]
    place.finish(SMALL, "full")
    place.compare(SMALL, "full")
    return Finding(f"{len(wanted)} times exit {IO_FAILED} with path and bytes; then the rerun is equal")


def _out_of_room(place: Place, limit: int) -> int:
    """How many bytes a run wanted to write whose files may not be larger than `limit`."""
    with place.started(SMALL, "full", limit=limit) as running:
        ended = running.end()
    came = f"{ended.code} ({ended.last_line})"
    expect(
        ended.code == IO_FAILED, f"exit code {IO_FAILED} on a full disk", came, "scripts take it for done or crashed"
    )
    said = re.search(r"error: full/\S+: .* while writing (\d+) bytes$", ended.last_line)
    if said is None:
        raise WrongError(f"expected a path below OUT and its bytes, found {came}: nobody knows what lacks room.")
    place.check_published(SMALL, "full")
    return int(said[1])


def stops(place: Place) -> Finding:
    """Runs that get SIGTERM, as batch systems send it, or Ctrl-C."""
    took = [_stop(place, signal.SIGTERM, False, STOPPED), _stop(place, signal.SIGINT, True, CTRL_C)]
    return Finding(f"exit {STOPPED} and {CTRL_C} within {max(took):.1f} s; the reruns are equal")


def _stop(place: Place, number: signal.Signals, everyone: bool, code: int) -> float:
    """How long it took a run to end after a signal that came amid its work; its rerun is complete."""
    truth = place.undisturbed(LARGE)
    for _ in range(TRIES):
        with place.started(LARGE, "stopped", "-j", "1") as running:
            spool = place.folder / "stopped" / STATE / "spool"
            running.wait_for(spool / "[0-9]*")
            begun = time.monotonic()
            running.send(number, everyone)
            ended = running.end(STOP_SECONDS)
        took = time.monotonic() - begun
        came = f"{ended.code} ({ended.last_line})"
        if ended.code == 0:  # it was done before it heard
            place.compare(LARGE, "stopped")
            continue
        expect(ended.code == code, f"exit code {code} after {number.name}", came, "scripts cannot tell what happened")
        expect("Traceback" not in ended.errors, "an orderly end", "a traceback", "it is a defect; please report it")
        place.check_published(LARGE, "stopped")
        place.finish(LARGE, "stopped")
        place.compare(LARGE, "stopped")
        return took
    raise WrongError(f"expected to stop a run of {truth.seconds:.1f} s, found {TRIES} done before: it does not listen.")


def kills(place: Place) -> Finding:
    """Runs all of whose processes are killed at random moments, rerun until they end."""
    longest, chance = place.undisturbed(LARGE).seconds, random.Random()
    killed = amid = reruns = 0
    while _goes_on(place, killed):
        ended_after = _kill(place, chance.uniform(0, longest), early=chance.random() < 0.25)
        if ended_after is None:
            killed += 1
            amid += (place.folder / "killed").exists()
            place.check_published(LARGE, "killed")
            if killed % KILLS_A_RERUN and _goes_on(place, killed):
                continue
            place.finish(LARGE, "killed")
        else:
            longest = min(longest, ended_after)  # the first run may have waited for the disk
        reruns += 1
        place.compare(LARGE, "killed")
    return Finding(f"{killed} killed, {amid} amid their files; {plural(reruns, 'rerun')} equal, nothing left over")


def _goes_on(place: Place, killed: int) -> bool:
    if place.rounds is not None:
        return killed < place.rounds
    return killed < LEAST_KILLS or (killed < MOST_KILLS and time.monotonic() < place.until)


def _kill(place: Place, seconds: float, early: bool) -> float | None:
    """None if a run was killed so long after it began, or after it began to write; else how long it took to end."""
    anew, begun = not (place.folder / "killed").exists(), time.monotonic()
    with place.started(LARGE, "killed") as running:
        if anew and not early:
            seconds /= 2
            running.wait_for(place.folder / "killed" / STATE / "lock-*")
        ended = running.end_within(seconds)
        if ended is None:
            running.kill()
            ended = running.end()
    if ended.code == -signal.SIGKILL:
        return None
    expect(ended.code == 0, "exit code 0 of a rerun", f"{ended.code} ({ended.last_line})", "a kill left it broken")
    return time.monotonic() - begun


INTERRUPTIONS = (
    Check(
        "D4",
        "full disk",
        "Two runs may not write files as large as they must; a third may.",
        full_disk,
        ("processes", "limits"),
    ),
    Check("D7", "SIGTERM and Ctrl-C", "Two runs are stopped amid their work and rerun.", stops, ("processes",)),
    Check(
        "D8",
        "kill -9 and rerun",
        "Runs are killed, all their processes at once, at random moments, and rerun.",
        kills,
        ("processes",),
    ),
)
