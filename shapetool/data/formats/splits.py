"""Which shapes are for training, validation and test, from a folder of lists."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from shapetool.data.formats.places import SPLITS
from shapetool.errors import DataError


def read_splits(folder: Path | None, ids: Sequence[str]) -> dict[str, list[str]]:
    """The ids of `train`, `val` and `test`, as far as there are lists `train.lst` and so on in `folder`, in the order
    of the shapes; all ids for training without a folder.

    The lists of a class, in a folder of its name, have the ids below the class: what `split --by class` writes.

    Raises:
        DataError: there is no list, or one names a shape that does not exist, or two name the same.
    """
    if folder is None:
        return {"train": list(ids)}
    found = list(_lists(folder))
    if not found:
        raise DataError(f"{folder}: expected train.lst, val.lst or test.lst, found none. `shapetool split` makes them.")
    known = set(ids)
    taken: dict[str, str] = {}
    for split, above, path in found:
        names = _names(path)
        for name in (above + name for name in names):
            if name not in known:
                raise DataError(f"{path}: expected ids of the data set, found {name!r}. Make lists for these shards.")
            if taken.setdefault(name, split) != split:
                raise DataError(f"{path}: {name!r} stands in {taken[name]}.lst too. A shape belongs to one list.")
    return {
        split: [shape_id for shape_id in ids if taken.get(shape_id) == split]
        for split in SPLITS
        if split in {named for named, _, _ in found}
    }


def _names(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except ValueError as error:
        raise DataError(f"{path}: expected names in utf-8, but: {error}. Make the list again.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _lists(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Each list with its split and what stands before its ids: nothing, or the class."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    for place, above in ((folder, ""), *((path, f"{path.name}/") for path in folders)):
        for split in SPLITS:
            if (place / f"{split}.lst").is_file():
                yield split, above, place / f"{split}.lst"
