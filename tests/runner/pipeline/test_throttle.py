"""A run that leaves the machine to others: no faster than it was told, and with a low priority."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scene_batch.errors import Interrupted, UsageError
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.pipeline.throttle import Throttle
from scene_batch.records import ClassProbability, ImageRef, Prediction, Row
from support import SCENES, command


def _batches(number: int, size: int = 4, *, kept: bool = False) -> list[list[Row]]:
    row = Prediction(ImageRef("a.jpg"), (ClassProbability("red", 1.0),), kept=kept)
    return [[row] * size] * number


def _seconds(throttle: Throttle, batches: list[list[Row]], work: float = 0.0) -> float:
    begun = time.monotonic()
    for _ in throttle.paced(batches):
        time.sleep(work)
    return time.monotonic() - begun


def test_it_is_never_faster_than_it_was_told() -> None:
    throttle = Throttle(100.0)
    took = _seconds(throttle, _batches(5))
    assert took >= 0.2
    assert throttle.waited == pytest.approx(took, abs=0.1)


def test_work_that_takes_its_time_is_not_held_up_further() -> None:
    throttle = Throttle(100.0)
    _seconds(throttle, _batches(5), work=0.05)
    assert throttle.waited < 0.05


def test_rows_of_an_earlier_table_cost_nothing_and_no_limit_none() -> None:
    assert _seconds(Throttle(1.0), _batches(9, kept=True)) < 0.5
    assert _seconds(Throttle(None), _batches(9)) < 0.5


def test_a_held_run_makes_the_same_table_and_says_what_held_it(
    album: Path, colours: Predictor, tmp_path: Path
) -> None:
    out, plain = (str(tmp_path / name) for name in ("p.parquet", "q.parquet"))
    run(Job((str(album),), plain), colours)
    record = run(Job((str(album),), out, photos_per_second=100.0), colours)
    assert record.photos / record.seconds <= 100
    assert record.hint == "held at --photos-per-second 100"
    assert pq.read_table(out) == pq.read_table(plain)


def test_a_signal_ends_the_waiting_and_the_rows_before_it_are_saved(
    album: Path, colours: Predictor, tmp_path: Path
) -> None:
    out, plain = (str(tmp_path / name) for name in ("p.parquet", "q.parquet"))
    run(Job((str(album),), plain), colours)
    begun = time.monotonic()
    with Interruption() as interruption, pytest.raises(Interrupted):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        run(Job((str(album),), out, photos_per_second=0.1), colours, interruption=interruption)
    assert time.monotonic() - begun < 5
    assert run(Job((str(album),), out), colours).continued_after > 0
    assert pq.read_table(out) == pq.read_table(plain)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="take one above 0"):
        Job(("a",), "b.csv", photos_per_second=rate)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_nice_holds_for_all_threads_of_a_run(tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    options = ["--nice", "7", "--photos-per-second", "0.1", "--quiet", "--out", str(out)]
    with subprocess.Popen([*command(), "run", str(SCENES), *options]) as process:
        parts = Path(f"{out}.parts")
        until = time.monotonic() + 60
        while not any(parts.glob("part-*")) and time.monotonic() < until:  # all threads are there
            time.sleep(0.05)
        threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
        found = {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}
        process.kill()
    assert len(threads) > 2
    assert found == {os.getpriority(os.PRIO_PROCESS, 0) + 7}
