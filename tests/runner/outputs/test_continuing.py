"""Nothing done is lost: a run that is broken off goes on, and ends in the same table."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scene_batch.errors import (
    HungReadsError,
    Interrupted,
    OutputExistsError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.outputs.ledger import Ledger
from scene_batch.outputs.storage import open_storage
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.sources.reading import Reader
from support import Watch, break_off, broken_off_at, counts

pytestmark = pytest.mark.usefixtures("small_parts")


def _slow_until(rows: int, seconds: float) -> Callable[[Tally], None]:
    """Takes its time once, and then stops the run a little later."""
    stop, waits = broken_off_at(rows), iter([seconds])

    def watch(tally: Tally) -> None:
        time.sleep(next(waits, 0))
        stop(tally)

    return watch


@pytest.mark.parametrize("stops", [[1], [64], [199], [9, 8, 50, 120, 121, 199]])
def test_a_run_that_is_broken_off_ends_in_the_same_table(
    stops: list[int], photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    job = Job((str(photos),), str(out))
    for stop in stops:
        break_off(job, colours, stop)
        assert not out.exists()
    record = run(job, colours)
    assert pq.read_table(out) == pq.read_table(whole)
    assert counts(out) == counts(whole)
    assert 1 < record.attempts <= 1 + len(stops) or stops == [1]
    assert sorted(os.listdir(tmp_path)) == ["p.parquet", "p.parquet.run.json"]


def test_stages_have_the_threads_of_each_attempt(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    """An attempt's waiting is counted with its own threads, not with those of the last one."""
    out = str(tmp_path / "p.parquet")
    with pytest.raises(KeyboardInterrupt):
        run(Job((str(photos),), out, workers=8), colours, Watch(_slow_until(120, 0.5)))
    record = run(Job((str(photos),), out, workers=1), colours)
    assert record.attempts == 2
    decode = record.stages["decode"]
    assert decode["threads"] == 1
    assert decode["busy_seconds"] + decode["waiting_seconds"] > 8 * 0.5 > record.seconds


def test_only_what_was_not_saved_is_computed_again(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    break_off(job, colours, 150)
    read_again = []
    real = Reader.read
    monkeypatch.setattr(Reader, "read", lambda self, ref: read_again.append(ref) or real(self, ref))
    run(job, colours)
    assert len(read_again) <= 50 + saved.PART_ROWS + colours.session.batch_size


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", "/"])
def test_every_format_continues(
    suffix: str, photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    undisturbed, broken = f"{tmp_path}/a{suffix}", f"{tmp_path}/b{suffix}"
    run(Job((str(photos),), undisturbed), colours)
    break_off(Job((str(photos),), broken), colours, 77)
    run(Job((str(photos),), broken), colours)
    if suffix == "/":
        assert pq.read_table(broken) == pq.read_table(whole)
        assert json.loads((Path(broken) / "_run.json").read_text())["photos"] == 200
        assert all(name.startswith(("part-", "_run")) for name in os.listdir(broken))
        assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    else:
        assert Path(broken).read_bytes() == Path(undisturbed).read_bytes()


def test_a_list_and_a_limit_continue(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    paths = [str(path) for path in photos.rglob("*.png")]
    random.Random(1).shuffle(paths)
    (tmp_path / "list.txt").write_text("\n".join([*paths, "gone.jpg", "", *paths]))
    job = Job((f"@{tmp_path}/list.txt",), str(tmp_path / "p.parquet"), limit=300)
    for stop in (40, 230):
        break_off(job, colours, stop)
    run(job, colours)
    rows = pq.read_table(job.out)["path"].to_pylist()
    assert rows == [*paths, "gone.jpg", *paths][:300]


def test_overwrite_continues_and_keeps_the_old_table_until_the_end(
    photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    out.write_bytes(b"the old table")
    job = Job((str(photos),), str(out), overwrite=True)
    break_off(job, colours, 60)
    assert out.read_bytes() == b"the old table"
    with pytest.raises(OutputExistsError):
        run(Job((str(photos),), str(out)), colours)
    record = run(job, colours)
    assert record.attempts == 2
    assert pq.read_table(out) == pq.read_table(whole)
    again = run(job, colours)  # tomorrow's run of the same command is another one
    assert again.attempts == 1


@pytest.mark.parametrize("kind", ["interrupted", "hung"])
def test_what_was_computed_is_saved_when_a_run_ends_early(
    kind: str,
    photos: Path,
    colours: Predictor,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saved, "PART_ROWS", 100_000)
    monkeypatch.setattr(saved, "PART_SECONDS", (60.0, 60.0))  # no part closes by itself
    reached = []
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    error = Interrupted(signal.SIGTERM) if kind == "interrupted" else HungReadsError(2, 60.0)

    def watch(tally: Tally) -> None:
        if tally.rows >= 85:
            reached.append(tally.rows)
            raise error

    with pytest.raises(type(error)):
        run(job, colours, Watch(watch))
    storage = open_storage(job.out)
    with Ledger(storage) as ledger:
        last = ledger.resume()
    assert last is not None
    assert [last[1].rows] == reached
    run(job, colours)
    assert pq.read_table(job.out) == pq.read_table(whole)


def test_a_data_set_is_replaced_by_another(
    photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    out = f"{tmp_path}/d/"
    run(Job((str(photos / "f1"),), out), colours)
    with pytest.raises(OutputExistsError):
        run(Job((str(photos),), out), colours)
    run(Job((str(photos),), out, overwrite=True), colours)
    assert pq.read_table(out) == pq.read_table(whole)
    assert os.listdir(tmp_path) == ["d"]


def test_a_link_to_a_data_set_stays_one(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    run(Job((str(photos),), f"{tmp_path}/real/", limit=3), colours)
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        run(Job((str(photos),), f"{tmp_path}/link/", overwrite=True), colours)
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]
    assert pq.read_table(tmp_path / "real").num_rows > 3


def test_a_list_whose_name_is_not_utf_8(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")
    Path(name).write_text("\n".join(str(path) for path in sorted(photos.rglob("*.png"))[:5]))
    record = run(Job((f"@{name}",), f"{tmp_path}/p.parquet"), colours)
    assert record.photos == 5
    assert list(record.settings["lists"]) == [f"{tmp_path}/caf\\xe9.txt"]
