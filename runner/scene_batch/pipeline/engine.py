"""Photos, read and decoded ahead of the model: in order, within bounds of number and bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image

from scene_batch.model.predictor import Classified, Predictor
from scene_batch.pipeline.thread_plan import Staff
from scene_batch.pipeline.update import Item
from scene_batch.read_ahead import Room, TimeLimit, prefetch
from scene_batch.records import Decoded, ImageRef, Row, Unreadable
from scene_batch.sources.reading import Fetched, Reader
from scene_batch.tables.run_record import Tally
from scene_batch.threads import Pool

ROOM_BYTES = 128 << 20
"""Of the photos ahead, still encoded."""
UNKNOWN_BYTES = 4 << 20
"""What a photo counts for at least whose size is not known: a line of a list that is a URL."""

_BLOCKS = 2
"""Blocks of memory that Pillow keeps for each thread: what is decoded, and what that becomes."""

Loaded: TypeAlias = Decoded | Row


@dataclass(slots=True)
class _Sizes:
    """What photos of unknown size need: as much as the largest so far."""

    _guess: int = 4 * UNKNOWN_BYTES
    _largest: int = UNKNOWN_BYTES

    def needed(self, item: Item) -> int:
        """Bytes to be held for an item."""
        if not isinstance(item, ImageRef):
            return 0
        return self._guess if item.size_bytes is None else item.size_bytes

    def saw(self, size: int | None) -> None:
        """Learn from a photo that has come."""
        if size is not None:
            self._guess = self._largest = max(self._largest, size)


@dataclass(slots=True)
class _Loading:
    """A photo on its way, and what it took."""

    result: Loaded
    read_seconds: float = 0.0
    decode_seconds: float = 0.0
    retries: int = 0


def load_ahead(  # noqa: PLR0913 - each sizes one thing
    items: Iterator[Item],
    predictor: Predictor,
    reader: Reader,
    tally: Tally,
    *,
    workers: Pool,
    readers: int | None,
    timeout: float,
) -> Generator[Loaded, None, None]:
    """Read and decode photos in order, ahead of the model; rows that stay pass through.

    Args:
        items: Photos, and rows that are known already.
        predictor: What they are decoded for.
        reader: What reads them.
        tally: Where times and retries are counted.
        workers: Threads that decode, and what else they are for.
        readers: Threads that only read, where photos come over a network; None: the workers read.
        timeout: Seconds after which a read that has not come back is given up.
    """

    def fetch(item: Item) -> tuple[Fetched | Row, float]:
        begun = time.perf_counter()
        fetched = reader.read(item) if isinstance(item, ImageRef) else item
        return fetched, time.perf_counter() - begun

    def then(got: tuple[Fetched | Row, float]) -> _Loading:
        fetched, read_seconds = got
        if not isinstance(fetched, Fetched):
            return _Loading(fetched)
        ref, data, retries = fetched
        if isinstance(data, Unreadable):
            return _Loading(data, read_seconds, retries=retries)
        begun = time.perf_counter()
        photo = predictor.decode(ref, data)
        return _Loading(photo, read_seconds, time.perf_counter() - begun, retries)

    def late(item: Item) -> _Loading:
        ref = item if isinstance(item, ImageRef) else item.ref
        return _Loading(Unreadable(ref, "timeout", f"no answer within {timeout:g} s"), timeout)

    def listed() -> Iterator[Item]:
        while True:
            begun = time.perf_counter()
            item = next(items, None)
            tally.seconds["list"] += time.perf_counter() - begun
            if item is None:
                return
            yield item

    # Pillow keeps the memory of a photo for the next one, instead of giving it back and asking the
    # system for the same pages again: a fifth of the time of a small photo.
    if "PILLOW_BLOCKS_MAX" not in os.environ:
        Image.core.set_blocks_max(_BLOCKS * workers.size)  # type: ignore[attr-defined]
    sizes = _Sizes()
    loaded = prefetch(
        fetch,
        listed(),
        workers=workers,
        depth=predictor.session.photos_ahead + max(workers.size, readers or 0),
        then=then,
        readers=readers,
        room=Room(ROOM_BYTES, sizes.needed),
        limit=TimeLimit(timeout, late),
    )
    with closing(loaded):
        for photo in loaded:
            tally.seconds["read"] += photo.read_seconds
            tally.seconds["decode"] += photo.decode_seconds
            tally.retries += photo.retries
            sizes.saw(photo.result.ref.size_bytes)
            yield photo.result


def classify_ahead(  # noqa: PLR0913 - each a part of a run
    items: Iterator[Item],
    predictor: Predictor,
    reader: Reader,
    tally: Tally,
    staff: Staff,
    *,
    timeout: float,
) -> Generator[Classified, None, None]:
    """Read, decode and classify photos in order, batch after batch, with the threads of a run.

    Args:
        items: Photos, and rows that are known already.
        predictor: The model, ready.
        reader: What reads them.
        tally: Where times and retries are counted.
        staff: Which threads do what.
        timeout: Seconds after which a read that has not come back is given up.
    """
    with (
        Pool(staff.workers) as pool,
        closing(
            load_ahead(
                items,
                predictor,
                reader,
                tally,
                workers=pool,
                readers=staff.readers,
                timeout=timeout,
            )
        ) as photos,
        closing(predictor.rows(photos, pool if staff.shared else None)) as results,
    ):
        for result in results:
            tally.seconds["infer"] += result.seconds
            yield result
