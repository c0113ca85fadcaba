"""Work on items ahead in other threads, and yield the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from scene_batch.threads import Future

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEW, _NAP_SECONDS = 8, 0.002
"""With more than ``_FEW`` items ahead, wait for half of them, ``_NAP_SECONDS`` at most, so that the
caller is not woken for each item."""


@dataclass(frozen=True, slots=True)
class Room(Generic[Item]):
    """A limit on what the items ahead need together; an item beyond it goes alone."""

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

    ``items`` is drawn from in the caller's thread, as results are taken. Memory is bounded by
    ``depth`` results, and by ``room``. Closing the iterator early cancels what has not begun.

    Raises:
        Exception: Whatever an item's work or ``items`` raised, after the results before it.
    """
    if depth < 1:
        raise ValueError(f"need a depth of at least 1, got {depth}")
    source = iter(items)
    drawn: list[Item] = []  # holds the next item while there is no room for it
    ahead: deque[tuple[Future[Result], int]] = deque()
    needed, failure = 0, None
    try:
        while True:
            while len(ahead) < depth:
                if not drawn:
                    try:
                        drawn.append(next(source))
                    except StopIteration:
                        break
                    except Exception as error:  # noqa: BLE001 - raised after the results before it
                        failure, source = error, iter(())
                        break
                needs = room.needs(drawn[0]) if room else 0
                if ahead and room and needed + needs > room.most:
                    break
                ahead.append((begin(drawn.pop()), needs))
                needed += needs
            if not ahead:
                break
            if len(ahead) > _FEW and not ahead[0][0].done():
                ahead[len(ahead) // 2][0].wait(_NAP_SECONDS)
            yield ahead[0][0].result()
            needed -= ahead.popleft()[1]
    finally:
        for future, _ in ahead:
            future.cancel()
    if failure is not None:
        raise failure
