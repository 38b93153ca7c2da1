"""The shapes of a data set that are on a list, as `split` writes them."""

from pathlib import Path

from shapetool.data.reading import open_dataset
from shapetool.data.split import match, read_lists
from shapetool.errors import ConfigError, DataError


def ids_by_part(data: Path, split: Path) -> dict[str, list[str]]:
    """The ids on each list (train, val, test), in the order of the data set.

    Raises:
        ConfigError: there are no lists.
        DataError: a list is damaged, or the data set is.
    """
    if not split.exists():
        raise ConfigError(f"--split {split}: no such file or folder. Make lists with `shapetool split`.")
    files = [split]
    if split.is_dir():
        files = sorted(split.glob("*.lst")) or sorted(path for path in split.iterdir() if path.is_file())
    with open_dataset(data) as dataset:
        ids = dataset.shape_ids
    parts, _ = match(ids, read_lists(files))
    return {part: [name for name in ids if parts[name] == part] for part in ("train", "val", "test")}


def ids_on(data: Path, split: Path, part: str) -> list[str]:
    """The ids on one list.

    Raises:
        ConfigError: there are no lists, or none of this name.
        DataError: no shape of the data is on it, or a list is damaged.
    """
    parts = ids_by_part(data, split)
    if part not in parts:
        raise ConfigError(f"--part {part}: expected train, val or test.")
    if not parts[part]:
        raise DataError(f"{split}: expected shapes of {data} on the {part} list, found none. Check the ids.")
    return parts[part]
