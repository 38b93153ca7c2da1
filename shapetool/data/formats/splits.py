"""Which shapes are for training, validation and test, from a folder of lists."""

from collections.abc import Sequence
from pathlib import Path

from shapetool.data.formats.places import SPLITS
from shapetool.errors import DataError


def read_splits(folder: Path | None, ids: Sequence[str]) -> dict[str, list[str]]:
    """The ids of `train`, `val` and `test`, as far as there are lists `train.lst` and so on in `folder`, in the order
    of the shapes; all ids for training without a folder.

    Raises:
        DataError: there is no list, or one names a shape that does not exist, or two name the same.
    """
    if folder is None:
        return {"train": list(ids)}
    found = {split: folder / f"{split}.lst" for split in SPLITS if (folder / f"{split}.lst").is_file()}
    if not found:
        raise DataError(f"{folder}: expected train.lst, val.lst or test.lst, found none. `shapetool split` makes them.")
    known, splits = set(ids), {}
    taken: dict[str, str] = {}
    for split, path in found.items():
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        for name in names:
            if name not in known:
                raise DataError(f"{path}: expected ids of the data set, found {name!r}. Make lists for these shards.")
            if taken.setdefault(name, split) != split:
                raise DataError(f"{path}: {name!r} stands in {taken[name]}.lst too. A shape belongs to one list.")
        here = set(names)
        splits[split] = [shape_id for shape_id in ids if shape_id in here]
    return splits
