"""A run of the made-up job as a program of its own, to be killed by tests: IN OUT DELAY [WORKERS [PART]]."""

import sys
from pathlib import Path

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
    return run_job(job, found, Path(out), Options(workers=int(workers), shard=part, item_timeout=60)).exit_code


if __name__ == "__main__":
    sys.exit(main())
