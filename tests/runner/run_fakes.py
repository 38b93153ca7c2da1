"""A run of the made-up job as a program of its own, to be killed by tests: IN OUT DELAY [WORKERS]."""

import sys
from pathlib import Path

from shapetool.runner.items import collect
from shapetool.runner.job import Options
from shapetool.runner.run import run_job
from tests.runner.runner_fakes import FakeJob


def main() -> int:
    folder, out, delay, workers = sys.argv[1:5]
    found = collect([folder], {".obj"}).items
    job = FakeJob(delay=float(delay), preload=("tests.runner.runner_fakes", "shapetool.data.shards"))
    return run_job(job, found, Path(out), Options(workers=int(workers), item_timeout=60)).exit_code


if __name__ == "__main__":
    sys.exit(main())
