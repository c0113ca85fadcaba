"""Work in daemon threads: a single call, or a pool whose hanging threads can be replaced."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Self, TypeAlias, TypeVar

Result = TypeVar("Result")
Work: TypeAlias = Callable[[], None]

JOIN_SECONDS = 2.0
"""How long leaving a pool waits for its threads; one that is still busy ends with the process."""


def begin(call: Callable[[], Result]) -> Future[Result]:
    """Run a call in a thread of its own, so that signals are served while the caller waits."""
    future: Future[Result] = Future()
    work = partial(fulfil, future, call)
    threading.Thread(target=work, name="scene-batch-call", daemon=True).start()
    return future


def fulfil(future: Future[Result], call: Callable[[], Result]) -> None:
    """Call, and give the future the result or the exception; do nothing if it was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - raised where the result is taken
        future.set_exception(error)
    else:
        future.set_result(result)


class Pool:
    """``size`` daemon threads: the interpreter does not wait for one that hangs."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a pool needs at least 1 thread, not {size}")
        self.size = size
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._urgent: deque[Work] = deque()
        self._threads: list[threading.Thread] = []
        self._replaced: set[threading.Thread] = set()
        for _ in range(size):
            self._start_one()

    def submit(self, call: Callable[[], Result], *, urgent: bool = False) -> Future[Result]:
        """Queue a call; an urgent one goes before all others."""
        future: Future[Result] = Future()
        self.put(partial(fulfil, future, call), urgent=urgent)
        return future

    def put(self, work: Work, *, urgent: bool = False) -> None:
        """Queue work that raises nothing and returns nothing."""
        if urgent:
            self._urgent.append(work)
            work = _wake
        self._work.put(work)

    def replace(self, thread: threading.Thread) -> None:
        """Start a thread instead of one that hangs, which ends if it ever comes back.

        Raises:
            RuntimeError: The system cannot start another thread.
        """
        self._start_one()
        self._replaced.add(thread)

    def stop(self) -> None:
        """Drop the work that has not begun, and let the threads end."""
        with suppress(Empty):
            while True:
                self._work.get_nowait()
        self._urgent.clear()
        for _ in self._threads:
            self._work.put(None)

    def join(self, until: float) -> None:
        """Wait for the threads, at most until a time of the monotonic clock, in seconds."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the threads, and wait a little for the work that they have begun."""
        self.stop()
        self.join(time.monotonic() + JOIN_SECONDS)

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._run, name="scene-batch", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run(self) -> None:
        this = threading.current_thread()
        while this not in self._replaced:
            try:
                work: Work | None = self._urgent.popleft()
            except IndexError:
                work = self._work.get()
            if work is None:
                return
            work()
            del work  # it may hold a photo, which is not needed while waiting for more work


def _wake() -> None:
    """Do nothing: the thread that takes this looks for urgent work next."""
