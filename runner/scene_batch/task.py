"""One item on its way through the threads, and what gives it up when its fetch hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self

from scene_batch.threads import Pool

_GIVING_UP = threading.Lock()
"""Held while a read comes back or is given up, whichever is first."""
_STOPPED_SECONDS = 1.0
"""A look that is so much later than it should be: the whole process stood still (SIGSTOP, a paused
container), and what was on its way has all of its time anew."""


class Task:
    """One item on its way through the threads."""

    __slots__ = (
        "_begun",
        "_error",
        "_finished",
        "_value",
        "dropped",
        "fetched",
        "item",
        "late",
        "needs",
    )

    def __init__(self, item: Any, needs: int) -> None:  # noqa: ANN401 - any item
        self.item = item
        self.needs = needs
        self.fetched = self.late = self.dropped = False
        self._begun: float | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self._finished = threading.Lock()  # lighter than an Event; held until the end
        self._finished.acquire()

    @property
    def hangs(self) -> bool:
        """Whether it was given up and has still not come back."""
        return self.late and not self.fetched

    def fetch(self, fetch: Callable[[Any], Any]) -> bool:
        """Begin, in a thread; False when nothing follows."""
        self._begun = time.monotonic()  # first: who drops it looks at that afterwards
        if not self.dropped:
            try:
                self._value = fetch(self.item)
            except BaseException as error:  # noqa: BLE001 - raised where it is taken
                self._error = error
        with _GIVING_UP:
            self.fetched = True
            if self.late or self.dropped:  # nobody waits for it any more
                self._value = None
                return False
        if self._error is not None:
            self._finished.release()
            return False
        return True

    def is_overdue(self, begun_by: float) -> bool:
        """Whether ``fetch`` began before a moment and has not come back."""
        return not self.fetched and self._begun is not None and self._begun <= begun_by

    def give_up(self) -> bool:
        """Wait no longer for ``fetch``; False where it has come back after all."""
        with _GIVING_UP:
            if self.late or self.fetched:
                return False
            self.late = True
        self._finished.release()
        return True

    def finish(self, then: Callable[[Any], Any]) -> bool:
        """End, in the same thread or another."""
        if not self.dropped:
            try:
                self._value = then(self._value)
            except BaseException as error:  # noqa: BLE001 - raised where it is taken
                self._error = error
            self._finished.release()
        return True

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""
        return not self._finished.locked()

    def wait_for(self, seconds: float) -> None:
        """Wait until it is done, but not longer."""
        if self._finished.acquire(timeout=seconds):
            self._finished.release()

    def wait(self) -> bool:
        """Wait until it is done; False when it was given up."""
        self._finished.acquire()
        return not self.late

    def take(self) -> Any:  # noqa: ANN401 - any result
        """Its result, or what it raised."""
        if self._error is not None:
            raise self._error
        return self._value


class Watch:
    """Gives up what takes too long, and starts a thread in its place.

    The caller cannot: it may itself be waiting for what only these threads do. On leaving, all that
    still fetches is given up, since others may need the pool.

    Args:
        tasks: Says which are on their way; called in a thread of its own.
        pool: The threads that fetch.
        seconds: How long a task's ``fetch`` may take.
    """

    def __init__(self, tasks: Callable[[], Sequence[Task]], pool: Pool, seconds: float) -> None:
        self._tasks, self._pool, self._seconds = tasks, pool, seconds
        self._over = threading.Event()
        self._owed = 0
        self._thread = threading.Thread(target=self._run, name="scene-batch-watch", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()
        self._give_up(time.monotonic())

    def _run(self) -> None:
        wait, looked = min(1.0, self._seconds / 8), time.monotonic()
        since = looked
        while not self._over.wait(wait):
            before, looked = looked, time.monotonic()
            if looked - before > wait + _STOPPED_SECONDS:
                since = looked
            if looked - self._seconds > since:
                self._give_up(looked - self._seconds)

    def _give_up(self, begun_by: float) -> None:
        self._owed += sum(task.give_up() for task in self._tasks() if task.is_overdue(begun_by))
        with suppress(RuntimeError):  # the system has no thread to spare: at the next look
            while self._owed:
                self._pool.replace_one()
                self._owed -= 1
