"""Laws of a run: conservation, order, invariance, boundedness, all or nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scene_batch.classifier import Classifier
from scene_batch.errors import AccountingError, OutputError, OutputExistsError, SourceError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.pipeline.thread_plan import REMOTE_READERS
from scene_batch.sources.listing import Listing
from support import HARD, Watch, command, save_photo, save_shade, started, wait_for


def _rows(job: Job, predictor: Predictor) -> list[dict[str, Any]]:
    run(job, predictor)
    rows: list[dict[str, Any]] = pq.read_table(job.out).to_pylist()
    return rows


def test_every_photo_found_is_one_row_in_order(
    album: Path, colours: Predictor, tmp_path: Path
) -> None:
    rows = _rows(Job((str(album),), str(tmp_path / "p.parquet")), colours)
    found = [ref.path for ref in Listing([str(album)])]
    assert [row["path"] for row in rows] == found
    assert len(found) == 30
    assert {row["path"]: row["error"] for row in rows if row["status"] != "ok"} == {
        f"{album}/day1/07.png": "empty: the file has no bytes",
        f"{album}/day2/17.png": "unknown_format: not a photo in a known format",
    }


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_row_does_not_depend_on_batch_size_or_workers(
    batch_size: int, workers: int, album: Path, colour_model: Path, tmp_path: Path
) -> None:
    alone = Predictor.open(colour_model, ComputeOptions("cpu", batch_size=1))
    want = Classifier(alone).classify([ref.path for ref in Listing([str(album)])])
    predictor = Predictor.open(colour_model, ComputeOptions("cpu", batch_size=batch_size))
    rows = _rows(Job((str(album),), str(tmp_path / "p.parquet"), workers=workers), predictor)
    for row, single in zip(rows, want, strict=True):
        assert row["path"] == single.ref.path
        top = getattr(single, "top", None)
        assert (row["top_k"] is None) == (top is None)
        if top is not None:
            assert [pair["class"] for pair in row["top_k"]] == [pair.class_name for pair in top]
            assert [pair["probability"] for pair in row["top_k"]] == pytest.approx(
                [pair.probability for pair in top], abs=1e-5
            )
            assert (row["class"], row["probability"]) == pytest.approx(tuple(top[0]))


def test_the_hard_samples_are_each_a_row(colours: Predictor, tmp_path: Path) -> None:
    files = sorted(str(path) for path in HARD.rglob("*") if path.is_file())
    rows = _rows(Job((str(HARD),), str(tmp_path / "p.parquet")), colours)
    assert sorted(row["path"] for row in rows) == files
    assert sum(row["status"] == "unreadable" for row in rows) == 4


def test_only_unreadable_photos_are_rows_and_no_crash(colours: Predictor, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"no photo")
    rows = _rows(Job((str(tmp_path),), str(tmp_path / "p.parquet")), colours)
    assert len(rows) == 20
    assert {(row["class"], row["probability"], row["top_k"]) for row in rows} == {(None,) * 3}


@pytest.mark.parametrize("others", [[], ["letter.txt", ".hidden.jpg"]])
def test_an_empty_directory_is_an_error_and_no_table(
    others: list[str], colours: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for name in others:
        (tmp_path / "photos" / name).write_bytes(b"x")
    with pytest.raises(SourceError, match=f"no photo in .* \\({len(others)} other files ignored"):
        run(Job((str(tmp_path / "photos"),), str(tmp_path / "p.parquet")), colours)
    assert os.listdir(tmp_path) == ["photos"]


def test_limit_stops_after_so_many(album: Path, colours: Predictor, tmp_path: Path) -> None:
    rows = _rows(Job((str(album),), str(tmp_path / "p.parquet"), limit=7), colours)
    assert [row["path"] for row in rows] == [ref.path for ref in Listing([str(album)])][:7]


def test_read_ahead_is_bounded(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = save_shade(tmp_path / "photo.png", 1)
    names = tmp_path / "names.txt"
    names.write_text(f"{photo}\n" * 500)
    listing = Listing([f"@{names}"])
    monkeypatch.setattr("scene_batch.pipeline.run.Listing", lambda sources, **more: listing)
    ahead = []

    def watch(tally: Tally) -> None:
        ahead.append(listing.found - tally.rows)

    run(Job((f"@{names}",), str(tmp_path / "p.parquet"), workers=3), colours, Watch(watch))
    assert listing.found == 500
    in_batches = (colours.session.calls + 1) * colours.session.batch_size
    assert max(ahead) <= 2 * in_batches + REMOTE_READERS


def test_photos_and_rows_that_differ_are_a_defect_and_no_table(
    album: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda self, batch: whole(self, batch)[1:])
    with pytest.raises(AccountingError, match="30 photos found, 26 classified, 26 rows"):
        run(Job((str(album),), str(tmp_path / "p.parquet")), colours)
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_what_was_there_and_no_thread(
    album: Path, colours: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "p.parquet").write_bytes(b"the old table")

    def fail(tally: Tally) -> None:
        raise RuntimeError("in the middle")

    before = threading.active_count()
    with pytest.raises(RuntimeError):
        run(Job((str(album),), str(tmp_path / "p.parquet"), overwrite=True), colours, Watch(fail))
    assert threading.active_count() == before
    assert os.listdir(tmp_path) == ["p.parquet"]
    assert (tmp_path / "p.parquet").read_bytes() == b"the old table"


def test_an_output_that_is_there_is_kept_without_overwrite(
    album: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(album),), str(tmp_path / "p.parquet"))
    run(job, colours)
    first = (tmp_path / "p.parquet").read_bytes()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        run(job, colours)
    assert (tmp_path / "p.parquet").read_bytes() == first
    run(Job(job.sources, job.out, overwrite=True), colours)


@pytest.mark.parametrize(
    ("name", "words"), [("no/p.parquet", "mkdir -p"), ("d.csv", "is a directory")]
)
def test_a_place_that_cannot_be_written_is_said_before_any_work(
    name: str, words: str, album: Path, colours: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(OutputError, match=words):
        run(Job((str(album),), str(tmp_path / name)), colours)


def test_the_record_counts_and_says_what_ran(
    album: Path, colours: Predictor, tmp_path: Path
) -> None:
    record = run(Job((str(album),), str(tmp_path / "p.parquet"), workers=2), colours)
    beside = json.loads((tmp_path / "p.parquet.run.json").read_text())
    inside = pq.read_metadata(tmp_path / "p.parquet").metadata[b"scene_batch.run"]
    assert beside == json.loads(inside) == json.loads(record.to_json())
    assert (beside["photos"], beside["ok"]) == (30, 28)
    assert beside["unreadable"] == {"empty": 1, "unknown_format": 1}
    assert sum(beside["classes"].values()) == 28
    assert list(beside["classes"]) == ["red", "green", "blue"]
    assert beside["provider"] == "cpu"
    assert beside["model"]["name"] == "colours"
    assert len(beside["model"]["sha256"]) == 64
    assert beside["settings"]["workers"] == 2
    assert list(beside["stages"]) == ["list", "read", "decode", "infer", "write"]
    for stage in beside["stages"].values():
        whole = stage["threads"] * record.seconds
        assert stage["busy_seconds"] + stage["waiting_seconds"] == pytest.approx(whole, abs=0.01)
    assert beside["stages"]["infer"]["busy_seconds"] > 0
    assert {"scene_batch", "onnxruntime", "pillow"} < set(beside["versions"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_that_cannot_continue_and_leaves_nothing(
    number: signal.Signals, code: int, colour_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    photo = save_photo(tmp_path / "photo.png")
    words = command("run", "@-", "--out", out / "p.csv", "--model", colour_model)
    with (
        subprocess.Popen(["yes", str(photo)], stdout=subprocess.PIPE) as endless,
        started(words, stdin=endless.stdout) as process,
    ):
        assert endless.stdout is not None
        endless.stdout.close()  # it is the run's now: with the run, `yes` ends
        wait_for(lambda: list(out.glob("p.csv.parts/part-*.parquet")))
        process.send_signal(number)
        assert process.wait(20) == code
    assert os.listdir(out) == []
