"""Where requests meet the threads that classify: one queue, and what comes back from it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from scene_batch.pipeline.engine import Given, Item
from scene_batch.pipeline.live import Answer, Live
from scene_batch.records import ImageRef, Prediction, Row
from scene_batch_serve.problems import overloaded, too_many

FAILURES = 3
"""Calls of the model that fail one after the other before the server says that it is ill."""


class Desk:
    """Hands photos to the threads, for requests of one event loop."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.failures = 0
        """Photos that could not be classified, one after the other, by a fault of the server."""

    @property
    def is_well(self) -> bool:
        """Whether photos can be classified."""
        return self.failures < FAILURES

    async def rows(self, items: Sequence[Item], top_k: int) -> list[Row]:
        """Classify photos; a row for each, in order.

        Raises:
            Problem: There is too much to do, or these would always be too many.
            Exception: What stopped a photo: a defect, or a model that fails.
        """
        if len(items) > self.live.most:
            raise too_many(self.live.most)
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Answer]] = [loop.create_future() for _ in items]
        if not self.live.submit(items, [partial(_tell, loop, f) for f in futures], top_k):
            raise overloaded()
        rows: list[Row] = []
        for answer in await asyncio.gather(*futures):
            if isinstance(answer, BaseException):
                self.failures += 1
                raise answer
            rows.append(answer)
        if any(map(_was_computed, rows)):
            self.failures = 0
        return rows


def _was_computed(row: Row) -> bool:
    return isinstance(row, Prediction) or row.code == "no_answer"


def given(data: bytes) -> Given:
    """A photo whose bytes are here."""
    return Given(ImageRef("<request>", len(data)), data)


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Answer], answer: Answer) -> None:
    """Hand an answer to the request that waits, from another thread."""
    try:
        loop.call_soon_threadsafe(_set, future, answer)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return


def _set(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
