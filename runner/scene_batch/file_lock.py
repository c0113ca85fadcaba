"""A lock on an open file, which dies with the process that holds it, whatever ends that."""

from __future__ import annotations

import sys


def lock(descriptor: int) -> bool:
    """Lock a file, until it is closed; False where another process, or another opening, holds it.

    On Windows the file must not be deleted while it is open, nor the folder that it is in moved.

    Args:
        descriptor: Of a file that is open for writing, at its beginning.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # one byte, which need not be there
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # flock's word for it, and msvcrt's
        return False
    return True
