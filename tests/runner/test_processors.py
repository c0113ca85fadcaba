"""Threads are those that the container may use, and a processor says what it computes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from scene_batch import processors


@pytest.mark.parametrize(
    ("files", "usable"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "3200000 100000\n"}, 8),
        ({"cpu.max": "garbage"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        # A service in a slice, each with a quota of its own: the tighter one counts.
        ({"mine": "0::/a/b\n", "a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2),
        ({"mine": "0::/a/b\n", "a/cpu.max": "400000 100000", "a/b/cpu.max": "50000 100000"}, 1),
        ({"mine": "0::/other\n", "a/cpu.max": "200000 100000"}, 8),
        (
            {
                "mine": "4:memory:/m\n3:cpu,cpuacct:/c\n",
                "cpu,cpuacct/c/cpu.cfs_quota_us": "500000",
                "cpu,cpuacct/c/cpu.cfs_period_us": "100000",
            },
            5,
        ),
        (
            {
                "mine": "3:cpuacct,cpu:/c\n",
                "cpu/c/cpu.cfs_quota_us": "500000",
                "cpu/c/cpu.cfs_period_us": "100000",
            },
            5,
        ),
    ],
)
def test_threads_follow_the_containers_quota(
    files: dict[str, str], usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert processors.usable_cpus(tmp_path, tmp_path / "mine") == usable


def test_a_processor_says_whether_it_has_bf16(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    for flags, has in (("fpu avx512_bf16 sse", True), ("fpu avx2 sse", False)):
        cpuinfo.write_text(f"processor : 0\nflags : {flags}\n")
        assert processors.has_bf16(cpuinfo) is has
    assert not processors.has_bf16(tmp_path / "none")
