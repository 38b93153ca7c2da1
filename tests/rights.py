"""Programs that heed the permissions of files, root or not, so that anybody can test what is read-only."""

import ctypes
import os

DROP_FROM_BOUNDING_SET = 24  # PR_CAPBSET_DROP
RIGHTS = (1, 2)  # CAP_DAC_OVERRIDE writes anywhere, CAP_DAC_READ_SEARCH reads anything
LIBRARY = ctypes.CDLL(None)


def heed_permissions() -> None:
    """None; the next program of this process has no rights beyond the permissions of files. For `preexec_fn`."""
    if os.geteuid() == 0 and hasattr(LIBRARY, "prctl"):
        for right in RIGHTS:
            LIBRARY.prctl(DROP_FROM_BOUNDING_SET, right, 0, 0, 0)
