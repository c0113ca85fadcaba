"""A command that a signal ends says what to do next, and its exit code says which signal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from scene_batch.cli.terminal import complain
from scene_batch.errors import Interrupted
from scene_batch.pipeline.interruption import Interruption


@contextmanager
def ended_by_signals(remedy: str) -> Iterator[Interruption]:
    """Let SIGINT and SIGTERM end what is inside, with 130 or 143.

    Args:
        remedy: What the same command, given again, will do.
    """
    with Interruption() as interruption:
        try:
            yield interruption
        except Interrupted as interrupted:
            complain(f"interrupted; {remedy}")
            sys.exit(interrupted.exit_code)
