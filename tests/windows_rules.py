"""Windows' rules for files, laid upon Linux: what it lacks is gone, what it refuses is refused.

Only rules that Linux would forgive: no file is deleted or moved while it is open, nor a folder with
an open file in it, no folder is opened, and only what is open for writing can be synced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

_LK_NBLCK = 2


def lay_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep to these rules until the end of the test."""
    monkeypatch.setattr(sys, "platform", "win32")
    for name in ("fcntl", "resource"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(
        sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=_LK_NBLCK, locking=_locking)
    )
    for name in ("pathconf", "sched_getaffinity", "uname", "O_NONBLOCK", "O_CLOEXEC"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    monkeypatch.setattr(select, "select", _no_sockets)
    monkeypatch.setattr(shutil, "rmtree", _rmtree)
    for name in ("unlink", "rmdir", "rename", "replace"):
        monkeypatch.setattr(os, name, _closed_first(getattr(os, name), name))
    monkeypatch.setattr(os, "open", _no_folders(os.open))
    monkeypatch.setattr(os, "fsync", _writable(os.fsync))


def _locking(descriptor: int, mode: int, count: int) -> None:
    """``msvcrt.locking``: refused with another error than ``flock``."""
    assert (mode, count) == (_LK_NBLCK, 1)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


def _no_sockets(*_: object) -> None:
    raise OSError(errno.ENOTSOCK, "an operation was attempted on something that is not a socket")


def _rmtree(folder: Any, **_: Any) -> None:
    """``shutil.rmtree`` with ``ignore_errors``: on Linux it opens folders."""
    for inside, folders, files in os.walk(folder, topdown=False):
        for delete, names in ((os.unlink, files), (os.rmdir, folders)):
            for name in names:
                with suppress(OSError):
                    delete(f"{inside}/{name}")
    with suppress(OSError):
        Path(folder).rmdir()


def _closed_first(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    def refusing(path: Any, *more: Any, **options: Any) -> Any:
        for touched in (path, *more):
            if _open_files(touched):
                raise PermissionError(errno.EACCES, f"{name} of what is open", os.fspath(path))
        if name == "rename" and os.path.lexists(more[0]):
            raise FileExistsError(errno.EEXIST, "there is one already", os.fspath(more[0]))
        return real(path, *more, **options)

    return refusing


def _open_files(path: Any) -> list[str]:
    """What this process has open of a file, or of what is in a folder."""
    inside = os.path.realpath(path)
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            names.append(os.fspath(link.readlink()))
    return [name for name in names if name == inside or name.startswith(f"{inside}/")]


def _no_folders(real: Callable[..., int]) -> Callable[..., int]:
    def refusing(path: Any, *more: Any, **options: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return real(path, *more, **options)

    return refusing


def _writable(real: Callable[[int], None]) -> Callable[[int], None]:
    def refusing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(descriptor)

    return refusing
