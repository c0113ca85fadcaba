"""What Linux, macOS and Windows do not all have, each with its substitute."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl
    import resource

_LONGEST_NAME = 255
"""Bytes, where the system does not say: what NTFS, APFS and ext4 take, or less."""


def with_slashes(path: str) -> str:
    r"""A path as tables hold it: with ``/``, also where the system's own separator is ``\``."""
    return path.replace("\\", "/") if os.sep == "\\" else path


def read_flags() -> int:
    """How ``os.open`` opens a file to read.

    O_NONBLOCK: a FIFO named x.jpg must not hang; regular files do not know the flag. O_BINARY:
    Windows would change line ends.
    """
    return os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def allowed_cpus() -> int:
    """The processors that this process may run on; all of them where the system cannot say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def longest_name(folder: Path) -> int:
    """Bytes that a name in a folder may have."""
    if sys.platform != "win32" and hasattr(os, "pathconf"):
        return os.pathconf(folder, "PC_NAME_MAX")
    return _LONGEST_NAME


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or the process ends; False: another one has it.

    Raises:
        OSError: The file system knows no locks.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def sync(path: Path) -> None:
    """Make what is written survive a power loss; for a folder, its names.

    Windows opens no folders, and writes only through files that are open for writing.
    """
    flags = os.O_RDONLY
    if sys.platform == "win32":
        if path.is_dir():
            return
        flags = os.O_RDWR
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def allow_many_files() -> None:
    """Raise this process's limit of open files as far as it may; Windows has none to raise."""
    if sys.platform != "win32":
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(ValueError, OSError):  # some systems allow no limit to be named
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
