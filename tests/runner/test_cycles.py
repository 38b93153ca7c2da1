"""When Python looks for cycles: not while a run is set up, always while it works."""

import gc

from shapetool.runner.files import long_work, many_objects


def test_blocks_in_blocks_leave_what_they_found() -> None:
    found = []
    with many_objects():
        found.append(gc.isenabled())
        for _ in range(2):  # two engines, one after the other
            with long_work():
                found.append(gc.isenabled())
                with many_objects():
                    found.append(gc.isenabled())
                found.append(gc.isenabled())
            found.append(gc.isenabled())
        with many_objects():
            found.append(gc.isenabled())
        found.append(gc.isenabled())
    assert found == [False, *[True, False, True, False] * 2, False, False]
    assert gc.isenabled()


def test_who_turned_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with many_objects():
            pass
        with long_work():
            assert not gc.isenabled()
        with many_objects(), long_work():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
