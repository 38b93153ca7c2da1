"""Numbers out of text by the kernel: Python's own, bit for bit, and files read the quick way as read by lines."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from shapetool.errors import MeshError
from shapetool.geometry.readers import obj, off
from shapetool.geometry.readers.raw import RawMesh
from shapetool.native._kernel import read_coordinates, read_polygons, read_statements
from tests.geometry.damage import damaged
from tests.geometry.mesh_files import obj_text, off_text

# Rounding at its limits: half-way cases, one digit above and below them, subnormals, overflow, zeros, other spellings.
HARD = """
9007199254740993 9007199254740992.999999999999999999 9007199254740993.00000000000000000001 9007199254740995
1125899906842624.125 1125899906842624.375 0.1000000000000000055511151231257827
1.00000000000000011102230246251565404 1.00000000000000011102230246251565403 5e-324 2.4703282292062327e-324
2.4703282292062328e-324 2.2250738585072011e-308 2.2250738585072014e-308 1.7976931348623157e308
1.7976931348623159e308 1e309 -1e400 1e-400 1e99999999999999999999 1e-99999999999999999999 0e99999999999999999999 0
-0 -0.0 +0 0.0000 .5 5. +.5e-1 -5.E+1 00012.50 1e22 1e23 1e-22 1e-23 123456789012345678 1234567890123456789
9999999999999999999 18446744073709551615 18446744073709551616 99999999999999999999
0.0000000000000000000000000009999999999999999 1e-27 9999999999999999999e-27 9999999999999999999e-28 1e27 8.5e-28
4503599627370497.5
""".split()  # noqa: SIM905
_PLACES = [(0, 20), (1, 3), (19, 40), (300, 320)]


def random_words(rng: np.random.Generator, count: int) -> Iterator[str]:
    """Numbers as programs write them, and others with any number of digits and any exponent."""
    for _ in range(count):
        value = float(np.ldexp(rng.normal(), int(rng.integers(-90, 90))))
        yield from (repr(value), f"{value:.6f}", f"{value:.9g}", f"{value:.15e}", f"{value:+.17g}", f"{value:.18E}")
        digits = "".join(map(str, rng.integers(0, 10, int(rng.integers(1, 26)))))
        point = int(rng.integers(0, len(digits) + 1))
        low, high = _PLACES[int(rng.integers(0, len(_PLACES)))]
        yield f"{digits[:point]}.{digits[point:]}e{int(rng.integers(low, high)) * int(rng.choice([-1, 1]))}"


def half_ways(rng: np.random.Generator, count: int) -> Iterator[str]:
    """Numbers in the middle of two doubles, and the numbers of as many digits right above and below."""
    for _ in range(count):
        k = int(rng.integers(1, 4))
        middle = (2 * int(rng.integers(2**52, 2**53)) + 1) * 5**k
        for step in (-1, 0, 1):
            text = str(middle + step)
            yield f"{text[:-k]}.{text[-k:]}"


def beside_half_ways(rng: np.random.Generator, count: int) -> Iterator[str]:
    """The numbers of 19 digits next to the middle of two doubles, for each power of ten that is divided by."""
    for power in range(1, 28):
        for digits in rng.integers(10**18, 9 * 10**18, count).tolist():
            value = digits / 10**power
            middle = (Fraction(value) + Fraction(float(np.nextafter(value, np.inf)))) / 2
            below = int(middle * 10**power)
            yield from (f"{below}e-{power}", f"{below + 1}e-{power}")


def read(words: list[str]) -> np.ndarray:
    words = words + ["0"] * (-len(words) % 3)
    text = "".join(" ".join(words[i : i + 3]) + "\n" for i in range(0, len(words), 3)).encode()
    found = read_coordinates(text, 0, len(words) // 3)
    assert found is not None
    assert text[found[1] :].strip() == b""
    return found[0].reshape(-1)


def outcome(read_one: Callable[[bytes], RawMesh | None], data: bytes) -> tuple[object, ...] | str | None:
    """What can be compared of the mesh, the refusal, or None when there is no answer."""
    try:
        with np.errstate(invalid="ignore"):  # an infinite corner of a quadrangle
            raw = read_one(data)
    except MeshError as error:
        return str(error)
    return raw and (raw.vertices.tobytes(), raw.faces.tolist(), raw.warnings)


def test_every_number_is_the_one_that_python_reads() -> None:
    rng = np.random.default_rng(20)
    words = [sign + word for word in HARD for sign in ("", "-") if not (sign and word[0] in "+-")]
    words += [*random_words(rng, 6000), *half_ways(rng, 2000), *beside_half_ways(rng, 800)]
    found, expected = read(words), np.array([float(word) for word in words])
    wrong = [word for word, a, b in zip(words, found, expected, strict=False) if a.tobytes() != b.tobytes()]
    assert wrong == []


def test_a_number_is_the_nearest_double_to_the_fraction_that_is_written() -> None:
    for word, value in zip(words := [*half_ways(np.random.default_rng(3), 300)], read(words), strict=False):
        away = abs(Fraction(float(value)) - Fraction(word))
        assert away <= abs(Fraction(float(np.nextafter(value, np.inf))) - Fraction(word))
        assert away <= abs(Fraction(float(np.nextafter(value, -np.inf))) - Fraction(word))


NO_NUMBERS = """
nan inf -infinity 1_0 . - + e5 1e 1e+ 0x1 1.2.3 1,5 --1 1d3 1; \0 1\0 1\x1c \u0663
""".strip().split(" ")


@pytest.mark.parametrize("word", NO_NUMBERS)
def test_what_is_no_plain_number_is_left_to_the_slow_way(word: str) -> None:
    assert read_coordinates(f"0 {word} 0\n".encode(), 0, 1) is None
    assert read_polygons(f"3 0 {word} 0\n".encode(), 0, 1) is None


@pytest.mark.parametrize("word", ["-1", "+1", "1.0", "1e0", "1234567890123456789"])
def test_an_index_is_digits_alone(word: str) -> None:
    assert read_polygons(f"1 {word}\n".encode(), 0, 1) is None
    largest = read_polygons(b"2 999999999999999999 000000000000000012\n", 0, 1)
    assert largest is not None
    assert largest[0].tolist() == [10**18 - 1, 12]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " # said\n", "\t\n\n \v\f\n# only said\n\n"])
def test_rows_may_end_in_any_way_and_go_on_behind_what_is_wanted(end: str) -> None:
    text = f"junk1 2 3 four{end}-4\t5 \v6{end}3 0 1 2 .5{end}0{end}".encode()
    found = read_coordinates(text, 4, 2)
    assert found is not None
    np.testing.assert_array_equal(found[0], [[1, 2, 3], [-4, 5, 6]])
    polygons = read_polygons(text, found[1], 2)
    assert polygons is not None
    assert [part.tolist() for part in polygons] == [[0, 1, 2], [3, 0]]


@pytest.mark.parametrize("text", [b"", b"1 2", b"1 2\n3 4 5\n6 7 8", b"1 2 3\n", b"1 2 #3\n4 5 6\n", b"\n\n1 2 3\n\n"])
def test_too_few_rows_or_numbers_are_no_answer(text: bytes) -> None:
    assert read_coordinates(text, 0, 2) is None


def test_a_promise_of_more_rows_than_bytes_asks_for_no_memory() -> None:
    assert read_coordinates(b"1 2 3\n", 0, 2**62) is None
    assert read_polygons(b"1 0\n", 0, 2**62) is None
    assert read_polygons(b"999999999999999999 0\n", 0, 1) is None


def test_words_behind_the_last_polygon_are_no_answer_and_a_place_outside_is_refused() -> None:
    assert read_polygons(b"1 0\n0\n", 0, 1) is None
    with pytest.raises(ValueError, match="inside the text"):
        read_coordinates(b"1 2 3", 6, 0)


@pytest.mark.parametrize(
    "text",
    [
        off_text(),
        "\ufeff# by hand\n\n" + off_text().replace("\n", "\r\n"),
        off_text().replace("OFF\n", "COFF"),
        off_text().replace("OFF\n", " NOFF # normals\n # and\n\n\t"),
    ],
)
def test_the_usual_off_file_is_read_the_quick_way_and_the_same(text: str) -> None:
    quick = outcome(off._read_plain, text.encode())
    assert quick is not None
    assert quick == outcome(off._read_lines, text.encode())


def test_a_damaged_off_file_never_reads_differently_the_quick_way() -> None:
    rng, meshes = np.random.default_rng(4), 0
    text = off_text().replace("\n", " 0.5 0.25 # a comment\n").replace("OFF 0.5 0.25", "OFF").encode()
    for _ in range(1500):
        data = damaged(text, rng)
        quick = outcome(off._read_plain, data)
        assert quick is None or quick == outcome(off._read_lines, data)
        meshes += isinstance(quick, tuple)
    assert meshes > 100


def obj_by_lines(data: bytes) -> RawMesh:
    return obj._read_line_by_line(obj.statement_lines(data))


ODD_OBJ = "# by hand\r\nmtllib a b.mtl\no x\n\ng f\ns 1\nvn 0 0 1\nvt 0 v\n usemtl f 1 2 3\n" + obj_text()


@pytest.mark.parametrize(
    "text",
    [
        obj_text(),
        "\ufeff" + ODD_OBJ.replace("f 1 ", "\tf\t01/7/2 "),
        ODD_OBJ.replace("\n", "\r").replace("f ", "f 1//1 2/ ") + "f\nf 1 # 2 3",
        obj_text().replace("\nv", " 1.0 # weight\nv"),
    ],
)
def test_the_usual_obj_file_is_read_the_quick_way_and_the_same(text: str) -> None:
    quick = outcome(obj._read_plain, text.encode())
    assert isinstance(quick, tuple)
    assert quick == outcome(obj_by_lines, text.encode())


@pytest.mark.parametrize(
    "row",
    ["f -1 -2 -3", "f 1 2 /3", "f 1 2 3.0", "f 0 1 2", "f 1 2 999", "v 1 2", "v 1 2 x", "fo 1 2 3", "l 1 2", "x", "\\"],
)
def test_an_obj_with_anything_else_is_read_line_by_line(row: str) -> None:
    assert obj._read_plain(f"{obj_text()}{row}\n".encode()) is None


def test_an_obj_without_a_vertex_or_a_face_is_read_line_by_line() -> None:
    assert read_statements(b"# nothing\n") is not None
    assert obj._read_plain(b"v 0 0 0\n") is None
    assert obj._read_plain(b"f 1 2 3\n") is None


def test_a_damaged_obj_file_never_reads_differently_the_quick_way() -> None:
    rng, meshes = np.random.default_rng(5), 0
    text = obj_text().replace("\n", " # a comment\n").replace("f 1 ", "f 1/7/2 ").encode()
    for _ in range(1500):
        data = damaged(text, rng)
        quick = outcome(obj._read_plain, data)
        assert quick is None or quick == outcome(obj_by_lines, data)
        meshes += isinstance(quick, tuple)
    assert meshes > 100
