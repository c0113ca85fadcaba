"""A photo that takes too long to decode is a row; nothing waits for it, and nothing stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scene_batch.classifier import Classifier
from scene_batch.memory import Budget
from scene_batch.model.attempt import Attempt, Limits
from scene_batch.model.decode import decode
from scene_batch.model.predictor import Predictor
from scene_batch.model.preprocess import Preprocess
from scene_batch.pipeline import time_limit
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.pipeline.time_limit import LimitedWork, Step
from scene_batch.records import ImageRef, Unreadable
from scene_batch.threads import Pool
from support import encode, save_shade, wait_for

pytestmark = pytest.mark.usefixtures("hung_threads_are_left")

LONG = 60.0


def _decodes(
    decode: Callable[[int, Attempt], int],
    count: int,
    *,
    workers: int = 2,
    readers: int | None = None,
    seconds: float = 0.1,
) -> Generator[int, None, None]:
    """The results of numbers, negative where decoding them was given up."""

    def timed(number: int, attempt: Attempt) -> int:
        attempt.begin()
        return decode(number, attempt)

    with ExitStack() as stack:
        pool = stack.enter_context(Pool(workers))
        reading = stack.enter_context(Pool(readers)) if readers else pool
        work = stack.enter_context(
            LimitedWork[int, int](
                Step(lambda item, _: item, lambda item: 1000, LONG, reading),
                Step(timed, lambda number: -number, seconds, pool),
            )
        )
        yield from stack.enter_context(closing(work.results(range(count), depth=6, room=None)))


@pytest.mark.parametrize("readers", [None, 3])
def test_a_slow_decode_is_late_in_its_place_and_nobody_waits_for_it(readers: int | None) -> None:
    forever = threading.Event()

    def decode(number: int, _: Attempt) -> int:
        if number in (3, 11):
            forever.wait(20)
        return number

    begun = time.monotonic()
    got = list(_decodes(decode, 20, readers=readers))
    assert got == [-n if n in (3, 11) else n for n in range(20)]
    assert time.monotonic() - begun < 5
    forever.set()


def test_more_slow_decodes_than_workers_wait_for_each_other_and_stop_nothing() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def decode(number: int, _: Attempt) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.3 if number % 2 else 0)
        with lock:
            running -= 1
        return number

    got = list(_decodes(decode, 16))
    assert [abs(n) for n in got] == list(range(16))
    assert all(n >= 0 for n in got[::2])
    assert sum(n < 0 for n in got) > 3
    assert 2 < most <= 4  # two that were given up, and two workers


def test_the_time_that_a_photo_waits_for_memory_does_not_count() -> None:
    budget = Budget(10)

    def decode(number: int, attempt: Attempt) -> int:
        Limits(budget, attempt).take(10)
        time.sleep(0.06)
        budget.give_back(10)
        return number

    assert list(_decodes(decode, 12, workers=4)) == list(range(12))


def test_time_in_which_the_process_stood_still_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stood = 0.0

    def monotonic() -> float:
        return time.monotonic() + stood

    def decode(number: int, _: Attempt) -> int:
        nonlocal stood
        if number == 2:
            stood += 3600
            time.sleep(0.4)  # beyond the next look
        return number

    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=monotonic))
    assert list(_decodes(decode, 6, seconds=1.0)) == list(range(6))


def test_what_a_decoder_raises_is_raised_where_its_result_is_taken() -> None:
    def decode(number: int, _: Attempt) -> int:
        if number == 2:
            raise LookupError("a defect")
        return number

    got = _decodes(decode, 4)
    assert [next(got), next(got)] == [0, 1]
    with pytest.raises(LookupError, match="a defect"):
        next(got)


def _slow_photo() -> bytes:
    """A JPEG that takes seconds: noise, and its last scan 400 times."""
    noise = np.random.default_rng(1).integers(0, 256, (900, 900), np.uint8)
    data = encode(Image.fromarray(noise), "JPEG", progressive=True, quality=30)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 400 + b"\xff\xd9"


def test_a_slow_photo_is_a_row_and_its_decoder_ends_soon(
    colours: Predictor, tmp_path: Path
) -> None:
    for number in range(6):
        save_shade(tmp_path / "photos" / f"{number}.png", number)
    (tmp_path / "photos" / "3.jpg").write_bytes(_slow_photo())
    threads = threading.active_count()
    job = Job(
        (str(tmp_path / "photos"),), str(tmp_path / "p.parquet"), workers=1, decode_timeout=0.2
    )
    record = run(job, colours)
    assert (record.photos, record.unreadable) == (7, {"timeout": 1})
    rows = pq.read_table(job.out).to_pylist()
    assert [row["error"] for row in rows if row["error"]] == [
        "timeout: decoding took longer than 0.2 s"
    ]
    assert record.settings["decode_timeout"] == 0.2
    assert record.settings["decode_memory_bytes"] > 0
    wait_for(lambda: threading.active_count() <= threads, 2)


def test_classify_has_the_limit_too(colours: Predictor) -> None:
    begun = time.monotonic()
    (slow,) = Classifier(colours, decode_timeout=0.1).classify(_slow_photo())
    assert isinstance(slow, Unreadable)
    assert slow.message == "decoding took longer than 0.1 s"
    assert time.monotonic() - begun < 2


def test_a_decoder_that_was_given_up_reads_no_further() -> None:
    attempt, budget = Attempt(), Budget(1 << 30)
    soon = threading.Timer(0.1, setattr, (attempt, "given_up", True))
    soon.start()
    data = _slow_photo()
    photo = decode(ImageRef("photo"), data, Preprocess(16, 16), Limits(budget, attempt))
    soon.join()
    assert isinstance(photo, Unreadable)
    assert photo.message == "given up"
    budget.take(budget.most)  # all is given back
