"""A read that hangs is a row, and too many of them stop a run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scene_batch.errors import (
    HungReadsError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.sources.reading import Reader
from support import save_shade

pytestmark = pytest.mark.usefixtures("hung_threads_are_left")


def test_a_hung_read_is_a_row_and_too_many_stop_the_run(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        save_shade(tmp_path / "photos" / f"{number:02}.png", number)
    forever, hung = threading.Event(), {"03.png"}
    real = Reader.read

    def read(reader: Reader, ref: Any) -> Any:
        if Path(ref.path).name in hung:
            forever.wait(60)
        return real(reader, ref)

    monkeypatch.setattr(Reader, "read", read)
    job = Job((str(tmp_path / "photos"),), str(tmp_path / "p.parquet"), workers=2, read_timeout=0.3)
    record = run(job, colours)
    assert record.unreadable == {"timeout": 1}
    rows = pq.read_table(job.out).to_pylist()
    assert rows[3]["error"] == "timeout: no answer within 0.3 s"
    assert sum(row["status"] == "ok" for row in rows) == 11
    hung.add("07.png")
    Path(job.out).unlink()
    with pytest.raises(HungReadsError, match="2 reads have not answered"):
        run(job, colours)
    hung.clear()
    assert run(job, colours).photos == 12
    forever.set()


def test_hung_reads_do_not_stop_at_the_same_place_for_ever(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        save_shade(tmp_path / "photos" / f"{number:02}.png", number)
    forever, real = threading.Event(), Reader.read

    def read(reader: Reader, ref: Any) -> Any:
        if Path(ref.path).name in ("05.png", "06.png", "12.png", "13.png"):
            forever.wait(60)
        return real(reader, ref)

    monkeypatch.setattr(Reader, "read", read)
    job = Job((str(tmp_path / "photos"),), str(tmp_path / "p.parquet"), workers=2, read_timeout=0.2)
    for _ in range(2):
        with pytest.raises(HungReadsError):
            run(job, colours)
    record = run(job, colours)
    forever.set()
    assert (record.photos, record.unreadable) == (20, {"timeout": 4})
