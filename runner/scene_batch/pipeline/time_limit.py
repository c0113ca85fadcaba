"""Reads that may hang: after a time limit, a read is given up and its thread replaced."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from functools import partial
from typing import Any, Generic, Self, TypeVar

from scene_batch.errors import HungReadsError
from scene_batch.read_ahead import Room, read_ahead
from scene_batch.threads import Future, Pool

Item = TypeVar("Item")
Result = TypeVar("Result")

_STOPPED_SECONDS = 1.0
"""If a look at the reads comes so much too late, the whole process stood still (SIGSTOP, a paused
container), and the time limit of every read begins anew."""


class _Photo(Generic[Item, Result]):
    """An item that is being read or waits for it, and its future result."""

    __slots__ = ("came_back", "given_up", "item", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Future[Result] = Future()
        self.given_up = self.came_back = False


class LimitedReads(Generic[Item, Result]):
    """Reads items in threads, each within a time limit, and does what follows a read.

    Another thread watches the time limit, since the caller may be waiting for these threads.
    Leaving gives up all reads that still go on, since other callers may need the threads.

    Args:
        read: May hang; the time limit, ``seconds``, is for it alone.
        then: What follows a read, without a time limit.
        late: Gives the result of an item whose read was given up.
        readers: The threads that read.
        workers: The threads for what follows; if they are the readers, the same thread does it.
        seconds: The time limit.
    """

    def __init__(  # noqa: PLR0913 - each is needed
        self,
        read: Callable[[Item], Any],
        then: Callable[[Any], Result],
        late: Callable[[Item], Result],
        *,
        readers: Pool,
        workers: Pool,
        seconds: float,
    ) -> None:
        self._read_item, self._then, self._late = read, then, late
        self._readers, self._workers, self._seconds = readers, workers, seconds
        # Its own thread and the one that gives it up both try to take a photo out: the first wins.
        self._reading: dict[_Photo[Item, Result], tuple[threading.Thread, float]] = {}
        self._to_replace: list[threading.Thread] = []
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, name="scene-batch-limit", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch the time limit."""
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give up all reads that still go on."""
        self._over.set()
        self._looking.join()
        self._give_up(begun_by=time.monotonic())

    def results(
        self, items: Iterable[Item], *, depth: int, room: Room[Item] | None
    ) -> Generator[Result, None, None]:
        """Yield the items' results in order, read ahead within bounds (see ``read_ahead``).

        Raises:
            HungReadsError: As many reads hang at once as there are threads that read.
            Exception: Whatever ``read``, ``then`` or ``items`` raised, after the results before it.
        """
        begun: deque[_Photo[Item, Result]] = deque()
        hanging: list[_Photo[Item, Result]] = []

        def begin(item: Item) -> Future[Result]:
            photo: _Photo[Item, Result] = _Photo(item)
            begun.append(photo)
            self._readers.put(partial(self._read, photo))
            return photo.result

        ahead = read_ahead(begin, items, depth=depth, room=room)
        with closing(ahead):
            for result in ahead:
                photo = begun.popleft()
                if photo.given_up:
                    hanging.append(photo)
                hanging = [photo for photo in hanging if not photo.came_back]
                yield result
                if len(hanging) >= self._readers.size:
                    raise HungReadsError(len(hanging), self._seconds)

    def _read(self, photo: _Photo[Item, Result]) -> None:
        """Read, in a thread of the readers."""
        if photo.result.cancelled:
            return
        failure: BaseException | None = None
        read: Any = None
        self._reading[photo] = threading.current_thread(), time.monotonic()
        try:
            read = self._read_item(photo.item)
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            failure = error
        if self._reading.pop(photo, None) is None:
            photo.came_back = True  # too late: it was given up
        elif failure is not None:
            photo.result.set_exception(failure)
        else:
            work = partial(photo.result.fulfil, partial(self._then, read))
            if self._workers is self._readers:
                work()
            else:
                self._workers.put(work)

    def _look(self) -> None:
        """Look now and then at the reads, and give up those that take too long."""
        wait, looked = min(1.0, self._seconds / 8), time.monotonic()
        since = looked
        while not self._over.wait(wait):
            before, looked = looked, time.monotonic()
            if looked - before > wait + _STOPPED_SECONDS:
                since = looked
            if looked - self._seconds > since:
                self._give_up(begun_by=looked - self._seconds)

    def _give_up(self, *, begun_by: float) -> None:
        for photo, (thread, begun) in self._reading.copy().items():
            if begun <= begun_by and self._reading.pop(photo, None) is not None:
                photo.given_up = True
                self._to_replace.append(thread)
                photo.result.set_result(self._late(photo.item))
        with suppress(RuntimeError):  # the system cannot start a thread: try again at the next look
            while self._to_replace:
                self._readers.replace(self._to_replace[-1])
                self._to_replace.pop()
