"""Records that wait for their shard."""

import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shapetool.runner.spool import Ticket, read_columns, write_spool

TICKET = Ticket("boot", "digest", "id", None)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """This process may have few more files open than it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_descriptors")
def test_a_shard_of_more_shapes_than_files_may_be_open_is_written(tmp_path: Path) -> None:
    from shapetool.data.shards import ShardBuilder, open_dataset, publish
    from shapetool.runner.items import Item
    from tests.runner.runner_fakes import record

    count = 120
    builder = ShardBuilder("sdf", {}, 0, count)
    for row in range(count):
        made = record(Item(f"s{row:03d}", f"s{row:03d}.obj", Path(), Path()), f"shape {row}", 0, 20_000)
        write_spool(tmp_path / str(row), TICKET, {}, made.columns)
        columns = read_columns(tmp_path / str(row), TICKET)
        assert columns is not None
        builder.put(row, columns)
    publish(tmp_path / "shard.h5", builder.image(), durable=False)
    with open_dataset(tmp_path / "shard.h5") as dataset:
        assert len(dataset) == count
        assert np.array_equal(
            dataset[7]["points"], record(Item("", "", Path(), Path()), "shape 7", 0, 20_000).columns["points"]
        )


def test_columns_come_back_as_they_were_whatever_their_size(tmp_path: Path) -> None:
    wanted = {
        "large": np.arange(60_000, dtype="<f4").reshape(20_000, 3),
        "small": np.arange(3.0),
        "none": np.zeros((0, 3), "<f2"),
        "truth": np.array([True, False]),
        "text": "chair",
        "number": 2.5,
    }
    write_spool(tmp_path / "spool", TICKET, {}, wanted)
    found = read_columns(tmp_path / "spool", TICKET)
    assert found is not None
    for name, value in wanted.items():
        assert np.asarray(found[name]).dtype == np.asarray(value).dtype
        assert np.array_equal(found[name], value)
