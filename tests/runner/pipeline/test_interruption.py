"""One signal waits for what is held off; a second does not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from support import process_environment


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_waits_for_what_is_held_off_and_a_second_does_not(number: int) -> None:
    code = (
        "import os, sys\n"
        "from scene_batch.pipeline.interruption import Interruption\n"
        "from scene_batch.errors import Interrupted\n"
        "try:\n"
        "    with Interruption() as interruption, interruption.held_off():\n"
        "        for _ in range(int(sys.argv[1])): os.kill(os.getpid(), int(sys.argv[2]))\n"
        "        print('finished', flush=True)\n"
        "except Interrupted as error: sys.exit(error.exit_code)\n"
    )
    for times, said in (("1", b"finished\n"), ("2", b"")):
        done = subprocess.run(
            [sys.executable, "-c", code, times, str(int(number))],
            env=process_environment(),
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (128 + number, said, b"")
