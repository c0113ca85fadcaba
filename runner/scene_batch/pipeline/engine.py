"""Photos to rows, for runs, bench and Classifier alike: in order, and with bounded memory.

::

    items ──> read, decode (time_limit.py) ──Decoded | Unreadable──> batches ──> predict ──> rows
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from PIL import Image

from scene_batch.errors import SceneBatchError
from scene_batch.memory import Budget, PhotoMemory, decoding_budget, photo_memory
from scene_batch.model.attempt import Attempt, Limits
from scene_batch.model.compute_options import MOST
from scene_batch.model.predictor import Predictor
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.thread_plan import ThreadPlan
from scene_batch.pipeline.time_limit import LimitedWork, Step
from scene_batch.read_ahead import Room, read_ahead
from scene_batch.records import Batch, Decoded, ImageRef, Pixels, Row, Unreadable
from scene_batch.sources.reading import Fetched, Reader
from scene_batch.threads import Pool

UNKNOWN_BYTES = 4 << 20
"""Least bytes that are assumed for a photo of unknown size, such as a URL in a list."""
MAX_BATCH_ITEMS = MOST
"""Most items of a batch, where few of them need the model."""

_BLOCKS = 2
"""Blocks of memory that Pillow keeps for each thread: what is decoded, and what is made of that."""
_BLOCKS_SHARE = 8
"""Of the memory for decoding, they are an eighth at most; after large photos each is 16 MiB."""


class Given(NamedTuple):
    """A photo that need not be read: its bytes, or its pixels ``uint8 (height, width, 3)``."""

    ref: ImageRef
    data: bytes | Pixels


Item: TypeAlias = ImageRef | Given | Row
"""A photo to read, one that is given, or a row that stays as it is."""

Got: TypeAlias = tuple[Fetched | Given | Row, float]
"""What reading an item gave, and the seconds it took."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Reads, decodes and classifies photos in the threads of a plan."""

    predictor: Predictor
    reader: Reader
    plan: ThreadPlan
    read_timeout: float
    """Seconds that a read may take."""
    decode_timeout: float = 60.0
    """Seconds that decoding a photo may take, once there is memory for it."""
    memory: PhotoMemory = field(default_factory=photo_memory)
    """What photos may take."""
    budget: Budget = field(default_factory=decoding_budget)
    """Where decoding takes its memory from: one for all runs of a process."""

    def rows(self, items: Iterable[Item], tally: Tally) -> Generator[list[Row], None, None]:
        """Yield the rows of photos, batch after batch, in the order of the items.

        Args:
            items: Drawn from in the caller's thread, as rows are taken.
            tally: Counts times and retries.

        Raises:
            HungReadsError: As many reads hang as there are threads that read.
            Exception: What ``items``, the model or a decoder raised, after the rows before it.
        """
        self.keep_blocks()
        with ExitStack() as stack:
            workers = stack.enter_context(Pool(self.plan.workers))
            readers = stack.enter_context(Pool(self.plan.readers)) if self.plan.readers else workers
            callers = workers if self.plan.shared else stack.enter_context(Pool(self.plan.calls))
            photos = stack.enter_context(closing(self._photos(items, tally, readers, workers)))
            results = stack.enter_context(closing(self._predicted(photos, callers)))
            for rows, seconds in results:
                tally.seconds["infer"] += seconds
                yield rows

    def keep_blocks(self) -> None:
        """Let Pillow keep the memory of a photo for the next: a fifth of a small photo's time."""
        if "PILLOW_BLOCKS_MAX" not in os.environ:
            most = self.memory.decoding // _BLOCKS_SHARE
            most = max(1, most // Image.core.get_block_size())  # type: ignore[attr-defined]
            Image.core.set_blocks_max(min(_BLOCKS * self.plan.workers, most))  # type: ignore[attr-defined]

    def _photos(
        self, items: Iterable[Item], tally: Tally, readers: Pool, workers: Pool
    ) -> Generator[Decoded | Row, None, None]:
        """Read and decode photos in order, ahead of the model; pass rows through."""
        sizes = _Sizes()
        depth = self.predictor.session.photos_ahead + max(readers.size, workers.size)
        with LimitedWork[Item, Loaded](
            Step(self.read, self.read_late, self.read_timeout, readers),
            Step(self.decode, self.decode_late, self.decode_timeout, workers),
        ) as work:
            room = Room(self.memory.ahead, sizes.needed)
            loaded = work.results(_timed(items, tally), depth=depth, room=room)
            with closing(loaded):
                for photo in loaded:
                    tally.seconds["read"] += photo.read_seconds
                    tally.seconds["decode"] += photo.decode_seconds
                    tally.retries += photo.retries
                    sizes.saw(photo.result.ref.size_bytes)
                    yield photo.result

    def read(self, item: Item, _: Attempt) -> Got:
        """Read an item, in a thread that reads."""
        begun = time.perf_counter()
        fetched = self.reader.read(item) if isinstance(item, ImageRef) else item
        return fetched, time.perf_counter() - begun

    def decode(self, got: Got, attempt: Attempt) -> Loaded:
        """Decode what reading gave, in a worker."""
        photo, read_seconds = got
        retries = 0
        if isinstance(photo, Fetched):
            ref, data, retries = photo
            if isinstance(data, Unreadable):
                return Loaded(data, read_seconds, retries=retries)
            photo = Given(ref, data)
        if not isinstance(photo, Given):
            return Loaded(photo)
        begun = time.perf_counter()
        decoded = self.predictor.decode(photo.ref, photo.data, Limits(self.budget, attempt))
        return Loaded(decoded, read_seconds, time.perf_counter() - begun, retries)

    def read_late(self, item: Item) -> Loaded:
        """What becomes of an item whose read was given up."""
        ref = item if isinstance(item, ImageRef) else item.ref
        message = f"no answer within {self.read_timeout:g} s"
        return Loaded(Unreadable(ref, "timeout", message, by_storage=True), self.read_timeout)

    def decode_late(self, got: Got) -> Loaded:
        """What becomes of a photo whose decoding was given up."""
        photo, read_seconds = got
        message = f"decoding took longer than {self.decode_timeout:g} s"
        late = Unreadable(photo.ref, "timeout", message)
        retries = photo.retries if isinstance(photo, Fetched) else 0
        return Loaded(late, read_seconds, self.decode_timeout, retries)

    def _predicted(
        self, photos: Iterable[Decoded | Row], callers: Pool
    ) -> Generator[tuple[list[Row], float], None, None]:
        """The rows of each batch and the model's seconds for it, several calls side by side.

        Calls go before other work of their threads, so that rows come out as soon as they can.
        """

        def predict(batch: Batch) -> tuple[list[Row], float]:
            begun = time.perf_counter()
            rows = self.predictor.predict(batch)
            return rows, time.perf_counter() - begun

        yield from read_ahead(
            lambda batch: callers.submit(lambda: predict(batch), urgent=True),
            self._batches(photos),
            depth=self.plan.calls + 1,
        )

    def _batches(self, photos: Iterable[Decoded | Row]) -> Iterator[Batch]:
        """Group items into batches with as many decoded photos as the session takes, in order."""
        session = self.predictor.session
        items: list[Decoded | Row] = []
        decoded = 0
        try:
            for item in photos:
                items.append(item)
                decoded += isinstance(item, Decoded)
                if decoded >= session.batch_size or len(items) == MAX_BATCH_ITEMS:
                    yield Batch(tuple(items))
                    items, decoded = [], 0
        except SceneBatchError:  # what came before it is sound
            if items:
                yield Batch(tuple(items))
            raise
        if items:
            yield Batch(tuple(items))


@dataclass(slots=True)
class Loaded:
    """A photo that was read and decoded, and what it took."""

    result: Decoded | Row
    read_seconds: float = 0.0
    decode_seconds: float = 0.0
    retries: int = 0


@dataclass(slots=True)
class _Sizes:
    """Guesses that a photo of unknown size needs as much as the largest so far."""

    _guess: int = 4 * UNKNOWN_BYTES
    _largest: int = UNKNOWN_BYTES

    def needed(self, item: Item) -> int:
        """Bytes that an item needs."""
        if isinstance(item, ImageRef):
            return self._guess if item.size_bytes is None else item.size_bytes
        if isinstance(item, Given):
            return len(item.data) if isinstance(item.data, bytes) else item.data.nbytes
        return 0

    def saw(self, size: int | None) -> None:
        """Learn from the size of a photo that was read."""
        if size is not None:
            self._guess = self._largest = max(self._largest, size)


def _timed(items: Iterable[Item], tally: Tally) -> Iterator[Item]:
    """Yield the items, and count the time that finding them takes."""
    source = iter(items)
    while True:
        begun = time.perf_counter()
        item = next(source, None)
        tally.seconds["list"] += time.perf_counter() - begun
        if item is None:
            return
        yield item
