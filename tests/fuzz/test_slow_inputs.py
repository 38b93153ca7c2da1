"""Files of a megabyte on which a reader once spent minutes or for ever; a fuzzer's are too short to meet these."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.fuzz.targets import TARGETS

pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore")]
CORNERS = 60_000


def polygon(points: np.ndarray) -> bytes:
    """An OBJ of one polygon in the plane z = 0."""
    rows = "".join(f"v {x!r} {y!r} 0\n" for x, y in points.tolist())
    return (rows + "f " + " ".join(str(i + 1) for i in range(len(points))) + "\n").encode()


def wound(corners: int) -> np.ndarray:
    """A star of five points that is drawn over and over, a little larger each time."""
    turn = np.arange(corners) * 4 * np.pi / 5
    return np.c_[np.cos(turn), np.sin(turn)] * (1 + np.arange(corners) * 1e-6)[:, None]


SLOW: dict[tuple[str, str], Callable[[], bytes]] = {
    ("obj", "lines that go on and on"): lambda: b"v 0 0 \\\n" * 120_000,
    ("obj", "a polygon wound about itself"): lambda: polygon(wound(CORNERS)),
    ("off", "a polygon of three corners, again and again"): lambda: (
        b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n300000 " + b"0 1 2 " * 100_000 + b"\n"
    ),
    ("ply", "very many properties"): lambda: (
        b"ply\nformat ascii 1.0\nelement vertex 1\n" + b"".join(b"property float p%d\n" % i for i in range(44_000))
        + b"end_header\n"
    ),
    ("colours-mtl", "very many options of a texture"): lambda: b"newmtl skin\nmap_Kd " + b"-s 1 1 1 " * 300_000,
    ("split", "a name of very many folders"): lambda: b"\3" + b"a/" * 400_000,
    ("config", "a key of very many parts"): lambda: b"a." * 300_000 + b"a = 1",
}  # fmt: skip


@pytest.mark.parametrize("case", SLOW, ids=" ".join)
def test_a_megabyte_is_read_or_refused_within_a_minute(case: tuple[str, str]) -> None:
    TARGETS[case[0]](SLOW[case]())
