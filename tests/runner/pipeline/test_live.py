"""Laws of photos that are classified as they come: each is answered once, and as a run answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from scene_batch import Classifier
from scene_batch.errors import ProviderError
from scene_batch.model.attempt import Limits
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.engine import Given
from scene_batch.pipeline.live import Answer, Live, Patience
from scene_batch.pipeline.pace import Pace
from scene_batch.records import (
    Batch,
    Decoded,
    ImageRef,
    Pixels,
    Prediction,
    Row,
    Unreadable,
)
from support import save_shade, wait_for

CALM = Patience(queue=60.0)


SLOW = b"slow"
"""A photo, which is none, that is decoded when a gate is opened."""


@dataclass(frozen=True)
class _Gated(Predictor):
    """A model behind a gate."""

    gate: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None
    seconds: float = 0.0

    def decode(
        self, ref: ImageRef, data: bytes | Pixels, limits: Limits | None = None
    ) -> Decoded | Unreadable:
        """Wait at the gate with slow ones."""
        if data == SLOW and limits is not None:
            limits.attempt.begin()
            self.gate.wait(30)
        return super().decode(ref, data, limits)

    def predict(self, batch: Batch) -> list[Row]:
        """Fail, if it is to."""
        if self.failure is not None:
            raise self.failure
        time.sleep(self.seconds * len(batch.items))
        return super().predict(batch)


def _gated(predictor: Predictor, gate: threading.Event, failure: Any = None, **more: Any) -> _Gated:
    return _Gated(predictor.session, predictor.top_k, gate, failure, **more)


class Answers:
    """The answers to photos, each told once, by the number of the photo."""

    def __init__(self) -> None:
        self.got: dict[int, list[Answer]] = {}
        self._lock = threading.Lock()

    def tell(self, number: int) -> Any:
        """What a photo's answer is told."""

        def told(answer: Answer) -> None:
            with self._lock:
                self.got.setdefault(number, []).append(answer)

        return told

    def wait(self, photos: int) -> list[Answer]:
        """The one answer of each."""
        wait_for(lambda: len(self.got) == photos)
        assert [len(told) for told in self.got.values()] == [1] * photos
        return [self.got[number][0] for number in sorted(self.got)]


