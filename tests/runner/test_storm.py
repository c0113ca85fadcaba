"""Laws of the storm: none of its failures is saved, and nothing sound is lost or shifted."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buckets import Bucket
from front import Fault, Request, slow_down
from scene_batch.classifier import Classifier
from scene_batch.errors import StormError
from scene_batch.job import Job
from scene_batch.pipeline import run
from scene_batch.records import ClassProbability, ImageRef, Prediction, Row, Unreadable
from scene_batch.storm import WINDOW, StormWatch
from support import save_shade


def _row(number: int, failed: bool) -> Row:
    ref = ImageRef(f"s3://b/{number}")
    if failed:
        return Unreadable(ref, "fetch_failed", "HTTP 503")
    return Prediction(ref, (ClassProbability("x", 1.0),))


@given(st.lists(st.lists(st.booleans(), max_size=40), max_size=40))
def test_rows_keep_their_order_and_failures_wait_for_their_window(
    batches: list[list[bool]],
) -> None:
    watch, given_rows, passed = StormWatch(), [], []
    for batch in batches:
        rows = [_row(len(given_rows) + i, failed) for i, failed in enumerate(batch)]
        given_rows += rows
        failing = [isinstance(row, Unreadable) for row in given_rows]
        storm = any(
            sum(failing[max(0, end - WINDOW) : end]) >= WINDOW / 2
            for end in range(len(given_rows) - len(rows), len(given_rows) + 1)
        )
        if storm:
            with pytest.raises(StormError):
                watch.sift(rows)
            assert all(not bad for bad in failing[max(0, len(given_rows) - WINDOW) : len(passed)])
            return
        passed += watch.sift(rows)
        assert passed == given_rows[: len(passed)]
        held = failing[len(passed) :]
        assert not held or held[0]
        assert len(held) <= WINDOW
    assert passed + watch.rest() == given_rows


def test_what_is_the_photos_own_fault_is_no_storm() -> None:
    ref = ImageRef("s3://b/x")
    rows: list[Row] = [Unreadable(ref, "missing", "gone"), Unreadable(ref, "corrupt", "bad")] * 200
    rows += [Unreadable(ImageRef("x"), "permission", "no")] * 200
    rows += [Unreadable(ref, "fetch_failed", "then", kept=True)] * 200
    assert StormWatch().sift(rows) == rows
    with pytest.raises(StormError, match=r"100 of the last 200 .* 'permission: expired'"):
        StormWatch().sift([Unreadable(ref, "permission", "expired")] * 100)


def test_a_storm_stops_the_run_and_the_same_command_continues(
    bucket: Bucket, colours: Classifier, tmp_path: Path
) -> None:
    for number in range(360):
        bucket.put(f"in/{number:03}.png", save_shade(tmp_path / "x.png", number % 36).read_bytes())

    def decide(request: Request) -> Fault | None:
        begun = request.path[-7:] >= "200.png"
        return slow_down() if request.is_photo and begun else None

    bucket.front.decide = decide
    job = Job((f"{bucket.url}/in",), str(tmp_path / "p.parquet"), read_timeout=0.5)
    with pytest.raises(StormError, match=r"503 SlowDown.*the same command continues"):
        run(job, colours)
    parts = sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    saved = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert {row["status"] for row in saved} == {"ok"}
    assert len(saved) == 200
    bucket.front.decide = lambda request: None
    record = run(job, colours)
    assert (record.photos, record.ok, record.attempts) == (360, 360, 2)
    paths = pq.read_table(job.out)["path"].to_pylist()
    assert paths == [f"{bucket.url}/in/{number:03}.png" for number in range(360)]


def test_keys_that_expire_stop_the_run(bucket: Bucket, colours: Classifier, tmp_path: Path) -> None:
    for number in range(150):
        bucket.put(f"in/{number:03}.png", b"x")
    bucket.front.decide = lambda r: Fault(400, "ExpiredToken") if r.is_photo else None
    with pytest.raises(StormError, match="no valid credentials"):
        run(Job((f"{bucket.url}/in",), str(tmp_path / "p.parquet")), colours)
    assert not (tmp_path / "p.parquet").exists()
