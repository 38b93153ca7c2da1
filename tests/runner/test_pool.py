"""The workers under a run: what a death of one tells of its task, and of no other."""

import os
import time

import pebble.pool.process
import pytest
from pebble import ProcessExpired

from shapetool.runner.pool import Pool
from shapetool.runner.warm import warm_up


def leave(code: int) -> None:
    os._exit(code)


def answer(number: int) -> int:
    return number + 1


@pytest.fixture
def slow_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool hears of what its workers begin and end a while after it happened, as on a machine that is busy."""
    hear = pebble.pool.process.PoolManager.process_next_message

    def late(self, timeout: float) -> None:
        time.sleep(0.3)
        hear(self, timeout)

    monkeypatch.setattr(pebble.pool.process.PoolManager, "process_next_message", late)


@pytest.mark.usefixtures("slow_news")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("code", [3, 0])
def test_a_worker_that_dies_before_its_task_is_known_to_have_begun_is_told_of(workers: int, code: int) -> None:
    warm_up([])
    pool = Pool(workers, None)
    try:
        good = [pool.submit(answer, number, timeout=30.0) for number in range(2)]
        bad = pool.submit(leave, code, timeout=30.0)
        more = pool.submit(answer, 5, timeout=30.0)
        with pytest.raises(ProcessExpired) as caught:
            bad.result(timeout=20)
        assert caught.value.exitcode == code
        assert [future.result(timeout=20) for future in good] == [1, 2]
        assert more.result(timeout=20) == 6
    finally:
        pool.stop()


def rest(seconds: float) -> str:
    time.sleep(seconds)
    return "rested"


def test_a_clock_that_jumps_ends_no_task_and_saves_none_from_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    began, true_time = time.monotonic(), time.time
    warm_up([])
    pool = Pool(2, None)
    try:
        # A day more with each second, as of a machine that slept; the pool knows this clock from its own module.
        monkeypatch.setattr(pebble.pool.process.time, "time", lambda: true_time() + 86400 * (time.monotonic() - began))
        assert pool.submit(rest, 2.0, timeout=60.0).result(timeout=30) == "rested"
        monkeypatch.setattr(pebble.pool.process.time, "time", lambda: true_time() - 86400 * (time.monotonic() - began))
        with pytest.raises(TimeoutError):
            pool.submit(rest, 60.0, timeout=1.0).result(timeout=30)
    finally:
        monkeypatch.undo()
        pool.stop()
