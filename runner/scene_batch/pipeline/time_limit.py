"""Reads and decodes that take too long: given up after a time limit, their threads replaced."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Self, TypeVar

from scene_batch.errors import HungReadsError
from scene_batch.model.attempt import Attempt
from scene_batch.read_ahead import Room, read_ahead
from scene_batch.threads import Future, Pool

Item = TypeVar("Item")
Result = TypeVar("Result")

_STOPPED_SECONDS = 1.0
"""If a look at the threads comes so much too late, the whole process stood still (SIGSTOP, a paused
container), and every time limit begins anew."""


class _Photo(Generic[Item, Result]):
    """An item that is being read or decoded, or waits for it, and its future result."""

    __slots__ = ("attempt", "came_back", "given_up", "item", "read", "result")

    def __init__(self, item: Item, result: Future[Result]) -> None:
        self.item = item
        self.read: Any = None
        """What reading it gave."""
        self.result = result
        self.attempt = Attempt()
        """To decode it."""
        self.given_up = self.came_back = False
        """Whether its read was, and whether it came back after that."""


@dataclass(frozen=True, slots=True)
class Step:
    """One of the two things that are done with an item, in threads, within a time limit."""

    do: Callable[[Any, Attempt], Any]
    """Reading: the item to what is decoded; decoding: that to the result."""
    late: Callable[[Any], Any]
    """The result where it was given up, from what ``do`` was given."""
    seconds: float
    """The time limit; decoding has time while ``Attempt.since`` says so."""
    threads: Pool
    """Reading and decoding in the same threads, one does both for an item."""


class LimitedWork(Generic[Item, Result]):
    """Reads items in threads, and decodes them, each within its time limit.

    Another thread watches the time, since the caller may be waiting for these threads. Leaving
    gives up all reads that still go on, since other callers may need the threads.

    As many reads that hang as there are threads are an ill storage, and raise. Decodes that were
    given up end by themselves: while as many of them go on as there are threads, those after them
    may take longer.
    """

    def __init__(self, reading: Step, decoding: Step) -> None:
        self._reading, self._decoding = reading, decoding
        # Its own thread and the one that gives it up both try to take a photo out: the first wins.
        self._reads: dict[_Photo[Item, Result], tuple[threading.Thread, float]] = {}
        self._decodes: dict[_Photo[Item, Result], threading.Thread] = {}
        self._left: set[_Photo[Item, Result]] = set()
        """Whose decodes were given up and still go on."""
        self._to_replace: list[tuple[Pool, threading.Thread]] = []
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, name="scene-batch-limit", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch the time."""
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give up all reads that still go on, and let decodes end soon."""
        self._over.set()
        self._looking.join()
        self._give_up_reads(begun_by=time.monotonic())
        for photo in self._decodes.copy():
            photo.attempt.given_up = True

    def results(
        self, items: Iterable[Item], *, depth: int, room: Room[Item] | None
    ) -> Generator[Result, None, None]:
        """Yield the items' results in order, read ahead within bounds (see ``read_ahead``).

        Raises:
            HungReadsError: As many reads hang at once as there are threads that read.
            Exception: Whatever a step or ``items`` raised, after the results before it.
        """
        begun: deque[_Photo[Item, Result]] = deque()
        hanging: list[_Photo[Item, Result]] = []
        threads = self._reading.threads

        def begin(item: Item) -> Future[Result]:
            photo: _Photo[Item, Result] = _Photo(item, Future())
            begun.append(photo)
            threads.put(partial(self._read, photo))
            return photo.result

        ahead = read_ahead(begin, items, depth=depth, room=room)
        with closing(ahead):
            for result in ahead:
                photo = begun.popleft()
                if photo.given_up:
                    hanging.append(photo)
                hanging = [photo for photo in hanging if not photo.came_back]
                yield result
                if len(hanging) >= threads.size:
                    raise HungReadsError(len(hanging), self._reading.seconds)

    def begin(self, item: Item, result: Future[Result]) -> None:
        """Begin one item, whose result is told where it waits, in no order."""
        self._reading.threads.put(partial(self._read, _Photo(item, result)))

    def _read(self, photo: _Photo[Item, Result]) -> None:
        """Read, in a thread that reads."""
        if photo.result.cancelled:
            return
        failure: BaseException | None = None
        self._reads[photo] = threading.current_thread(), time.monotonic()
        try:
            photo.read = self._reading.do(photo.item, photo.attempt)
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            failure = error
        if self._reads.pop(photo, None) is None:
            photo.came_back = True  # too late: it was given up
            photo.read = None
        elif failure is not None:
            photo.result.set_exception(failure)
        elif self._decoding.threads is self._reading.threads:
            self._decode(photo)
        else:
            self._decoding.threads.put(partial(self._decode, photo))

    def _decode(self, photo: _Photo[Item, Result]) -> None:
        """Decode, in a thread that decodes."""
        if photo.result.cancelled:
            return
        failure: BaseException | None = None
        result: Any = None
        self._decodes[photo] = threading.current_thread()
        try:
            result = self._decoding.do(photo.read, photo.attempt)
        except BaseException as error:  # noqa: BLE001 - raised where the result is taken
            failure = error
        if self._decodes.pop(photo, None) is None:
            self._left.discard(photo)  # too late: it was given up
        elif failure is not None:
            photo.result.set_exception(failure)
        else:
            photo.result.set_result(result)
        photo.read = None

    def _look(self) -> None:
        """Look now and then at the threads, and give up what takes too long."""
        limits = self._reading.seconds, self._decoding.seconds
        wait, looked = min(1.0, min(limits) / 8), time.monotonic()
        since = looked
        while not self._over.wait(wait):
            before, looked = looked, time.monotonic()
            if looked - before > wait + _STOPPED_SECONDS:
                since = looked
            for seconds, give_up in zip(
                limits, (self._give_up_reads, self._give_up_decodes), strict=True
            ):
                if looked - seconds > since:
                    give_up(begun_by=looked - seconds)
            self._replace()

    def _give_up_reads(self, *, begun_by: float) -> None:
        for photo, (thread, begun) in self._reads.copy().items():
            if begun <= begun_by and self._reads.pop(photo, None) is not None:
                photo.given_up = True
                self._to_replace.append((self._reading.threads, thread))
                photo.result.set_result(self._reading.late(photo.item))
        self._replace()

    def _give_up_decodes(self, *, begun_by: float) -> None:
        for photo, thread in self._decodes.copy().items():
            since, read = photo.attempt.since, photo.read
            if since is None or since > begun_by:
                continue
            if len(self._left) >= self._decoding.threads.size:
                return  # each holds memory and a processor: wait for one of them
            self._left.add(photo)
            if self._decodes.pop(photo, None) is None:
                self._left.discard(photo)
                continue
            photo.attempt.given_up = True
            self._to_replace.append((self._decoding.threads, thread))
            photo.result.set_result(self._decoding.late(read))

    def _replace(self) -> None:
        with suppress(RuntimeError):  # the system cannot start a thread: try again at the next look
            while self._to_replace:
                pool, thread = self._to_replace[-1]
                pool.replace(thread)
                self._to_replace.pop()
