"""Ordered, bounded read-ahead over threads, some of which may hang."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from scene_batch.errors import HungReadsError
from scene_batch.task import Task, Watch
from scene_batch.threads import Pool

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEW, _NAP_SECONDS = 8, 0.002
"""With more items ahead than that, waiting ends when half of them are done, or after so long: the
caller is not woken for each."""


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
    workers: int | Pool,
    depth: int,
    then: Callable[[Any], Result] = lambda fetched: fetched,
    readers: int | None = None,
    room: Room[Item] | None = None,
    limit: TimeLimit[Item, Result] | None = None,
    urgent: bool = False,
) -> Generator[Result, None, None]:
    """Yield ``then(fetch(item))`` for each item in order, computed up to ``depth`` items ahead.

    ``items`` is drawn from in the caller's thread, never more than ``depth`` beyond what was
    yielded, so memory is bounded by ``depth`` results, and by ``room``. Closing the iterator early
    drops what has not begun and waits a little for what has.

    Args:
        fetch: May hang; the time limit is for it alone.
        items: Drawn from as results are taken.
        workers: So many threads, or those of a pool that others use, too.
        depth: Items ahead, at least as many as there are threads that fetch.
        then: What follows, and may take its time.
        readers: Threads that only fetch, so that no worker waits; None: the workers do both.
        room: What the items ahead may need together; None: as much as they need.
        limit: The time limit of ``fetch``; a thread that exceeds it is left alone and replaced,
            whatever the caller waits for meanwhile.
        urgent: Whether this goes before what else a shared pool has to do.

    Raises:
        HungReadsError: As many calls of ``fetch`` hang at once as there are threads for it.
        Exception: Whatever ``fetch``, ``then`` or ``items`` raised, at its place in the order.
    """
    number = workers.size if isinstance(workers, Pool) else workers
    fetching = number if readers is None else readers
    if min(number, fetching) < 1 or depth < fetching:
        raise ValueError(
            f"need 1 <= workers, 1 <= readers <= depth, got {workers=}, {readers=}, {depth=}"
        )
    with ExitStack() as pools:
        pool = workers if isinstance(workers, Pool) else pools.enter_context(Pool(workers))
        reading = pool if readers is None else pools.enter_context(Pool(readers))

        def submit(task: Task) -> None:
            reading.submit(read(task), urgent=urgent)

        def read(task: Task) -> Callable[[], bool]:
            def work() -> bool:
                if task.fetch(fetch):
                    if reading is pool:
                        task.finish(then)
                    else:
                        pool.submit(lambda: task.finish(then), urgent=urgent)
                return not task.late

            return work

        ahead = _Ahead(submit, iter(items), depth, room)
        if limit:
            pools.enter_context(Watch(ahead.tasks, reading, limit.seconds))
        pools.enter_context(ahead)  # is left before the watch, which gives up what it left behind
        hung: list[Task] = []
        while task := ahead.next():
            if task.wait():
                yield task.take()
            elif limit:
                hung = [other for other in [*hung, task] if other.hangs]
                yield limit.late(task.item)
                if len(hung) >= fetching:
                    raise HungReadsError(
                        f"{len(hung)} reads have not answered for {limit.seconds:g} s each:"
                        " check the disk or the network; the same command continues"
                    )
            ahead.done()


class _Ahead(Generic[Item]):
    """The tasks that were begun and not yet yielded, in order."""

    def __init__(
        self,
        submit: Callable[[Task], None],
        items: Iterator[Item],
        depth: int,
        room: Room[Item] | None,
    ) -> None:
        self._submit, self._items, self._depth, self._room = submit, items, depth, room
        self._tasks: deque[Task] = deque()
        self._drawn: Task | None = None
        self._needed = 0
        self._failure: Exception | None = None

    def next(self) -> Task | None:
        """The first of them, once those behind it are begun as far as is allowed."""
        while len(self._tasks) < self._depth:
            if self._drawn is None:
                item = self._draw()
                if item is _END:
                    break
                self._drawn = Task(item, self._room.needs(item) if self._room else 0)
            if self._tasks and self._room and self._needed + self._drawn.needs > self._room.most:
                break
            self._needed += self._drawn.needs
            self._tasks.append(self._drawn)
            self._submit(self._drawn)
            self._drawn = None
        if not self._tasks and self._failure is not None:
            raise self._failure
        if len(self._tasks) > _FEW and not self._tasks[0].is_done:
            self._tasks[len(self._tasks) // 2].wait_for(_NAP_SECONDS)
        return self._tasks[0] if self._tasks else None

    def __enter__(self) -> Self:
        """Enter: leaving drops what has not begun."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        for task in self._tasks:
            task.dropped = True

    def tasks(self) -> list[Task]:
        """All that was begun and not yet yielded; for another thread, too."""
        try:
            return list(self._tasks)
        except RuntimeError:  # the caller has just taken one: next time
            return []

    def _draw(self) -> Any:  # noqa: ANN401 - any item
        """The next item; what is raised instead waits until those before it were yielded."""
        if self._failure is None:
            try:
                return next(self._items, _END)
            except Exception as error:  # noqa: BLE001 - raised by next
                self._failure = error
        return _END

    def done(self) -> None:
        """Make room: the first of them was yielded."""
        self._needed -= self._tasks.popleft().needs


_END: Any = object()
