"""Laws of the storm: none of its failures is saved, and nothing sound is lost or shifted."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buckets import Bucket
from faults import Fault, Request, slow_down
from scene_batch.errors import SourceError, StormError
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.pipeline.storm import MOST_WAITING, WINDOW, StormGuard
from scene_batch.records import ClassProbability, ImageRef, Prediction, Row, Unreadable
from scene_batch.sources import reading
from support import save_shade


def _row(number: int, kind: str) -> Row:
    ref = ImageRef(f"s3://b/{number}")
    if kind == "failed":
        return Unreadable(ref, "fetch_failed", "HTTP 503", by_storage=True)
    return Prediction(ref, (ClassProbability("x", 1.0),), kept=kind == "kept")


@given(
    st.lists(st.lists(st.sampled_from(["ok", "ok", "failed", "kept"]), max_size=40), max_size=40)
)
def test_rows_keep_their_order_and_failures_wait_for_their_window(batches: list[list[str]]) -> None:
    watch = StormGuard()
    given_rows: list[Row] = []
    passed: list[Row] = []
    kinds: list[str] = []
    for batch in batches:
        rows = [_row(len(given_rows) + i, kind) for i, kind in enumerate(batch)]
        given_rows += rows
        for kind in batch:
            kinds.append(kind)
            window = [k for k in kinds if k != "kept"][-WINDOW:]
            if window.count("failed") >= WINDOW / 2:
                passed += watch.sift(rows)
                assert passed == given_rows[: len(passed)]
                read_behind = [k for k in kinds[len(passed) :] if k != "kept"]
                assert kinds[len(passed)] == "failed"
                assert len(read_behind) <= WINDOW
                with pytest.raises(StormError):
                    watch.check()
                return
        passed += watch.sift(rows)
        watch.check()
        assert passed == given_rows[: len(passed)]
        held = kinds[len(passed) :]
        assert not held or held[0] == "failed"
        assert len([kind for kind in held if kind != "kept"]) <= WINDOW
    assert passed + watch.rest() == given_rows
    assert all(isinstance(row, Prediction) or row.kept for row in watch.sound())


def _stopped_at(rows: list[Row]) -> int | None:
    """The number of rows that a watch takes until it finds a storm."""
    watch = StormGuard()
    for number, row in enumerate(rows, 1):
        watch.sift([row])
        try:
            watch.check()
        except StormError:
            return number
    return None


def test_half_of_the_last_two_hundred_and_not_one_fewer() -> None:
    bad, good = [_row(1, "failed")], [_row(2, "ok")]
    assert _stopped_at(bad * 100) == 100
    assert _stopped_at(bad * 99 + good * 101 + bad) is None
    assert _stopped_at((bad + good * 2) * 300) is None
    assert _stopped_at(bad * 99 + good * 100 + bad) == 200


def test_what_is_the_photos_own_fault_is_no_storm() -> None:
    ref = ImageRef("s3://b/x")
    rows: list[Row] = [Unreadable(ref, "missing", "gone"), Unreadable(ref, "corrupt", "bad")] * 200
    rows += [Unreadable(ImageRef("x"), "permission", "no")] * 200
    rows += [Unreadable(ref, "timeout", "decoding took too long")] * 200
    rows += [Unreadable(ref, "fetch_failed", "then", by_storage=True, kept=True)] * 200
    assert StormGuard().sift(rows) == rows
    watch = StormGuard()
    watch.sift([Unreadable(ref, "permission", "expired", by_storage=True)] * 100)
    with pytest.raises(StormError, match=r"100 of the last 200 .* 'permission: expired'"):
        watch.check()
    watch = StormGuard()
    watch.sift([Unreadable(ref, "fetch_failed", f"{n} came", by_storage=True) for n in range(100)])
    with pytest.raises(StormError, match=r"100 of them for 'fetch_failed: 0 came'"):
        watch.check()


def test_the_share_of_failures_is_the_callers() -> None:
    bad = [_row(number, "failed") for number in range(400)]
    assert StormGuard(None).sift(bad) == bad
    strict = StormGuard(0.05)
    strict.sift(bad[:10])
    with pytest.raises(StormError, match="10 of the last 200"):
        strict.check()


def test_faults_of_photos_are_rows_and_end_no_run(
    bucket: Bucket, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than half a window of each."""
    monkeypatch.chdir(tmp_path)
    lines = []
    for number in range(110):
        Path(f"circle{number}.jpg").symlink_to(f"circle{number}.jpg")
        bucket.put(f"{number}.png")
        lines += [f"circle{number}.jpg", f"{bucket.url}/{number}.png", f"{number:0300}.jpg"]
        lines += [
            f"{bucket.url}/a/../{number}.jpg",
            f"http://h:99999/{number}.jpg",
            f"ftp://{number}",
        ]
        lines += [f"http://[{number}/x.jpg", f"http://not a host/{number}.jpg"]
    Path("list.txt").write_text("\n".join(lines))
    bucket.front.decide = lambda r: Fault(403, "InvalidObjectState") if r.is_photo else None
    record = run(Job(("@list.txt",), "p.parquet"), colours)
    assert record.unreadable == {"not_a_file": 110, "archived": 110, "bad_path": 660}


