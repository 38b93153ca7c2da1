"""A run of the made-up job as a program of its own, to be killed by tests: IN OUT DELAY [WORKERS [PART [DASK]]]."""

import sys
from pathlib import Path

from shapetool.errors import Interrupted
from shapetool.runner.engines.cluster import read_cluster
from shapetool.runner.items import collect
from shapetool.runner.job import Options
from shapetool.runner.parts import read_part
from shapetool.runner.run import run_job
from tests.runner.runner_fakes import FakeJob


def main() -> int:
    folder, out, delay, workers, *rest = sys.argv[1:]
    found = collect([folder], {".obj"}).items
    job = FakeJob(delay=float(delay), preload=("tests.runner.runner_fakes", "shapetool.data.shards"))
    part = read_part(rest[0], {}) if rest and rest[0] else None
    cluster = read_cluster(rest[1], None, []) if len(rest) > 1 else None
    options = Options(workers=int(workers), shard=part, item_timeout=60, cluster=cluster)
    try:
        return run_job(job, found, Path(out), options).exit_code
    except Interrupted as error:
        sys.stderr.write(f"{error}\n")
        return 75


if __name__ == "__main__":
    sys.exit(main())