def _photo(data: bytes) -> Given:
    return Given(ImageRef("<bytes>", len(data)), data)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Forty, of which each seventh is none."""
    folder = tmp_path_factory.mktemp("photos")
    return [
        b"no photo"
        if number % 7 == 6
        else save_shade(folder / f"{number}.png", number).read_bytes()
        for number in range(40)
    ]


@pytest.fixture
def live(colours: Predictor) -> Iterator[Live]:
    with Classifier(colours).live(CALM) as live:
        yield live


def test_each_photo_is_answered_once_as_classify_answers_it(
    live: Live, colours: Predictor, photos: list[bytes]
) -> None:
    answers = Answers()

    def send(first: int) -> None:
        for number in range(first, len(photos), 4):
            assert live.submit([_photo(photos[number])], [answers.tell(number)], 3)

    threads = [threading.Thread(target=send, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    assert answers.wait(len(photos)) == Classifier(colours).classify(photos)
    for thread in threads:
        thread.join()
    assert live.drain(5)
    assert live.in_hand == 0


def test_each_answer_names_as_many_classes_as_were_asked_for(
    live: Live, photos: list[bytes]
) -> None:
    answers = Answers()
    for top_k in (1, 2, 3):
        assert live.submit([_photo(photos[0])], [answers.tell(top_k)], top_k)
    assert [len(row.top) for row in answers.wait(3) if isinstance(row, Prediction)] == [1, 2, 3]


def test_a_photo_that_comes_alone_waits_for_no_others(
    colours: Predictor, photos: list[bytes]
) -> None:
    with Classifier(colours).live(Patience(batch=60.0, queue=60.0)) as live:
        for number in range(3):
            answers = Answers()
            assert live.submit([_photo(photos[0])], [answers.tell(number)], 1)
            answers.wait(1)


def test_photos_that_come_together_share_calls_and_none_waits_longer_than_said(
    colours: Predictor, photos: list[bytes]
) -> None:
    release, sizes = threading.Event(), []
    with Classifier(_gated(colours, release)).live(Patience(batch=0.05, queue=60.0)) as live:
        live.batches = lambda size, seconds: sizes.append(size)
        answers = Answers()
        pixels = [_photo(photos[0])] * 20 + [_photo(SLOW)]
        assert live.submit(pixels, [answers.tell(number) for number in range(21)], 1)
        wait_for(lambda: len(answers.got) == 20)  # though the slow one still comes
        release.set()
        answers.wait(21)
    assert max(sizes) == colours.session.batch_size
    assert len(sizes) < 10


def test_too_many_photos_are_refused_at_once_and_all_together(
    colours: Predictor, photos: list[bytes]
) -> None:
    gate = threading.Event()
    with Classifier(_gated(colours, gate)).live(Patience(queue=60.0, most=4)) as live:
        answers = Answers()
        for number in range(3):
            assert live.submit([_photo(SLOW)], [answers.tell(number)], 1)
        begun = time.monotonic()
        assert not live.submit([_photo(photos[0])] * 2, [answers.tell(9)] * 2, 1)
        assert time.monotonic() - begun < 1
        assert live.submit([_photo(photos[0])], [answers.tell(3)], 1)
        assert not live.submit([_photo(photos[0])], [answers.tell(9)], 1)
        gate.set()
        answers.wait(4)
        assert live.submit([_photo(photos[0])], [answers.tell(4)], 1)
        answers.wait(5)


def test_none_is_taken_while_one_has_waited_too_long_for_a_thread(
    colours: Predictor, photos: list[bytes]
) -> None:
    gate = threading.Event()
    with Classifier(_gated(colours, gate)).live(Patience(queue=0.05), workers=2) as live:
        answers = Answers()
        for number in range(2):  # in both threads: these have begun
            assert live.submit([_photo(SLOW)], [answers.tell(number)], 1)
        wait_for(lambda: not live.waiting)
        time.sleep(0.1)
        assert live.submit([_photo(photos[0])], [answers.tell(2)], 1)  # which waits
        wait_for(lambda: not live.submit([_photo(photos[0])], [answers.tell(9)], 1))
        gate.set()
        wait_for(lambda: live.in_hand == 0)
        assert live.submit([_photo(photos[0])], [answers.tell(10)], 1)


def test_a_slow_photo_holds_up_no_other_and_is_given_up(
    colours: Predictor, photos: list[bytes]
) -> None:
    gate = threading.Event()
    classifier = Classifier(_gated(colours, gate), decode_timeout=0.3)
    with classifier.live(CALM, workers=2) as live:
        answers = Answers()
        items = [_photo(SLOW), *map(_photo, photos[:6])]
        assert live.submit(items, [answers.tell(number) for number in range(7)], 1)
        slow, *others = answers.wait(7)
        assert isinstance(slow, Unreadable)
        assert slow.code == "timeout"
        assert all(isinstance(row, Prediction) for row in others)
        gate.set()


def test_what_the_model_raises_is_told_to_all_and_others_go_on(
    colours: Predictor, photos: list[bytes]
) -> None:
    failure = ProviderError("no memory")
    with Classifier(_gated(colours, threading.Event(), failure)).live(CALM) as live:
        answers = Answers()
        assert live.submit(list(map(_photo, photos[:3])), [*map(answers.tell, range(3))], 1)
        assert answers.wait(3) == [failure] * 3
        assert live.submit([_photo(b"")], [answers.tell(3)], 1)
        assert isinstance(answers.wait(4)[3], Unreadable)


def test_what_is_in_hand_is_answered_before_the_end_and_nothing_more_taken(
    colours: Predictor, photos: list[bytes]
) -> None:
    gate = threading.Event()
    with Classifier(_gated(colours, gate)).live(CALM) as live:
        answers = Answers()
        assert live.submit([_photo(SLOW)], [answers.tell(0)], 1)
        assert not live.drain(0.01)
        assert not live.submit([_photo(photos[0])], [answers.tell(1)], 1)
        gate.set()
        assert live.drain(10)
        answers.wait(1)
    assert not [t for t in threading.enumerate() if t.name.startswith("scene-batch-batch")]


def test_pixels_are_classified_too(live: Live) -> None:
    answers = Answers()
    given = Given(ImageRef("<array>"), np.full((9, 9, 3), (0, 0, 255), np.uint8))
    assert live.submit([given], [answers.tell(0)], 1)
    (row,) = answers.wait(1)
    assert isinstance(row, Prediction)
    assert row.class_name == "blue"


def test_none_is_taken_while_those_in_hand_take_too_long_by_the_pace(
    colours: Predictor, photos: list[bytes]
) -> None:
    """Whoever comes is answered soon, or refused; and few are never refused."""
    slow = _gated(colours, threading.Event(), seconds=0.02)
    with Classifier(slow).live(Patience(queue=0.2)) as live:
        answers, taken = Answers(), 0
        until = time.monotonic() + 1.2
        longest = 0
        while time.monotonic() < until:
            taken += live.submit([_photo(photos[0])], [answers.tell(taken)], 1)
            longest = max(longest, live.in_hand if time.monotonic() > until - 0.5 else 0)
            time.sleep(0.001)
        answers.wait(taken)
        assert longest < live.most
        assert taken > 20
        for number in range(5):
            assert live.submit([_photo(photos[0])], [answers.tell(taken + number)], 1)
            wait_for(lambda: live.in_hand == 0)


def test_the_pace_is_learned_while_more_is_in_hand_than_can_be_computed() -> None:
    pace = Pace(few=2)
    for second in range(100):  # one at a time: nothing is learned of many
        pace.answered(1, 0, second)
    assert pace.seconds(50) == 0
    for second in range(100, 200):
        pace.answered(2, 10, second)
    assert pace.seconds(10) == pytest.approx(5.0)
    assert pace.seconds(2) == 0
    pace.answered(1, 0, 200)
    pace.answered(1, 10, 300)  # in between it was idle
    assert pace.seconds(10) == pytest.approx(5.0, rel=0.2)
    for tenth in range(100):
        pace.answered(1, 10, 300 + tenth / 10)
    assert pace.seconds(10) == pytest.approx(1.0, rel=0.01)
