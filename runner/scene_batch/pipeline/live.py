"""Photos to rows one by one, as they come, for servers: each has its own answer, in no order.

The steps, the threads and the bounds are a run's (engine.py). What differs: threads and session
stay, nobody waits in order, and what would have to wait too long is not taken at all.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Self, TypeAlias

from scene_batch.model.attempt import Attempt
from scene_batch.pipeline.engine import Engine, Got, Item, Loaded
from scene_batch.pipeline.pace import Pace
from scene_batch.pipeline.time_limit import LimitedWork, Step
from scene_batch.records import Batch, Decoded, Prediction, Row
from scene_batch.threads import Future, Pool

LEAST_IN_HAND = 64
_BATCHES_IN_HAND = 4
"""Batches for each call of the model that may be in hand, so that it never waits for photos."""

Answer: TypeAlias = Row | BaseException
"""A photo's row, or what stopped it: a defect, or a model that fails."""
Tell: TypeAlias = Callable[[Answer], None]
"""Is told a photo's answer, in a thread that should be kept for a moment only."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long photos may wait, and how many of them."""

    batch: float = 0.005
    """Seconds that a decoded photo waits for others to fill its batch, while some are coming."""
    queue: float = 0.25
    """Seconds: while those in hand take longer by the pace of the last ones, none is taken; nor
    while one has waited so long, and there is a batch for each call."""
    most: int | None = None
    """Photos in hand at a time; None: some batches for each call of the model."""


