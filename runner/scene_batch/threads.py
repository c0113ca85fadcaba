"""Daemon threads that work in turn and hand back futures; one that hangs can be replaced."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, Self, TypeAlias, TypeVar

Result = TypeVar("Result")
Work: TypeAlias = Callable[[], None]

JOIN_SECONDS = 2.0
"""How long closing waits for threads; those that still work then end with the process."""


class Future(Generic[Result]):
    """The result of a call in another thread.

    One of ``concurrent.futures`` does the same with a condition, several locks and a list of
    callbacks, which cost 3 % of a run with a model of one layer (docs/decisions/012).
    """

    __slots__ = ("_error", "_open", "_value", "cancelled")

    def __init__(self) -> None:
        self._open = threading.Lock()  # held until there is a result
        self._open.acquire()
        self._error: BaseException | None = None
        self._value: Result
        self.cancelled = False

    def cancel(self) -> None:
        """Say that nobody waits any more; what has begun goes on."""
        self.cancelled = True

    def done(self) -> bool:
        """Whether there is a result."""
        return not self._open.locked()

    def wait(self, seconds: float = -1) -> bool:
        """Wait for the result, and serve signals meanwhile; False: it took longer."""
        if self._open.acquire(timeout=seconds):
            self._open.release()
            return True
        return False

    def result(self, seconds: float = -1) -> Result:
        """What the call returned, or raise what it raised.

        Raises:
            TimeoutError: It took longer.
        """
        if not self.wait(seconds):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value

    def fulfil(self, call: Callable[[], Result]) -> None:
        """Make the call, unless nobody waits for it."""
        if self.cancelled:
            return
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            self.set_exception(error)
        else:
            self.set_result(result)

    def set_result(self, result: Result) -> None:
        """Give it its result; once."""
        self._value = result
        self._open.release()

    def set_exception(self, error: BaseException) -> None:
        """Give it what is to be raised instead; once."""
        self._error = error
        self._open.release()


def begin(call: Callable[[], Result]) -> Future[Result]:
    """Begin a call in a thread of its own."""
    future: Future[Result] = Future()
    work = partial(future.fulfil, call)
    threading.Thread(target=work, name="scene-batch-call", daemon=True).start()
    return future


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
        self.put(partial(future.fulfil, call), urgent=urgent)
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
        self._work.put(_wake)  # it may have taken the wake of urgent work that it leaves behind


def _wake() -> None:
    """Do nothing: the thread that takes this looks for urgent work next."""
