"""Ordered, bounded read-ahead over threads, some of which may hang."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Room(Generic[Item]):
    """How much may be in memory at once; an item that alone is more still has its turn."""

    most: int
    needs: Callable[[Item], int]


def prefetch(  # noqa: PLR0913 - each a part of the law
    fetch: Callable[[Item], Any],
    items: Iterable[Item],
    *,
    workers: int,
    depth: int,
    then: Callable[[Any], Result] = lambda fetched: fetched,
    readers: int | None = None,
    room: Room[Item] | None = None,
    limit: TimeLimit[Item, Result] | None = None,
) -> Generator[Result, None, None]:
    """Yield ``then(fetch(item))`` for each item in order, computed up to ``depth`` items ahead.

    ``items`` is drawn from in the caller's thread, never more than ``depth`` beyond what was
    yielded, so memory is bounded by ``depth`` results, and by ``room``. Closing the iterator early
    drops what has not begun and waits a little for what has.

    Args:
        fetch: May hang; the time limit is for it alone.
        items: Drawn from as results are taken.
        workers: Threads.
        depth: Items ahead, at least as many as there are threads that fetch.
        then: What follows, and may take its time.
        readers: Threads that only fetch, so that no worker waits; None: the workers do both.
        room: What the items ahead may need together; None: as much as they need.
        limit: The time limit of ``fetch``; a thread that exceeds it is left alone and replaced.

    Raises:
        HungReadsError: As many calls of ``fetch`` hang at once as there are threads for it.
        Exception: Whatever ``fetch``, ``then`` or ``items`` raised, at its place in the order.
    """
    fetching = workers if readers is None else readers
    if min(workers, fetching) < 1 or depth < fetching:
        raise ValueError(
            f"need 1 <= workers, 1 <= readers <= depth, got {workers=}, {readers=}, {depth=}"
        )
    pools = _pools(fetch, then, workers, readers)
    ahead = _Ahead(pools[0], iter(items), depth, room)
    hung: list[_Task] = []
    try:
        while task := ahead.next():
            if task.wait(limit.seconds if limit else None):
                yield task.take()
            elif limit:
                pools[0].replace_one()
                hung = [other for other in [*hung, task] if other.hangs]
                yield limit.late(task.item)
                if len(hung) >= fetching:
                    raise HungReadsError(
                        f"{len(hung)} reads have not answered for {limit.seconds:g} s each:"
                        " check the disk or the network; the same command continues"
                    )
            ahead.done(task)
    finally:
        for pool in pools:
            pool.stop()
        until = time.monotonic() + JOIN_SECONDS
        for pool in pools:
            pool.join(until)


def in_thread(call: Callable[[], Result]) -> Result:
    """Call in another thread and wait: signals are served meanwhile, whatever library it is in."""
    results: Generator[Result, None, None]
    results = prefetch(lambda _: call(), [None], workers=1, depth=1)
    with closing(results):
        return next(results)


class _Ahead(Generic[Item]):
    """The tasks that were begun and not yet yielded, in order."""

    def __init__(
        self, pool: _Pool, items: Iterator[Item], depth: int, room: Room[Item] | None
    ) -> None:
        self._pool, self._items, self._depth, self._room = pool, items, depth, room
        self._tasks: deque[_Task] = deque()
        self._drawn: _Task | None = None
        self._needed = 0

    def next(self) -> _Task | None:
        """The first of them, once those behind it are begun as far as is allowed."""
        while len(self._tasks) < self._depth:
            if self._drawn is None:
                item = next(self._items, _END)
                if item is _END:
                    break
                self._drawn = _Task(item, self._room.needs(item) if self._room else 0)
            if self._tasks and self._room and self._needed + self._drawn.needs > self._room.most:
                break
            self._needed += self._drawn.needs
            self._tasks.append(self._drawn)
            self._pool.submit(self._drawn)
            self._drawn = None
        return self._tasks.popleft() if self._tasks else None

    def done(self, task: _Task) -> None:
        """Make room: a task was yielded."""
        self._needed -= task.needs


_END: Any = object()


class _Task:
    """One item on its way through the threads."""

    __slots__ = (
        "_begun",
        "_error",
        "_finished",
        "_value",
        "fetched",
        "item",
        "late",
        "needs",
    )

    def __init__(self, item: Any, needs: int) -> None:  # noqa: ANN401 - any item
        self.item = item
        self.needs = needs
        self.fetched = self.late = False
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
        self._begun = time.monotonic()
        try:
            self._value = fetch(self.item)
        except BaseException as error:  # noqa: BLE001 - raised where it is taken
            self._error = error
        self.fetched = True
        if self.late or self._error is not None:
            self._value = None
            self._finished.release()
            return False
        return True

    def finish(self, then: Callable[[Any], Any]) -> None:
        """End, in the same thread or another."""
        try:
            self._value = then(self._value)
        except BaseException as error:  # noqa: BLE001 - raised where it is taken
            self._error = error
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
        return self._value


def _pools(
    fetch: Callable[[Any], Any], then: Callable[[Any], Any], workers: int, readers: int | None
) -> list[_Pool]:
    """The pool that fetches, and the one that does what follows where that is another."""

    def both(task: _Task) -> None:
        if task.fetch(fetch):
            task.finish(then)

    if readers is None:
        return [_Pool(both, workers)]
    second = _Pool(lambda task: task.finish(then), workers, hangs=False)

    def first(task: _Task) -> None:
        if task.fetch(fetch):
            second.submit(task)

    return [_Pool(first, readers), second]


class _Pool:
    """Daemon threads: the interpreter does not wait for one that hangs in a read."""

    def __init__(self, work: Callable[[_Task], None], threads: int, *, hangs: bool = True) -> None:
        self._work = work
        self._hangs = hangs
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        for _ in range(threads):
            self.replace_one()

    def submit(self, task: _Task) -> None:
        """Queue a task."""
        self._tasks.put(task)

    def replace_one(self) -> None:
        """Start a thread in place of the one that hangs; if that comes back, it goes."""
        thread = threading.Thread(target=self._run, name="scene-batch-read", daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Drop what has not begun, and let the threads go."""
        try:
            while True:
                self._tasks.get_nowait()
        except Empty:
            pass
        for _ in self._threads:
            self._tasks.put(None)

    def join(self, until: float) -> None:
        """Wait for them, but not beyond a moment of the monotonic clock."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._work(task)
            if self._hangs and task.late:  # another thread is here in its place
                return