class Live:
    """Classifies photos as they come, in threads that stay; safe for threads.

    Enter it to start the threads; leaving waits for what is in hand, for some seconds at most.
    """

    def __init__(self, engine: Engine, patience: Patience | None = None) -> None:
        self._engine, self._patience = engine, patience or Patience()
        self._session = session = engine.predictor.session
        least = max(LEAST_IN_HAND, _BATCHES_IN_HAND * session.calls * session.batch_size)
        self.most = self._patience.most or least
        """Photos that may be in hand."""
        self.batches: Callable[[int, float], None] = lambda photos, seconds: None
        """Is told of each call of the model."""
        self._changed = threading.Condition(threading.Lock())
        self._in_hand = self._calling = self._computing = 0
        self._not_begun: dict[_Photo, None] = {}  # first come, first served
        self._decoded: deque[_Photo] = deque()
        self._pace = Pace(few=session.calls)
        self._is_open = False
        self._stack = ExitStack()

    @property
    def in_hand(self) -> int:
        """Photos that have been taken and not answered."""
        return self._in_hand

    @property
    def waiting(self) -> int:
        """Those of them that no thread has begun."""
        return len(self._not_begun)

    def __enter__(self) -> Self:
        """Start the threads."""
        engine, plan = self._engine, self._engine.plan
        engine.keep_blocks()
        workers = self._stack.enter_context(Pool(plan.workers))
        readers = self._stack.enter_context(Pool(plan.readers)) if plan.readers else workers
        self._callers = workers if plan.shared else self._stack.enter_context(Pool(plan.calls))
        self._work = self._stack.enter_context(
            LimitedWork[_Photo, Loaded](
                Step(self._read, self._read_late, engine.read_timeout, readers),
                Step(engine.decode, engine.decode_late, engine.decode_timeout, workers),
            )
        )
        self._is_open = True
        self._clock = threading.Thread(target=self._watch, name="scene-batch-batch", daemon=True)
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take no more, and stop the threads; what is in hand is lost."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        self._clock.join()
        self._stack.close()

    def drain(self, seconds: float) -> bool:
        """Take no more, and wait until all is answered; False: it takes longer."""
        with self._changed:
            self._is_open = False
            return self._changed.wait_for(lambda: not self._in_hand, seconds)

    def submit(self, items: Sequence[Item], tells: Sequence[Tell], top_k: int) -> bool:
        """Begin photos, all of them or none; False: too much is in hand.

        Args:
            items: What to classify.
            tells: For each, what is told its answer.
            top_k: Classes that each answer names; not more than the model has.
        """
        now = time.monotonic()
        photos = [_Photo(item, tell, top_k, now) for item, tell in zip(items, tells, strict=True)]
        with self._changed:
            if not self._is_open or self._is_full(len(photos), now):
                return False
            self._in_hand += len(photos)
            self._not_begun.update(dict.fromkeys(photos))
        for photo in photos:
            self._work.begin(photo, _Told(partial(self._loaded, photo)))
        return True

    def _is_full(self, more: int, now: float) -> bool:
        if self._in_hand + more > self.most:
            return True
        if self._pace.seconds(self._in_hand) > self._patience.queue:
            return True
        if self._in_hand <= self._session.calls * self._session.batch_size:
            return False  # however long they wait: this process may just not have had a processor
        first = next(iter(self._not_begun), None)
        waiting = [photo.came for photo in (first, *list(self._decoded)[:1]) if photo is not None]
        return bool(waiting) and now - min(waiting) > self._patience.queue

    def _read(self, photo: _Photo, attempt: Attempt) -> Got:
        with self._changed:
            self._not_begun.pop(photo, None)
        return self._engine.read(photo.item, attempt)

    def _read_late(self, photo: _Photo) -> Loaded:
        return self._engine.read_late(photo.item)

    def _loaded(self, photo: _Photo, loaded: Loaded | BaseException) -> None:
        """Give a photo to the model, or say why there is nothing to give; in any thread."""
        result = loaded.result if isinstance(loaded, Loaded) else loaded
        if not isinstance(result, Decoded):
            self._answer([photo], [result])
            return
        photo.item, photo.pixels, photo.ready = result.ref, result, time.monotonic()
        with self._changed:
            self._decoded.append(photo)
            self._call()

    def _answer(
        self, photos: Sequence[_Photo], answers: Sequence[Answer], computed: int = 0
    ) -> None:
        try:
            for photo, answer in zip(photos, answers, strict=True):
                photo.tell(answer)
        finally:
            with self._changed:
                self._in_hand -= len(photos)
                self._pace.answered(len(photos), self._in_hand, time.monotonic())
                self._computing -= computed
                self._calling -= bool(computed)
                self._call()
                if not self._in_hand:
                    self._changed.notify_all()

    def _call(self) -> None:
        """Begin calls for what is decoded; with the lock held.

        A batch that is not full waits for what is coming, but not long, and not while none is.
        """
        size = self._session.batch_size
        while self._decoded and (free := self._session.calls - self._calling) > 0:
            there = len(self._decoded)
            coming = self._in_hand - self._computing - there
            if there < size and coming and self._left() > 0:
                self._changed.notify_all()  # the clock
                return
            number = size if there >= size or coming else min(size, -(-there // free))
            photos = [self._decoded.popleft() for _ in range(min(number, there))]
            self._calling += 1
            self._computing += len(photos)
            self._callers.put(partial(self._predict, photos), urgent=True)

    def _left(self) -> float:
        """Seconds that the first decoded photo may still wait for others."""
        return self._decoded[0].ready + self._patience.batch - time.monotonic()

    def _watch(self) -> None:
        """Call the model for a batch that is not full when its time is over."""
        with self._changed:
            while self._is_open or self._in_hand:
                if self._decoded and self._calling < self._session.calls:
                    self._changed.wait(max(0.0, self._left()))
                    self._call()
                else:
                    self._changed.wait(None if self._is_open else 0.1)

    def _predict(self, photos: Sequence[_Photo]) -> None:
        """Call the model, in a thread that calls."""
        begun = time.perf_counter()
        predictor = replace(self._engine.predictor, top_k=max(photo.top_k for photo in photos))
        answers: Sequence[Answer]
        try:
            rows = predictor.predict(Batch(tuple(p.pixels for p in photos if p.pixels)))
            answers = [_cut(row, p.top_k) for row, p in zip(rows, photos, strict=True)]
        except BaseException as error:  # noqa: BLE001 - told to those who wait
            answers = [error] * len(photos)
        self.batches(len(photos), time.perf_counter() - begun)
        self._answer(photos, answers, computed=len(photos))


class _Photo:
    """A photo in hand."""

    __slots__ = ("came", "item", "pixels", "ready", "tell", "top_k")

    def __init__(self, item: Item, tell: Tell, top_k: int, came: float) -> None:
        self.item, self.tell, self.top_k, self.came = item, tell, top_k, came
        self.pixels: Decoded | None = None
        self.ready = 0.0
        """When it was decoded."""


class _Told(Future[Loaded]):
    """A result that is not waited for, but told."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Callable[[Loaded | BaseException], None]) -> None:
        super().__init__()
        self._tell = tell

    def set_result(self, result: Loaded) -> None:
        """Tell it."""
        self._tell(result)

    def set_exception(self, error: BaseException) -> None:
        """Tell it."""
        self._tell(error)


def _cut(row: Row, top_k: int) -> Row:
    return replace(row, top=row.top[:top_k]) if isinstance(row, Prediction) else row