def test_without_storms_every_failure_is_a_row(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    for number in range(150):
        bucket.put(f"in/{number:03}.png", b"x")
    bucket.front.decide = lambda r: Fault(403, "AccessDenied") if r.is_photo else None
    job = Job((f"{bucket.url}/in",), str(tmp_path / "p.parquet"), storm=None)
    assert run(job, colours).unreadable == {"permission": 150}


def test_rows_that_wait_are_bounded() -> None:
    watch = StormGuard()
    kept = [_row(number, "kept") for number in range(MOST_WAITING * 3)]
    passed = watch.sift([_row(-1, "failed"), *kept])
    assert len(passed) > MOST_WAITING
    assert len(watch.rest()) <= MOST_WAITING


def test_a_disks_failures_stay_when_a_run_stops_for_another_reason() -> None:
    watch = StormGuard()
    local = Unreadable(ImageRef("x"), "timeout", "hung", by_storage=True)
    assert watch.sift([local, _row(1, "ok"), _row(2, "failed"), _row(3, "ok")]) == []
    assert watch.sound() == [local, _row(1, "ok")]


def test_rows_of_an_earlier_table_do_not_hide_a_storm(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    photo = save_shade(tmp_path / "x.png", 5).read_bytes()
    for number in range(300):
        bucket.put(f"in/{number:03}a.png", photo)
    out = tmp_path / "p.parquet"
    job = Job((f"{bucket.url}/in",), str(out), update=True)
    run(job, colours)
    before = out.read_bytes()
    for number in range(0, 300, 2):
        bucket.put(f"in/{number:03}b.png", photo)
    bucket.front.decide = lambda r: Fault(400, "ExpiredToken") if r.is_photo else None
    with pytest.raises(StormError):
        run(job, colours)
    assert out.read_bytes() == before
    bucket.front.decide = lambda request: None
    assert run(job, colours).ok == 450


def test_failures_before_another_error_are_not_saved(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    """Keys expire in the middle, and a page of the listing is what notices first."""
    photo = save_shade(tmp_path / "x.png", 5).read_bytes()
    for number in range(1040):
        bucket.put(f"in/{number:04}.png", photo)

    def decide(request: Request) -> Fault | None:
        expired = request.is_photo and request.path[-8:] >= "0980.png"
        return Fault(400, "ExpiredToken") if expired or "continuation" in request.query else None

    bucket.front.decide = decide
    job = Job((f"{bucket.url}/in",), str(tmp_path / "p.parquet"))
    with pytest.raises(SourceError):
        run(job, colours)
    bucket.front.decide = lambda request: None
    record = run(job, colours)
    assert (record.photos, record.ok, record.attempts) == (1040, 1040, 2)


def test_a_storm_stops_the_run_and_the_same_command_continues(
    bucket: Bucket, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_RETRY_SHARE", 0.05)  # of the time limit: soon given up
    for number in range(360):
        bucket.put(f"in/{number:03}.png", save_shade(tmp_path / "x.png", number % 36).read_bytes())

    def decide(request: Request) -> Fault | None:
        begun = request.path[-7:] >= "200.png"
        return slow_down() if request.is_photo and begun else None

    bucket.front.decide = decide
    job = Job((f"{bucket.url}/in",), str(tmp_path / "p.parquet"), read_timeout=6.0)
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


def test_keys_that_expire_stop_the_run(bucket: Bucket, colours: Predictor, tmp_path: Path) -> None:
    for number in range(150):
        bucket.put(f"in/{number:03}.png", b"x")
    bucket.front.decide = lambda r: Fault(400, "ExpiredToken") if r.is_photo else None
    with pytest.raises(StormError, match="no valid credentials"):
        run(Job((f"{bucket.url}/in",), str(tmp_path / "p.parquet")), colours)
    assert not (tmp_path / "p.parquet").exists()
