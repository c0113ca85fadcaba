"""How many processors this process may really use: not the host's, the container's."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUPS, _MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable_cpus(cgroups: Path = _CGROUPS, mine: Path = _MINE) -> int:
    """The smaller of the affinity mask and the cgroups' CPU quota, at least 1.

    Both are Linux's: elsewhere these are all processors of the machine.

    ONNX Runtime sizes its thread pool from the host's cores and is blind to quotas
    (onnxruntime#29510).

    Args:
        cgroups: Where the cgroups are mounted.
        mine: Says which of them this process is in.
    """
    allowed = _allowed()
    quotas = [quota for folder in _folders(cgroups, mine) if (quota := _quota(folder))]
    return max(1, min(allowed, math.ceil(min(quotas, default=allowed))))


def _allowed() -> int:
    """The processors of the affinity mask; all of the machine's where Python knows no mask."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folders(cgroups: Path, mine: Path) -> Iterator[Path]:
    """The process's cgroup and those around it: the tightest quota counts.

    In a container with a namespace of its own the mount is already the container's cgroup.
    """
    try:
        lines = mine.read_text().splitlines()
    except OSError:
        lines = []
    for line in ["0::/", "1:cpu:/", *lines]:  # "number:controllers:path" (cgroups(7))
        if line.count(":") < 2:  # noqa: PLR2004 - as it is split
            continue
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        inside = PurePosixPath("/", path)
        for folder in (inside, *inside.parents):
            for mount in {controllers, controllers and "cpu"}:  # a link, whatever the order there
                yield cgroups / mount / folder.relative_to("/")


def _quota(folder: Path) -> float | None:
    """A cgroup's quota in processors; None where it has none."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()  # "max" is none (cgroup-v2)
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    try:
        used = int((folder / "cpu.cfs_quota_us").read_text())  # -1 is none (sched-bwc)
        return used / int((folder / "cpu.cfs_period_us").read_text()) if used > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor itself computes in bfloat16; without, it would only be slower."""
    try:
        words = cpuinfo.read_text().split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)
