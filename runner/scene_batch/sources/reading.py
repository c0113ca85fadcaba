"""The bytes of one photo, wherever its path leads."""

from __future__ import annotations

import os
import stat

from scene_batch.records import ImageRef, Unreadable

MAX_BYTES = 1 << 30
"""The largest encoded photo read into memory."""


def read(ref: ImageRef) -> bytes | Unreadable:
    """Read one photo, or say why it gives a row without a class."""
    try:
        return _read_file(ref)
    except (FileNotFoundError, NotADirectoryError):
        return Unreadable(ref, "missing", "no such file")
    except IsADirectoryError:
        return Unreadable(ref, "not_a_file", "a directory")
    except PermissionError:
        return Unreadable(ref, "permission", "no permission to read it")
    except OSError as error:
        return Unreadable(ref, "fetch_failed", error.strerror or type(error).__name__)
    except ValueError:  # a NUL byte in a list's line
        return Unreadable(ref, "missing", "not a path")


def _read_file(ref: ImageRef) -> bytes | Unreadable:
    # O_NONBLOCK: a FIFO named x.jpg must not hang; regular files do not know the flag.
    with open(ref.path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as f:
        status = os.fstat(f.fileno())
        if not stat.S_ISREG(status.st_mode):
            return Unreadable(ref, "not_a_file", "not a regular file")
        if status.st_size > MAX_BYTES:
            return Unreadable(ref, "too_large", f"{status.st_size} bytes are over {MAX_BYTES}")
        return f.read()
