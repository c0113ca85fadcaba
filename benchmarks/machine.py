"""What a benchmark was measured on and how, for the page with its figures."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

_USEFUL = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
"""Features of an x86 processor that decide how fast networks are on it."""


def described() -> str:
    """One paragraph: the machine, the day and the command."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    pairs = [line.partition(":") for line in cpuinfo.splitlines()]
    said = {name.strip(): value.strip() for name, _, value in pairs}
    features = [name for name in _USEFUL if name in said.get("flags", "").split()]
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return (
        f"{len(os.sched_getaffinity(0))} processors ({said.get('model name', platform.machine())};"
        f" {' '.join(features)}), {gigabytes:.0f} GB, Python {platform.python_version()},"
        f" {datetime.now(UTC):%Y-%m-%d}: `python {shlex.join(sys.argv)}`"
    )
