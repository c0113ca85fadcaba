"""Ordered, bounded read-ahead over a thread pool."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, depth: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for each item in order, computed up to ``depth`` items ahead.

    ``items`` is drawn from in the caller's thread, never more than ``depth`` beyond what was
    yielded, so memory is bounded by ``depth`` results. Closing the iterator early cancels what
    has not begun and waits for what has: no thread outlives it.

    Raises:
        Exception: Whatever ``function`` or ``items`` raised, at its place in the order.
    """
    if workers < 1 or depth < workers:
        raise ValueError(f"need 1 <= workers <= depth, got workers={workers}, depth={depth}")
    source = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="scene-batch-decode")
    try:
        ahead: deque[Future[Result]] = deque()
        ahead.extend(pool.submit(function, item) for item in islice(source, depth))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(function, item) for item in islice(source, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
