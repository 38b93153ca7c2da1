"""The data of a PLY file behind its header, text or binary, one element after the other."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Num

from shapetool.errors import MeshError
from shapetool.geometry.readers.raw import floats, integers, table


@dataclass(frozen=True)
class Property:
    """A named value of a row, or a list of values."""

    name: str
    kind: str  # numpy's code of a value
    count_kind: str | None  # numpy's code of the length of a list; None for a single value


@dataclass(frozen=True)
class Element:
    """A named table: how many rows, and what stands in each."""

    name: str
    count: int
    properties: tuple[Property, ...]

    def least_bytes(self, text: bool) -> int:
        """How many bytes the rows take at least."""
        sizes = [2 if text else np.dtype(p.count_kind or p.kind).itemsize for p in self.properties]
        return self.count * max(sum(sizes), 1)


Values = dict[str, Num[np.ndarray, "N"]]
Lists = dict[str, tuple[Num[np.ndarray, "C"], Int[np.ndarray, "N"]]]


class BinaryBody:
    """The data behind a binary header, read element by element."""

    def __init__(self, data: bytes, start: int, order: str) -> None:
        self._data, self._at, self._order = data, start, order

    def left(self) -> int:
        """How many bytes were not read."""
        return len(self._data) - self._at

    def take(self, element: Element) -> tuple[Values, Lists]:
        """The single values and the lists of the next element.

        Raises:
            MeshError: when the data ends before the element does.
        """
        lengths = self._first_lengths(element)
        rows = self._same_lengths(element, lengths)
        if rows is None:
            return self._row_by_row(element)
        values: Values = {p.name: rows[p.name] for p in element.properties if p.count_kind is None}
        lists: Lists = {}
        for p in element.properties:
            if p.count_kind is not None:
                width = lengths[p.name]
                sizes = np.full(element.count, width, np.int64)
                lists[p.name] = (rows[p.name].reshape(-1) if width else np.zeros(0, np.int64), sizes)
        return values, lists

    def _kind(self, code: str) -> np.dtype:
        return np.dtype(self._order + code)

    def _number(self, code: str, at: int) -> int:
        """The whole number that stands at a place.

        Raises:
            MeshError: when the data ends before it does.
        """
        kind = self._kind(code)
        if at + kind.itemsize > len(self._data):
            raise MeshError("the file ends inside an element. It is cut off; copy or export it again.")
        return int(np.frombuffer(self._data, kind, 1, at)[0])

    def _first_lengths(self, element: Element) -> dict[str, int]:
        """The lengths of the lists in the first row."""
        at, lengths = self._at, {}
        for p in element.properties if element.count else ():
            if p.count_kind is None:
                at += self._kind(p.kind).itemsize
                continue
            length = self._number(p.count_kind, at)
            at += self._kind(p.count_kind).itemsize + max(length, 0) * self._kind(p.kind).itemsize
            lengths[p.name] = length
        return lengths if element.count else {p.name: 0 for p in element.properties if p.count_kind}

    def _same_lengths(self, element: Element, lengths: dict[str, int]) -> np.ndarray | None:
        """All rows at once when each list is as long in every row as in the first; None otherwise."""
        if any(not 0 <= length <= len(self._data) for length in lengths.values()):
            return None
        fields: list[tuple[str, np.dtype] | tuple[str, np.dtype, tuple[int]]] = []
        for p in element.properties:
            if p.count_kind is None:
                fields.append((p.name, self._kind(p.kind)))
            else:
                fields.append((p.name + " length", self._kind(p.count_kind)))
                fields.append((p.name, self._kind(p.kind), (lengths[p.name],)))
        row = np.dtype(fields)
        if row.itemsize * element.count > self.left():
            return None
        rows = np.frombuffer(self._data, row, element.count, self._at) if element.count else np.zeros(0, row)
        if any((rows[name + " length"] != length).any() for name, length in lengths.items()):
            return None
        self._at += row.itemsize * element.count
        return rows

    def _row_by_row(self, element: Element) -> tuple[Values, Lists]:
        """The single values and the lists of an element whose lists differ in length.

        Raises:
            MeshError: when a row promises more than is left.
        """
        singles: dict[str, list[np.ndarray]] = {p.name: [] for p in element.properties if p.count_kind is None}
        many: dict[str, list[np.ndarray]] = {p.name: [] for p in element.properties if p.count_kind is not None}
        plan = [
            (p.count_kind, self._kind(p.kind), (singles if p.count_kind is None else many)[p.name])
            for p in element.properties
        ]
        at = self._at
        for row in range(element.count):
            for count_code, kind, into in plan:
                length = 1
                if count_code is not None:
                    length = self._number(count_code, at)
                    at += self._kind(count_code).itemsize
                if not 0 <= length * kind.itemsize <= len(self._data) - at:
                    raise MeshError(
                        f"row {row} of {element.name} promises {length} values, more than the file holds. "
                        "It is damaged or cut off; copy or export it again."
                    )
                into.append(np.frombuffer(self._data, kind, length, at))
                at += length * kind.itemsize
        self._at = at
        none = {p.name: np.zeros(0, self._kind(p.kind)) for p in element.properties}  # there may be no row
        return {name: np.concatenate([none[name], *parts]) for name, parts in singles.items()}, {
            name: (np.concatenate([none[name], *parts]), np.array([len(part) for part in parts], np.int64))
            for name, parts in many.items()
        }


class TextBody:
    """The rows behind a text header, read element by element."""

    def __init__(self, body: bytes) -> None:
        self._lines = [line for line in body.splitlines() if line and not line.isspace()]
        self._at = 0

    def left(self) -> int:
        """How many bytes were not read, blank lines aside."""
        return sum(map(len, self._lines[self._at :]))

    def take(self, element: Element) -> tuple[Values, Lists]:
        """The single values and the lists of the next element.

        Raises:
            MeshError: when there are too few rows, or a row is not what the header says.
        """
        lines = self._lines[self._at : self._at + element.count]
        if len(lines) < element.count:
            raise MeshError(
                f"the header promises {element.count} rows of {element.name}, the file holds {len(lines)}. "
                "It is cut off; copy or export it again."
            )
        self._at += element.count
        try:
            return _uniform_rows(element, lines) or _any_rows(element, lines)
        except (ValueError, IndexError, OverflowError):
            raise MeshError(f"a row of {element.name} does not hold the numbers that the header promises.") from None


def _uniform_rows(element: Element, lines: list[bytes]) -> tuple[Values, Lists] | None:
    """The values when every row has as many words, and every list the same length; None otherwise."""
    columns = table(lines)
    if columns is None:
        return None
    values: Values = {}
    lists: Lists = {}
    at = 0
    for p in element.properties:
        if p.count_kind is None:
            values[p.name] = _numbers(columns[at], p.kind)
            at += 1
            continue
        sizes = _numbers(columns[at], p.count_kind)
        size = int(sizes[0])
        if (sizes != size).any() or not 0 < size < len(columns) - at:
            return None
        body = np.stack([_numbers(column, p.kind) for column in columns[at + 1 : at + 1 + size]], axis=1)
        lists[p.name] = body.reshape(-1), sizes
        at += 1 + size
    return values, lists


def _any_rows(element: Element, lines: list[bytes]) -> tuple[Values, Lists]:
    """The values row by row.

    Raises:
        IndexError: when a row is too short.
        ValueError: when a word is not the number it must be.
    """
    singles: dict[str, list[bytes]] = {p.name: [] for p in element.properties if p.count_kind is None}
    many: dict[str, list[list[bytes]]] = {p.name: [] for p in element.properties if p.count_kind is not None}
    for line in lines:
        row = line.split()
        at = 0
        for p in element.properties:
            if p.count_kind is None:
                singles[p.name].append(row[at])
                at += 1
                continue
            (length,) = integers(row[at : at + 1])
            if not 0 <= length < len(row) - at:
                raise IndexError
            many[p.name].append(row[at + 1 : at + 1 + length])
            at += 1 + length
    kinds = {p.name: p.kind for p in element.properties}
    return {name: _numbers(words, kinds[name]) for name, words in singles.items()}, {
        name: (
            _numbers([word for words in lists for word in words], kinds[name]),
            np.array([len(words) for words in lists], np.int64),
        )
        for name, lists in many.items()
    }


def _numbers(words: list[bytes], kind: str) -> Num[np.ndarray, "n"]:
    """The words as float64 for a float property, as int64 for another (a whole number written as 3.0 is one).

    Raises:
        ValueError: when a word is not the number it must be.
    """
    values: Float[np.ndarray, n] = np.array(floats(words), np.float64)
    if kind[0] == "f":
        return values
    if not (np.abs(values) < 2**53).all() or (values != np.floor(values)).any():
        raise ValueError
    return values.astype(np.int64)
