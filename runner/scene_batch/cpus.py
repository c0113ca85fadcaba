"""How many processors this process may really use: not the host's, the container's."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cpus(cgroups: Path = _CGROUPS) -> int:
    """The smaller of the affinity mask and the cgroup's CPU quota, at least 1.

    ONNX Runtime sizes its thread pool from the host's cores and is blind to quotas
    (onnxruntime#29510).
    """
    allowed = len(os.sched_getaffinity(0))
    quota = _quota_v2(cgroups) or _quota_v1(cgroups)
    return max(1, min(allowed, math.ceil(quota))) if quota else allowed


def _quota_v2(cgroups: Path) -> float | None:
    """``cpu.max`` holds "QUOTA PERIOD" in microseconds, or "max PERIOD" (kernel: cgroup-v2)."""
    try:
        quota, period = (cgroups / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1(cgroups: Path) -> float | None:
    """``cpu.cfs_quota_us`` is -1 without a quota (kernel: sched-bwc)."""
    try:
        quota = int((cgroups / "cpu" / "cpu.cfs_quota_us").read_text())
        period = int((cgroups / "cpu" / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError):
        return None


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor itself computes in bfloat16; without, it would only be slower."""
    try:
        words = cpuinfo.read_text().split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)
