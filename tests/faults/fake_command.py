"""The run of `tests.runner.run_fakes`, ended as the commands end: by one line and the exit code of the contract."""

import sys

from shapetool.cli import _report
from tests.runner.run_fakes import main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        sys.exit(_report.fail(error))
