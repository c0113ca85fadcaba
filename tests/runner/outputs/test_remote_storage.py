"""Tables in buckets: whole or not there, and continued from anywhere."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from buckets import Bucket
from faults import CUT, Fault, Request, slow_down
from scene_batch.errors import (
    OutputError,
    OutputExistsError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.object_store import stores
from scene_batch.outputs import remote_storage
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import break_off


@pytest.mark.parametrize("name", ["out.parquet", "deep/er/out.csv", "out.jsonl"])
def test_a_table_in_a_bucket_is_that_of_the_disk(
    name: str, bucket: Bucket, sixty: Path, colours: Predictor, tmp_path: Path, small_parts: None
) -> None:
    record = run(Job((str(sixty),), f"{bucket.url}/{name}"), colours)
    run(Job((str(sixty),), str(tmp_path / Path(name).name)), colours)
    assert bucket.keys() == [name, f"{name}.run.json"]
    if name.endswith(".parquet"):
        assert bucket.table(name).equals(pq.read_table(tmp_path / "out.parquet"))
    else:
        assert bucket.get(name) == (tmp_path / Path(name).name).read_bytes()
    assert json.loads(bucket.get(f"{name}.run.json"))["photos"] == record.photos == 60
    with pytest.raises(OutputExistsError, match="already there: replace it with --overwrite"):
        run(Job((str(sixty),), f"{bucket.url}/{name}"), colours)
    assert run(Job((str(sixty),), f"{bucket.url}/{name}", overwrite=True), colours).photos == 60


def test_a_data_set_in_a_bucket_is_marked_as_whole_at_the_end(
    bucket: Bucket,
    sixty: Path,
    sixty_rows: pa.Table,
    colours: Predictor,
    tmp_path: Path,
    small_parts: None,
) -> None:
    bucket.put("out/.keep-me-not.txt", b"x")
    job = Job((str(sixty),), f"{bucket.url}/out/")
    with pytest.raises(OutputError, match=r"holds '\.keep-me-not\.txt' and is no data set"):
        run(job, colours)
    bucket.delete("out/.keep-me-not.txt")
    run(job, colours)
    keys = bucket.keys()
    assert keys[0] == "out/_run.json"
    assert keys[1:] == [f"out/part-{n:06}.parquet" for n in range(len(keys) - 1)]
    wrote = [r.path for r in bucket.front.requests if r.method == "PUT" and "/out/" in r.path]
    assert wrote[-1].endswith("out/_run.json")
    for key in keys:
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(bucket.get(key))
    table = ds.dataset(tmp_path / "out").to_table()
    assert table.num_rows == 60
    assert table.equals(sixty_rows.cast(table.schema))
    # Fewer parts take its place, and none of the old ones stay.
    run(Job((str(sixty),), f"{bucket.url}/out/", overwrite=True, limit=5), colours)
    assert bucket.keys() == ["out/_run.json", "out/part-000000.parquet"]


@pytest.mark.parametrize("name", ["out.parquet", "out/"])
def test_a_run_from_bucket_to_bucket_continues_from_a_fresh_directory(
    name: str,
    bucket: Bucket,
    sixty: Path,
    colours: Predictor,
    tmp_path: Path,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket.fill(sixty, "in/")
    run(Job((f"{bucket.url}/in",), f"{bucket.url}/whole.parquet"), colours)
    job = Job((f"{bucket.url}/in",), f"{bucket.url}/{name}")
    for number, rows in enumerate((20, 30, 55)):
        (tmp_path / f"{number}").mkdir()
        monkeypatch.chdir(tmp_path / f"{number}")
        break_off(job, colours, rows)
        assert not any(key.startswith(name) and ".parts" not in key for key in bucket.keys())
    before = len(bucket.front.photos)
    record = run(job, colours)
    assert len(bucket.front.photos) - before < 60 - 40
    assert record.attempts == 4
    assert bucket.table(name).equals(bucket.table("whole.parquet"))
    assert not any(".parts" in key for key in bucket.keys())


def test_a_bad_line_to_the_bucket_is_borne(
    bucket: Bucket,
    sixty: Path,
    sixty_rows: pa.Table,
    colours: Predictor,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(stores._BACKOFF, "init_backoff", timedelta(seconds=0.01))

    def decide(request: Request) -> Fault | None:
        faults = (slow_down(), Fault(500, "InternalError"), Fault(drop=True), CUT)
        if request.number or request.total % 2:
            return None
        return faults[request.total // 2 % (4 if request.method == "GET" else 3)]

    bucket.front.decide = decide
    run(Job((str(sixty),), f"{bucket.url}/out.parquet"), colours)
    assert bucket.table("out.parquet").equals(sixty_rows)
    assert bucket.keys() == ["out.parquet", "out.parquet.run.json"]


def test_a_large_table_is_put_in_pieces(
    bucket: Bucket, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_storage, "MULTIPART_BYTES", 5 << 20)
    long = tmp_path / ("n" * 200) / ("m" * 200)
    names = "\n".join([f"{long}/{number:09}.png" for number in range(24_000)])
    (tmp_path / "list.txt").write_text(names)
    monkeypatch.setattr("scene_batch.tables.parquet_file._REPEATING", [])
    run(Job((f"@{tmp_path}/list.txt",), f"{bucket.url}/out.jsonl"), colours)
    assert bucket.get("out.jsonl").count(b"\n") == 24_000
    pieces = [r for r in bucket.front.requests if "partNumber" in r.query]
    assert len(pieces) >= 2
