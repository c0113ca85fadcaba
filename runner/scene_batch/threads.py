"""Threads that take work in turn, some of which may hang in a read."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, Self, TypeAlias, TypeVar

Result = TypeVar("Result")

JOIN_SECONDS = 2.0
"""How long closing waits for threads; those that still work then end with the process."""

Work: TypeAlias = Callable[[], bool]
"""What a thread does; False: another thread is here in its place meanwhile, and it may go."""


class Later(Generic[Result]):
    """A call that has begun in a thread; signals are served while its result is waited for."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._done = threading.Event()
        self._value: Result
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="scene-batch-later", daemon=True).start()

    def result(self) -> Result:
        """What the call returned, or what it raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def __enter__(self) -> Self:
        """Enter: leaving waits for the call, which may be in a library that cannot be left."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self._done.wait()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            self._error = error
        self._done.set()


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
