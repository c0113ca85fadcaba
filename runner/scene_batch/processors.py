"""How many processors this process may really use: not the host's, the container's."""

from __future__ import annotations

import math
import os
from pathlib import Path

from scene_batch.cgroups import CGROUPS, MINE, folders


def usable_cpus(cgroups: Path = CGROUPS, mine: Path = MINE) -> int:
    """The smaller of the affinity mask and the cgroups' CPU quota, at least 1.

    Both are Linux's: elsewhere these are all processors of the machine.

    ONNX Runtime sizes its thread pool from the host's cores and is blind to quotas
    (onnxruntime#29510).

    Args:
        cgroups: Where the cgroups are mounted.
        mine: Says which of them this process is in.
    """
    allowed = _allowed()
    quotas = [quota for folder in folders("cpu", cgroups, mine) if (quota := _quota(folder))]
    return max(1, min(allowed, math.ceil(min(quotas, default=allowed))))


def _allowed() -> int:
    """The processors of the affinity mask; all of the machine's where Python knows no mask."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


_CPUINFO = Path("/proc/cpuinfo")


def has_bf16(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the processor itself computes in bfloat16; without, it would only be slower."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(_features(cpuinfo))


def has_avx2(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the processor is known to have AVX2."""
    return "avx2" in _features(cpuinfo)


def _features(cpuinfo: Path) -> list[str]:
    """The words that Linux says of the processors; none elsewhere."""
    try:
        return cpuinfo.read_text().split()
    except OSError:
        return []
