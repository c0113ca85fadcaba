"""Of several writers of one output in a bucket, the one that finds the other's part stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from buckets import Bucket
from faults import Fault, Request
from scene_batch.errors import (
    LedgerError,
    OutputBusyError,
    OutputExistsError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import Watch, break_off, broken_off_at

pytestmark = pytest.mark.usefixtures("small_parts")


def _at_the_first_part(bucket: Bucket, do: Callable[[], None]) -> None:
    """Do something between a run's computing its first part and putting it."""

    def decide(request: Request) -> Fault | None:
        if request.method == "PUT" and request.path.endswith("part-000000.parquet"):
            bucket.front.decide = lambda request: None
            do()
        return None

    bucket.front.decide = decide


@pytest.mark.parametrize("name", ["out.parquet", "out/"])
def test_of_two_writers_the_one_that_finds_a_part_stops(
    name: str, bucket: Bucket, sixty: Path, sixty_rows: pa.Table, colours: Predictor
) -> None:
    """Both begin at nothing; the second puts two parts while the first computes its own."""
    job = Job((str(sixty),), f"{bucket.url}/{name}")

    def second() -> None:
        break_off(job, colours, 20)

    _at_the_first_part(bucket, second)
    with pytest.raises(OutputBusyError, match=r"it has put 'part-000000\.parquet' there"):
        run(job, colours)
    run(job, colours)
    assert bucket.table(name).equals(sixty_rows)


@pytest.mark.parametrize("name", ["out.parquet", "out/"])
def test_a_writer_that_was_overtaken_keeps_its_hands_off(
    name: str, bucket: Bucket, sixty: Path, sixty_rows: pa.Table, colours: Predictor
) -> None:
    """The second ends and clears away, and a third begins, while the first computes."""
    job = Job((str(sixty),), f"{bucket.url}/{name}")
    third = Job((str(sixty),), f"{bucket.url}/{name}", overwrite=True, restart=True)

    def second() -> None:
        run(job, colours)

    _at_the_first_part(bucket, second)
    with pytest.raises(OutputBusyError, match="another process has written 's3://"):
        run(job, colours)
    assert bucket.table(name).equals(sixty_rows)
    run(third, colours)
    assert not any(".parts" in key for key in bucket.keys())

    def third_is_killed() -> None:
        break_off(third, colours, 30)

    for key in bucket.keys():
        bucket.delete(key)
    _at_the_first_part(bucket, third_is_killed)
    with pytest.raises(OutputBusyError):
        run(job, colours)
    record = run(job, colours)
    assert record.attempts == 2
    assert bucket.table(name).equals(sixty_rows)


def test_a_second_start_that_saves_nothing_leaves_the_first_its_work(
    bucket: Bucket,
    sixty: Path,
    sixty_rows: pa.Table,
    colours: Predictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = Job((str(sixty),), f"{bucket.url}/out.parquet")

    def second() -> None:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(saved, "PART_ROWS", 1000)
            run(job, colours, Watch(broken_off_at(0)))

    _at_the_first_part(bucket, second)
    run(job, colours)
    assert bucket.table("out.parquet").equals(sixty_rows)


def test_another_job_leaves_a_writer_alone(
    bucket: Bucket, sixty: Path, sixty_rows: pa.Table, colours: Predictor
) -> None:
    """It may be alive, though nothing of it is saved yet."""
    job = Job((str(sixty),), f"{bucket.url}/out.parquet", overwrite=True)
    bucket.put("out.parquet", b"an older table")
    refused: list[BaseException] = []

    def others() -> None:
        for other in (
            Job((str(sixty),), job.out, limit=40, overwrite=True),
            Job((str(sixty),), job.out),
        ):
            with pytest.raises((LedgerError, OutputExistsError)) as caught:
                run(other, colours)
            refused.append(caught.value)

    _at_the_first_part(bucket, others)
    run(job, colours)
    assert [type(error) for error in refused] == [LedgerError, OutputExistsError]
    assert bucket.table("out.parquet").equals(sixty_rows)


def test_a_part_whose_answer_was_lost_is_no_other_writers(
    bucket: Bucket, sixty: Path, sixty_rows: pa.Table, colours: Predictor
) -> None:
    """The store has it, but the answer never came: asked again, the store says it is there."""

    def decide(request: Request) -> Fault | None:
        if request.method == "PUT" and "part-" in request.path and not request.number:
            return Fault(lose=True)
        return None

    bucket.front.decide = decide
    run(Job((str(sixty),), f"{bucket.url}/out.parquet"), colours)
    assert bucket.table("out.parquet").equals(sixty_rows)
    conditional = [r for r in bucket.front.requests if r.method == "PUT" and "part-" in r.path]
    assert all(r.headers.get("if-none-match") == "*" for r in conditional)
