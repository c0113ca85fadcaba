"""Reads that may hang: each has a time limit, then it is given up and its thread replaced."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from typing import Any, Generic, Self, TypeVar

from scene_batch.errors import HungReadsError
from scene_batch.read_ahead import Room, read_ahead
from scene_batch.threads import Pool, fulfil, settle

Item = TypeVar("Item")
Result = TypeVar("Result")

_STOPPED_SECONDS = 1.0
"""A look that is so much later than it should be: the whole process stood still (SIGSTOP, a paused
container), and what was being read has all of its time anew."""


class _Photo(Generic[Item, Result]):
    """One item on its way."""

    __slots__ = ("item", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Future[Result] = Future()


class LimitedReads(Generic[Item, Result]):
    """Reads items in threads, each within a time limit, and does what follows a read.

    A thread of its own looks after the time: the caller may itself be waiting for what only these
    threads do. On leaving, all that is still being read is given up, since others may need them.

    Args:
        read: May hang; the time limit is for it alone.
        then: What follows a read, and may take its time.
        late: The result of an item whose read was given up.
        readers: The threads that read.
        workers: The threads for what follows; where they are the readers, the same thread goes on.
        seconds: The time limit.
    """

    def __init__(  # noqa: PLR0913 - each a part of the law
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
        # Who takes a photo out first decides: its thread, or the one that gives it up.
        self._reading: dict[_Photo[Item, Result], tuple[threading.Thread, float]] = {}
        self._hanging: set[_Photo[Item, Result]] = set()
        self._to_replace: list[threading.Thread] = []
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, name="scene-batch-limit", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look after the time."""
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give up what is still being read."""
        self._over.set()
        self._looking.join()
        self._give_up(begun_by=time.monotonic())

    def results(
        self, items: Iterable[Item], *, depth: int, room: Room[Item] | None
    ) -> Generator[Result, None, None]:
        """Yield the items' results in order, read ahead within bounds (see ``read_ahead``).

        Raises:
            HungReadsError: As many reads hang at once as there are threads that read.
            Exception: Whatever ``read``, ``then`` or ``items`` raised, at its place in the order.
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
                hanging.append(begun.popleft())
                hanging = [photo for photo in hanging if photo in self._hanging]
                yield result
                if len(hanging) >= self._readers.size:
                    raise HungReadsError(len(hanging), self._seconds)

    def _read(self, photo: _Photo[Item, Result]) -> None:
        """Read, in a thread of the readers."""
        self._reading[photo] = threading.current_thread(), time.monotonic()
        try:
            if photo.result.cancelled():
                return
            following = partial(self._then, self._read_item(photo.item))
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            following = partial(_raise, error)
        finally:
            given_up = self._reading.pop(photo, None) is None
            self._hanging.discard(photo)
        if given_up:
            return
        work = partial(fulfil, photo.result, following)
        if self._workers is self._readers:
            work()
        else:
            self._workers.put(work)

    def _look(self) -> None:
        """Give up, now and then, what takes too long."""
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
            if begun <= begun_by:
                self._hanging.add(photo)
                if self._reading.pop(photo, None) is None:  # it has come back after all
                    self._hanging.discard(photo)
                    continue
                self._to_replace.append(thread)
                settle(photo.result, self._late(photo.item))
        with suppress(RuntimeError):  # the system has no thread to spare: at the next look
            while self._to_replace:
                self._readers.replace(self._to_replace[-1])
                self._to_replace.pop()


def _raise(error: BaseException) -> Any:  # noqa: ANN401 - returns nothing
    raise error
