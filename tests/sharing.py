"""What costs time to make, made once for all of pytest's processes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scene_batch.file_lock import lock as try_lock


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder with what ``make`` puts in it, to be looked at alone.

    The first process that asks has it made, another one waits for it. Under pytest-xdist each
    process has a temporary folder of its own inside that of the whole run.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, whole = base / "shared" / name, base / "shared" / f"{name}.whole"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_name(f"{name}.lock").open("w") as lock:
        while not try_lock(lock.fileno()):
            time.sleep(0.1)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
