"""Ordered, bounded read-ahead over threads, some of which may hang."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from scene_batch.errors import HungReadsError

Item = TypeVar("Item")
Result = TypeVar("Result")

JOIN_SECONDS = 2.0
"""How long closing waits for threads; those that still work then end with the process."""


@dataclass(frozen=True, slots=True)
class TimeLimit(Generic[Item, Result]):
    """How long ``fetch`` may take, and what becomes of an item that takes longer."""

    seconds: float
    late: Callable[[Item], Result]


def prefetch(  # noqa: PLR0913 - each a part of the law
    fetch: Callable[[Item], Any],
    items: Iterable[Item],
    *,
    workers: int,
    depth: int,
    then: Callable[[Any], Result] = lambda fetched: fetched,
    limit: TimeLimit[Item, Result] | None = None,
) -> Generator[Result, None, None]:
    """Yield ``then(fetch(item))`` for each item in order, computed up to ``depth`` items ahead.

    ``items`` is drawn from in the caller's thread, never more than ``depth`` beyond what was
    yielded, so memory is bounded by ``depth`` results. Closing the iterator early drops what has
    not begun and waits a little for what has.

    Args:
        fetch: May hang; the time limit is for it alone.
        items: Drawn from as results are taken.
        workers: Threads.
        depth: Items ahead, at least ``workers``.
        then: What follows in the same thread, and may take its time.
        limit: The time limit of ``fetch``; a thread that exceeds it is left alone and replaced.

    Raises:
        HungReadsError: As many calls of ``fetch`` hang at once as there are workers.
        Exception: Whatever ``fetch``, ``then`` or ``items`` raised, at its place in the order.
    """
    if workers < 1 or depth < workers:
        raise ValueError(f"need 1 <= workers <= depth, got workers={workers}, depth={depth}")
    source = iter(items)
    pool = _Pool(fetch, then, workers)
    hung: list[_Task] = []
    try:
        ahead = deque(pool.submit(item) for item in islice(source, depth))
        while ahead:
            task = ahead.popleft()
            if task.wait(limit.seconds if limit else None):
                yield task.take()
            elif limit:
                pool.replace_one()
                hung = [other for other in [*hung, task] if other.hangs]
                yield limit.late(task.item)
                if len(hung) >= workers:
                    raise HungReadsError(
                        f"{len(hung)} reads have not answered for {limit.seconds:g} s each:"
                        " check the disk or the network; the same command continues"
                    )
            ahead.extend(pool.submit(item) for item in islice(source, 1))
    finally:
        pool.close()


class _Task:
    """One item on its way through a worker."""

    __slots__ = ("_begun", "_error", "_finished", "_result", "fetched", "item", "late")

    def __init__(self, item: Any) -> None:  # noqa: ANN401 - any item
        self.item = item
        self.fetched = self.late = False
        self._begun: float | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        self._finished = threading.Lock()  # lighter than an Event; held until the end
        self._finished.acquire()

    @property
    def hangs(self) -> bool:
        """Whether it was given up and has still not come back."""
        return self.late and not self.fetched

    def run(self, fetch: Callable[[Any], Any], then: Callable[[Any], Any]) -> None:
        """Work on it, in a worker."""
        self._begun = time.monotonic()
        try:
            fetched = fetch(self.item)
            self.fetched = True
            if not self.late:
                self._result = then(fetched)
        except BaseException as error:  # noqa: BLE001 - raised where it is taken
            self._error = error
        self.fetched = True
        self._finished.release()

    def wait(self, seconds: float | None) -> bool:
        """Wait until it is done; False when ``fetch`` alone took longer than ``seconds``."""
        if seconds is None:
            return self._finished.acquire()
        while not self._finished.acquire(timeout=self._left(seconds)):
            self.late = not self.fetched and self._left(seconds) <= 0
            if self.late:
                return False
        return True

    def _left(self, seconds: float) -> float:
        """Until it is late; a while where that is not yet known, or no longer matters."""
        if self._begun is None or self.fetched:
            return seconds
        return max(0.0, self._begun + seconds - time.monotonic())

    def take(self) -> Any:  # noqa: ANN401 - any result
        """Its result, or what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class _Pool:
    """Daemon threads: the interpreter does not wait for one that hangs in a read."""

    def __init__(
        self, fetch: Callable[[Any], Any], then: Callable[[Any], Any], workers: int
    ) -> None:
        self._fetch, self._then = fetch, then
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        for _ in range(workers):
            self._start()

    def submit(self, item: Any) -> _Task:  # noqa: ANN401 - any item
        """Queue an item."""
        task = _Task(item)
        self._tasks.put(task)
        return task

    def replace_one(self) -> None:
        """Start a thread in place of the one that hangs; if that comes back, it goes."""
        self._start()

    def close(self) -> None:
        """Drop what has not begun, and let the threads go."""
        try:
            while True:
                self._tasks.get_nowait()
        except Empty:
            pass
        for _ in self._threads:
            self._tasks.put(None)
        until = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="scene-batch-read", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.run(self._fetch, self._then)
            if task.late:
                return
