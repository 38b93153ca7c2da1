"""Many shards and few files that may be open: a reader reads each value as it was stored, in workers too."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shapetool.data.shards import ShardBuilder, publish

# Reads random rows under the limit and compares them with what `write_shards` stored; prints how many were right.
READ = """
import resource, sys
import numpy as np
from shapetool.data.shards import open_dataset

def check(row, index):
    assert (row["shape_id"], row["scale"]) == (f"x/{index}", index + 1.0), index
    assert (row["points"] == np.float32(index)).all(), index
    assert (row["distances"] == np.arange(5, dtype="f4") + index).all(), index

def rows_of_workers(dataset, order, start):
    from torch.utils.data import DataLoader, Subset
    loader = DataLoader(
        Subset(dataset, order), batch_size=20, num_workers=2, collate_fn=list, multiprocessing_context=start
    )
    for batch in loader:
        yield from batch

if __name__ == "__main__":
    folder, reads, limit, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    dataset = open_dataset(folder)
    order = np.random.default_rng(8).integers(len(dataset), size=reads).tolist()
    rows = (dataset[index] for index in order) if start == "none" else rows_of_workers(dataset, order, start)
    right = 0
    for index, row in zip(order, rows, strict=True):
        check(row, index)
        right += 1
    print(len(dataset), right, dataset.shards[-1][0].name)
"""


def write_shards(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        place = {"shard_index": number, "shard_count": count, "manifest_sha256": "0" * 64}
        builder = ShardBuilder("sdf", {"name": "many"}, 0, 1, place)
        row = {
            "shape_id": f"x/{number}",
            "source": f"x/{number}.obj",
            "scale": number + 1.0,
            "offset": np.zeros(3),
            "watertight": True,
            "sign_method": "winding",
            "points": np.full((5, 3), number, "f4"),
            "distances": np.arange(5, dtype="f4") + np.float32(number),
            "surface_points": np.zeros((1, 3), "f4"),
            "surface_normals": np.zeros((1, 3), "f4"),
        }
        builder.put(0, row)
        publish(folder / f"shard-{number:05d}.h5", builder.image(), durable=False)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, times) -> tuple[Path, int]:
    """A data set of as many shards as the test is to have, one shape in each."""
    folder, count = tmp_path_factory.mktemp("many") / "set", times(200, 1500)
    write_shards(folder, count)
    return folder, count


@pytest.mark.parametrize("start", ["none", "fork", "spawn"])
def test_random_rows_of_many_shards_are_right_with_few_open_files(start, many, tmp_path, repository, times, record):
    folder, count = many
    reads, limit = times(1000, 10_000), times(40, 64)
    script = tmp_path / "read.py"
    script.write_text(READ)
    words = [sys.executable, str(script), str(folder), str(reads), str(limit), start]
    environment = {**os.environ, "PYTHONPATH": str(repository), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(count), str(reads), f"shard-{count - 1:05d}.h5"], done.stderr[-2000:]
    record(8, shards=count, descriptors=limit, rows=reads, right=int(done.stdout.split()[1]), workers=start)
