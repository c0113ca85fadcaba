"""Killed at any write, a run into a bucket goes on and ends in the same table."""

from __future__ import annotations

import itertools
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from buckets import Bucket
from faults import Fault, Kill, Request
from scene_batch.errors import (
    OutputError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import break_off, command, scene_batch, started, wait_for

pytestmark = pytest.mark.usefixtures("small_parts")


def test_sigkill_of_a_run_from_bucket_to_bucket(
    bucket: Bucket, sixty: Path, colour_model: Path, colours: Predictor, tmp_path: Path
) -> None:
    bucket.fill(sixty, "in/")
    run(Job((f"{bucket.url}/in",), f"{bucket.url}/whole.parquet"), colours)
    bucket.front.decide = lambda r: Fault(delay=0.5) if r.is_photo else None
    out = f"{bucket.url}/out.parquet"
    words = ["run", f"{bucket.url}/in", "--out", out, "--model", colour_model, "--batch-size", "1"]
    for number in range(2):
        (tmp_path / f"{number}").mkdir()
        with started(command(*words), cwd=tmp_path / f"{number}") as process:
            wait_for(lambda n=number: sum("/part-" in key for key in bucket.keys()) > n)
            process.send_signal(signal.SIGKILL)
            assert process.wait(20) == -signal.SIGKILL
    bucket.front.decide = lambda r: None
    before = len(bucket.front.photos)
    done = scene_batch(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(bucket.front.photos) - before < 60
    assert bucket.table("out.parquet").equals(bucket.table("whole.parquet"))
    assert os.listdir(tmp_path / "0") == []


@pytest.mark.parametrize("name", ["out.parquet", "out/"])
def test_a_kill_at_any_write_is_continued(
    name: str,
    bucket: Bucket,
    sixty: Path,
    sixty_rows: pa.Table,
    colours: Predictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each write and removal in turn is the last thing that a run does."""
    monkeypatch.setattr(saved, "PART_ROWS", 16)  # four parts: a first, a last and others
    job = Job((str(sixty),), f"{bucket.url}/{name}")
    for writes in itertools.count():
        bucket.front.decide = kill = Kill(writes)
        said = ""
        try:
            run(job, colours)
        except OutputError as error:
            said = str(error)
        assert ("Killed" in said) == kill.struck
        bucket.front.decide = lambda request: None
        record = run(Job(job.sources, job.out, overwrite=not kill.struck), colours)
        assert record.photos == 60
        assert bucket.table(name).equals(sixty_rows)
        keys = bucket.keys()
        assert not any(".parts" in key for key in keys)
        assert name.endswith("/") or keys == ["out.parquet", "out.parquet.run.json"]
        bucket.delete(*keys)
        if not kill.struck:
            break
    assert writes > 15


def test_a_bucket_is_brought_up_to_date_and_a_kill_at_any_write_is_continued(
    bucket: Bucket, sixty: Path, colours: Predictor
) -> None:
    bucket.fill(sixty, "in/")
    source, out = f"{bucket.url}/in", f"{bucket.url}/out.parquet"
    run(Job((source,), f"{bucket.url}/whole.parquet"), colours)
    run(Job((source,), out, limit=50), colours)
    old = {key: bucket.get(key) for key in ("out.parquet", "out.parquet.run.json")}
    update = Job((source,), out, update=True)
    for writes in itertools.count():
        for key, data in old.items():
            bucket.put(key, data)
        bucket.front.decide = kill = Kill(writes)
        before = len(bucket.front.photos)
        with suppress(OutputError):
            run(update, colours)
        assert len(bucket.front.photos) - before <= 10
        bucket.front.decide = lambda request: None
        run(update, colours)
        assert bucket.table("out.parquet").equals(bucket.table("whole.parquet"))
        assert not any(".parts" in key for key in bucket.keys())
        if not kill.struck:
            break
    assert writes > 5


def test_a_data_set_that_is_half_published_can_be_restarted(
    bucket: Bucket, sixty: Path, colours: Predictor
) -> None:
    job = Job((str(sixty),), f"{bucket.url}/out/")

    def decide(request: Request) -> Fault | None:
        return Fault(400, "Killed") if request.path.endswith("/out/part-000003.parquet") else None

    bucket.front.decide = decide
    with pytest.raises(OutputError, match="Killed"):
        run(job, colours)
    bucket.front.decide = lambda request: None
    break_off(Job(job.sources, job.out, restart=True), colours, 1)
    assert run(job, colours).photos == 60
    assert "out/_run.json" in bucket.keys()


def test_sigterm_saves_what_is_done_in_the_bucket(
    bucket: Bucket, sixty: Path, colour_model: Path
) -> None:
    bucket.fill(sixty, "in/")
    bucket.front.decide = lambda r: Fault(delay=0.3) if r.is_photo else None
    words = ["run", f"{bucket.url}/in", "--out", f"{bucket.url}/out.parquet", "--model"]
    with started(command(*words, colour_model, "--batch-size", "1")) as process:
        wait_for(lambda: len(bucket.front.photos) >= 34)
        time.sleep(0.3)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert time.monotonic() - begun < 15
    assert any("/part-000000" in key for key in bucket.keys())


def test_sigterm_is_heard_while_an_earlier_table_is_read(
    bucket: Bucket, sixty: Path, colour_model: Path
) -> None:
    bucket.fill(sixty, "in/")
    words = ["run", f"{bucket.url}/in", "--out", f"{bucket.url}/out.parquet", "--update", "--model"]
    assert scene_batch(*words, colour_model).returncode == 0
    bucket.front.decide = lambda r: (
        Fault(sent=0.5, stall=60) if r.path.endswith("/out.parquet") else None
    )
    before = len(bucket.front.requests)
    with started(command(*words, colour_model)) as process:
        wait_for(
            lambda: any(
                r.method == "GET" and r.path.endswith("/out.parquet")
                for r in bucket.front.requests[before:]
            )
        )
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert time.monotonic() - begun < 15
