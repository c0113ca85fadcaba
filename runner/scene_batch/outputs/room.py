"""A disk that is nearly full is said before the work, not in the middle of the night."""

from __future__ import annotations

import shutil
from pathlib import Path

from scene_batch.errors import OutputError

LEAST_FREE = 16 << 20
"""Bytes that must be free: some hundred thousand rows, parts and table together."""


def free(folder: Path) -> int | None:
    """Bytes that may still be written there; None where the system does not say."""
    try:
        disk = shutil.disk_usage(folder)
    except OSError:
        return None
    return disk.free if disk.total else None  # some network disks say 0 of 0


def refuse_full_disk(folder: Path) -> None:
    """Refuse a folder on a disk that has hardly any room left.

    Raises:
        OutputError: It has less than ``LEAST_FREE``.
    """
    room = free(folder)
    if room is not None and room < LEAST_FREE:
        raise OutputError(
            f"the disk of {str(folder)!r} has {room // 10**6} MB left, and a run needs"
            f" {LEAST_FREE // 10**6} at least; make room, or name another folder in --out"
        )
