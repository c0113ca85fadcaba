"""As process 1, which a container's command is, a command ends by SIGTERM like any other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import command, process_environment


def _is_process_one() -> bool:
    words = ["unshare", "--pid", "--fork", "sh", "-c", "echo $$"]
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout == "1\n"


@pytest.mark.skipif(
    not _is_process_one(), reason="needs the right to make a namespace of processes"
)
def test_sigterm_ends_a_command_that_listens_to_no_signals(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    os.mkfifo(config)  # whose end it waits for
    words = ["unshare", "--pid", "--fork", "--kill-child"]
    words += command("run", tmp_path, "--out", tmp_path / "p.csv", "--config", config)
    with subprocess.Popen(words, env=process_environment()) as outside:
        children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
        until = time.monotonic() + 20
        while not children.read_text() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1.0)  # Python has started
        os.kill(int(children.read_text().split()[0]), signal.SIGTERM)
        assert outside.wait(10) == 128 + signal.SIGTERM
