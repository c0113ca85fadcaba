"""Threads that take work in turn, some of which may hang in a read."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Self, TypeAlias

JOIN_SECONDS = 2.0
"""How long closing waits for threads; those that still work then end with the process."""

Work: TypeAlias = Callable[[], bool]
"""What a thread does; False: another thread is here in its place meanwhile, and it may go."""


class Pool:
    """Daemon threads: the interpreter does not wait for one that hangs.

    Args:
        size: How many work at a time.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._urgent: deque[Work] = deque()
        self._threads: list[threading.Thread] = []
        for _ in range(size):
            self.replace_one()

    def submit(self, work: Work, *, urgent: bool = False) -> None:
        """Queue work; urgent work is done before all that waits."""
        if urgent:
            self._urgent.append(work)
            work = _look  # wakes a thread
        self._work.put(work)

    def replace_one(self) -> None:
        """Start a thread in place of the one that hangs; if that comes back, it goes."""
        thread = threading.Thread(target=self._run, name="scene-batch", daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Drop what has not begun, and let the threads go."""
        try:
            while True:
                self._work.get_nowait()
        except Empty:
            pass
        self._urgent.clear()
        for _ in self._threads:
            self._work.put(None)

    def join(self, until: float) -> None:
        """Wait for them, but not beyond a moment of the monotonic clock."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def __enter__(self) -> Self:
        """Enter: leaving lets the threads go, and waits a little for what they have begun."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self.stop()
        self.join(time.monotonic() + JOIN_SECONDS)

    def _run(self) -> None:
        while True:
            try:
                work: Work | None = self._urgent.popleft()
            except IndexError:
                work = self._work.get()
            if work is None or not work():
                return


def _look() -> bool:
    return True
