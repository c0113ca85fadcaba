"""Leaves a machine to its other work: no more photos a second than it was told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from scene_batch.records import Row


class Throttle:
    """Holds a run to a number of photos a second, however fast it could be.

    What is lost by waiting for a slow disk is not made up by haste later.

    Args:
        rate: Photos a second; None: as many as it can.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self.waited = 0.0
        """Seconds for which the run was held back."""

    def paced(self, batches: Iterable[list[Row]]) -> Iterator[list[Row]]:
        """Yield batches, and wait behind each as long as its photos may take; a signal ends that.

        Rows of an earlier table count nothing.
        """
        if self._rate is None:
            yield from batches
            return
        due = time.monotonic()
        for rows in batches:
            yield rows
            photos = sum(not row.kept for row in rows)
            due = max(due, time.monotonic() - _REMEMBERED) + photos / self._rate
            wait = max(0.0, due - time.monotonic())
            self.waited += wait
            time.sleep(wait)


_REMEMBERED = 1.0
"""Seconds of its own time that a batch which took longer may catch up."""
