"""`python -m shapetool`, and so `torchrun -m shapetool`."""

import sys

from shapetool.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
