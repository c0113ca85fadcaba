"""Rows to standard output as they come: written once, and not to be continued."""

from __future__ import annotations

import errno
import os
import select
import sys
import time
from collections.abc import Sequence
from typing import Self

from scene_batch.errors import OutputError
from scene_batch.outputs.tally import Tally
from scene_batch.records import ImageRef, Row
from scene_batch.tables.schema import to_record_batch
from scene_batch.tables.text_file import json_lines

_LOOK_SECONDS = 0.02


class StreamedOutput:
    """JSON Lines on standard output, each batch at once."""

    durable = False
    """Whether a row that is written is to be kept whatever happens: here it is gone."""
    done: None = None
    thrown_away = ""
    after: ImageRef | None = None

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self.tally = Tally()
        if sys.stdout is None:
            raise OutputError("standard output is closed: --out - has nowhere to write to")
        self._descriptor = sys.stdout.fileno()

    def write(self, rows: Sequence[Row]) -> None:
        """Print rows.

        Raises:
            OutputError: Standard output does not take them.
        """
        # Unbuffered: what a signal breaks off must not wait again for a reader that never comes.
        left = memoryview(json_lines(to_record_batch(rows, self._classes)).encode())
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # whoever shares it made it so
                    _wait_for_room(self._descriptor)
        except BrokenPipeError:  # `| head` is no defect: click ends without a word
            raise
        except OSError as error:
            if sys.platform == "win32" and error.errno == errno.EINVAL:  # its word for the same
                raise BrokenPipeError(errno.EPIPE, error.strerror) from None
            raise OutputError(f"cannot write to standard output: {error.strerror}") from error
        self.tally.add(rows)

    @property
    def rows_saved(self) -> int:
        """Rows that were handed over."""
        return self.tally.rows

    def save(self) -> None:
        """Nothing waits: rows are out as they come."""

    def commit(self, record: str) -> None:
        """All rows are out; the record has no place beside them."""

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def _wait_for_room(descriptor: int) -> None:
    """Wait until a pipe takes more; Windows cannot be asked, its ``select`` knows sockets alone."""
    if sys.platform == "win32":
        time.sleep(_LOOK_SECONDS)
    else:
        select.select([], [descriptor], [])
