"""With local sources a run speaks to nobody: seen by the system calls of all its threads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support import SCENES, command, process_environment

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def _network_calls(log: Path, *words: str) -> list[str]:
    trace = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(log)]
    done = subprocess.run(
        [*trace, *command(), *words], env=process_environment(), capture_output=True, check=False
    )
    if b"ptrace" in done.stderr:
        pytest.skip("processes may not be traced here")
    return [line for line in log.read_text().splitlines() if "AF_INET" in line]


def test_with_local_sources_there_is_no_call_to_a_network(tmp_path: Path) -> None:
    words = ("run", str(SCENES), "--out", str(tmp_path / "p.parquet"), "--quiet")
    assert _network_calls(tmp_path / "log", *words) == []
    assert (tmp_path / "p.parquet").exists()


def test_a_call_would_be_seen(tmp_path: Path) -> None:
    words = ("run", "http://127.0.0.1:9/a.jpg", "--out", str(tmp_path / "p.csv"))
    assert _network_calls(tmp_path / "log", *words, "--read-timeout", "1") != []
