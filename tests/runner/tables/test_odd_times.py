"""Modification times that no calendar has are null, in every format, and stop nothing."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import known_time
from support import save_shade

_MEMORY = Path("/dev/shm")


@pytest.mark.skipif(not _MEMORY.is_dir(), reason="disks keep fewer years than a file system in RAM")
def test_photos_of_the_year_10000_and_before_the_year_1(
    colours: Predictor, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = _MEMORY / f"scene-batch-{os.getpid()}"
    request.addfinalizer(lambda: [file.unlink() for file in folder.iterdir()] and folder.rmdir())
    moments = {"a": 253_402_300_799, "b": 253_402_300_800, "c": -62_135_596_801, "d": 10**9}
    for number, (name, moment) in enumerate(moments.items()):
        os.utime(save_shade(folder / f"{name}.png", number), (moment, moment))
    found = {}
    for suffix in ("parquet", "csv", "jsonl"):
        out = tmp_path / f"p.{suffix}"
        assert run(Job((str(folder),), str(out)), colours).photos == 4
        found[suffix] = out
    want = ["9999-12-31T23:59:59.000000Z", None, None, "2001-09-09T01:46:40.000000Z"]
    with found["csv"].open(newline="") as rows:
        assert [row["modified_at"] or None for row in csv.DictReader(rows)] == want
    lines = found["jsonl"].read_text().splitlines()
    assert [json.loads(line)["modified_at"] for line in lines] == want
    assert pq.read_table(found["parquet"])["modified_at"].null_count == 2


def test_the_edges_of_the_calendar() -> None:
    year_1, year_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000
    assert [known_time(t) for t in (year_1, year_1 - 1)] == [year_1, None]
    assert [known_time(t) for t in (year_10000 - 1, year_10000)] == [year_10000 - 1, None]
