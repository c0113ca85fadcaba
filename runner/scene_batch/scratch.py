"""Folders in the temporary folder: what a killed process left there, the next one removes."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from scene_batch.file_lock import lock

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What the system says where a disk has no more room, in ``errno``."""

_PREFIX, _LOCK = "scene-batch-", ".lock"


class Scratch:
    """A new folder, to be removed; beside it lies a file that is locked as long as we live."""

    def __init__(self) -> None:
        _remove_of_the_dead()
        while True:
            self._descriptor, self._file = tempfile.mkstemp(prefix=_PREFIX, suffix=_LOCK)
            # Another process may have taken it for a dead one's before it was locked.
            if lock(self._descriptor) and Path(self._file).exists():
                break
            os.close(self._descriptor)
        self.path = Path(self._file.removesuffix(_LOCK))
        self.path.mkdir(mode=0o700)

    def remove(self) -> None:
        """Remove the folder and all in it; a thread may still write into it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)
        with suppress(OSError):
            Path(self._file).unlink()


def _remove_of_the_dead() -> None:
    for file in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*{_LOCK}"):
        with suppress(OSError):
            status = file.lstat()
            ours = not hasattr(os, "getuid") or status.st_uid == os.getuid()
            if not (ours and stat.S_ISREG(status.st_mode)):
                continue
            with file.open("r+b") as opened:
                is_dead = lock(opened.fileno())
                if is_dead:
                    shutil.rmtree(str(file).removesuffix(_LOCK), ignore_errors=True)
            if is_dead:
                file.unlink(missing_ok=True)
