"""Changes that a fuzzer of bytes seldom makes: whole values of JSON and numbers in text, replaced by hard ones."""

import json
import random
import re
import struct
from typing import Any

HARD = (
    b"1" + b"0" * 400, b"-" + b"9" * 400, b"9" * 5000, b"1e400", b"-1e400", b"1e-400", b"1e308", b"-1e308", b"nan",
    b"inf", b"-inf", b"-0", b"-1", b"0", b"1", b"2147483647", b"2147483648", b"4294967295", b"9223372036854775807",
    b"9223372036854775808", b"18446744073709551616", b"1_000", b"0x10", b"1.5", b"\xd9\xa1", b"", b"[" * 3000,
    b'{"a":' * 1500, b"(" * 300, b"-" * 3000, b"1000000000000", b"null", b"\x00", b"\xff",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, 1e308, -1e308, 1e-308, 10**30, 10**400, -(10**400), 2**31, 2**63,
    float("nan"), float("inf"), "", "x", "\0", "../x", "/dev/zero", "\ud800", "a" * 300, [], {}, [None], [[]],
    [[1, 2], [3]], [1e308] * 3, [0] * 16, {"x": 1}, ["a", "a"],
)  # fmt: skip
_NUMBER = re.compile(rb"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")
_DEEP = json.loads("[" * 400 + "]" * 400)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with a value of its JSON, or one of its numbers, or a stretch of it, replaced."""
    choice = rng.randrange(3)
    if choice == 0 and (changed := json_mutated(data, rng)) is not None:
        return changed
    if choice <= 1 and (numbers := list(_NUMBER.finditer(data))):
        at = rng.choice(numbers)
        return data[: at.start()] + rng.choice(HARD) + data[at.end() :]
    at, length = rng.randrange(len(data) + 1), rng.choice((0, 0, 1, 4, 16))
    return data[:at] + rng.choice(HARD) + data[at + length :]


def json_mutated(data: bytes, rng: random.Random) -> bytes | None:
    """The data with one value of the first JSON object in it replaced, removed or doubled; None without one."""
    start = data.find(b"{")
    text = data[start:].decode("latin-1")
    try:
        tree, length = json.JSONDecoder().raw_decode(text) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        return None
    places = list(_places(tree))
    if not places:
        return None
    above, key = rng.choice(places)
    action = rng.randrange(8)
    if action == 0:
        del above[key]
    elif action == 1:
        other, name = rng.choice(places)
        above[key] = other[name]
    elif action == 2 and isinstance(above[key], int | float):
        above[key] = above[key] * rng.choice((-1, 2, 1e9)) + rng.choice((-1, 0, 1))
    elif action == 3 and isinstance(above, list):
        above.insert(key, above[key])
    else:
        above[key] = _DEEP if rng.randrange(40) == 0 else rng.choice(VALUES)
    try:
        new = json.dumps(tree).encode("latin-1")
    except (ValueError, RecursionError):  # it came to hold itself
        return None
    return _with_lengths(data, start, new, data[start + length :])


def _places(tree: Any, depth: int = 0) -> Any:
    """Each container of a tree with each of its keys."""
    if depth > 50 or not isinstance(tree, dict | list):
        return
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        yield from _places(tree[key], depth + 1)


def _with_lengths(data: bytes, start: int, new: bytes, after: bytes) -> bytes:
    """The new JSON in its place; of a GLB and of safetensors the lengths before it are those of the new one."""
    if data[:4] == b"glTF" and start == 20:
        new += b" " * (-len(new) % 4)
        after = after.lstrip(b" ")
        return data[:8] + struct.pack("<II", 20 + len(new) + len(after), len(new)) + data[16:20] + new + after
    if (start in (8, 9) and not data[:start].isascii()) or data[max(start - 8, 0) : start].endswith(b"\0\0\0\0"):
        return data[: start - 8] + struct.pack("<Q", len(new)) + new + after
    return data[:start] + new + after
