"""Results in the order of their items, begun ahead within bounds of number and size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEW, _NAP_SECONDS = 8, 0.002
"""With more items ahead than that, waiting ends when half of them are done, or after so long: the
caller is not woken for each."""


@dataclass(frozen=True, slots=True)
class Room(Generic[Item]):
    """What items ahead may need together; one that alone needs more still has its turn."""

    most: int
    needs: Callable[[Item], int]


def read_ahead(
    begin: Callable[[Item], Future[Result]],
    items: Iterable[Item],
    *,
    depth: int,
    room: Room[Item] | None = None,
) -> Generator[Result, None, None]:
    """Yield the result of ``begin(item)`` for each item in order, begun up to ``depth`` ahead.

    ``items`` is drawn from in the caller's thread, never more than ``depth`` beyond what was
    yielded, so memory is bounded by ``depth`` results, and by ``room``. Closing the iterator early
    cancels what has not begun.

    Args:
        begin: Begins the work for an item in another thread.
        items: Drawn from as results are taken.
        depth: Items ahead, from 1.
        room: What the items ahead may need together; None: as much as they need.

    Raises:
        Exception: Whatever an item's work or ``items`` raised, at its place in the order.
    """
    if depth < 1:
        raise ValueError(f"need a depth of at least 1, got {depth}")
    source = _Source(iter(items), room)
    ahead: deque[tuple[Future[Result], int]] = deque()
    needed = 0
    try:
        while True:
            while len(ahead) < depth and source.has_next(needed if ahead else None):
                item, needs = source.take()
                ahead.append((begin(item), needs))
                needed += needs
            if not ahead:
                source.check()
                return
            if len(ahead) > _FEW and not ahead[0][0].done():
                with suppress(TimeoutError, CancelledError):
                    ahead[len(ahead) // 2][0].exception(_NAP_SECONDS)
            yield ahead[0][0].result()
            needed -= ahead.popleft()[1]
    finally:
        for future, _ in ahead:
            future.cancel()


class _Source(Generic[Item]):
    """Items one by one, the next of them looked at before it is taken."""

    def __init__(self, items: Iterator[Item], room: Room[Item] | None) -> None:
        self._items, self._room = items, room
        self._next: Any = _NOT_DRAWN
        self._needs = 0
        self._failure: Exception | None = None

    def has_next(self, needed: int | None) -> bool:
        """Whether there is an item, and room for it beside ``needed``; None: nothing is ahead."""
        if self._next is _NOT_DRAWN:
            try:
                self._next = next(self._items, _END)
            except Exception as error:  # noqa: BLE001 - raised when those before it were yielded
                self._failure, self._next = error, _END
            if self._room and self._next is not _END:
                self._needs = self._room.needs(self._next)
        if self._next is _END:
            return False
        return needed is None or not self._room or needed + self._needs <= self._room.most

    def take(self) -> tuple[Item, int]:
        """The item that was looked at, and what it needs."""
        item, self._next = self._next, _NOT_DRAWN
        return item, self._needs

    def check(self) -> None:
        """Raise at the end what the items raised."""
        if self._failure is not None:
            raise self._failure


_NOT_DRAWN: Any = object()
_END: Any = object()
