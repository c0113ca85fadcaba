"""What is refused before any work, or left as it is, where an output is in a bucket."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from buckets import SECRET, Bucket
from faults import Fault, Request, slow_down
from scene_batch.errors import (
    LedgerError,
    OutputError,
    OutputExistsError,
    UsageError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs.ledger import Ledger
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import break_off, scene_batch

pytestmark = pytest.mark.usefixtures("small_parts")


def test_another_job_is_refused_and_restarted(
    bucket: Bucket, sixty: Path, colours: Predictor
) -> None:
    job = Job((str(sixty),), f"{bucket.url}/out.parquet")
    break_off(job, colours, 20)
    other = Job((str(sixty),), job.out, limit=50)
    with pytest.raises(LedgerError, match=r"another limit .*--restart"):
        run(other, colours)
    assert run(Job(other.sources, other.out, limit=50, restart=True), colours).photos == 50
    bucket.put("two.parquet.parts/letter.txt", b"x")
    with pytest.raises(LedgerError, match=r"holds 'letter\.txt', which is not a run's"):
        run(Job((str(sixty),), f"{bucket.url}/two.parquet"), colours)


def test_a_refused_update_leaves_no_copy_of_the_table_behind(
    bucket: Bucket, sixty: Path, colour_model: Path, tmp_path: Path
) -> None:
    bucket.fill(sixty, "in/")
    words = ["run", f"{bucket.url}/in", "--out", f"{bucket.url}/out.parquet", "--model"]
    assert scene_batch(*words, colour_model).returncode == 0
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = scene_batch(
        *(*words, colour_model, "--update", "--top-k", "1"), environment={"TMPDIR": str(folder)}
    )
    assert done.returncode == 1
    assert b"has a top-k of 3, not 1" in done.stderr
    assert os.listdir(folder) == []


def test_what_lies_in_a_bucket_and_is_not_ours_stays(
    bucket: Bucket, sixty: Path, colours: Predictor
) -> None:
    bucket.put("x/part-000000.parquet", b"somebody's")
    with pytest.raises(OutputError, match="is no data set of scene-batch run"):
        run(Job((str(sixty),), f"{bucket.url}/x/", overwrite=True), colours)
    assert bucket.get("x/part-000000.parquet") == b"somebody's"
    bucket.put("q.csv.run.json", b"somebody's")
    with pytest.raises(OutputError, match="is no run's record"):
        run(Job((str(sixty),), f"{bucket.url}/q.csv"), colours)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("s3://", "no URL that can be opened"),
        ("s3://bucket", "name a file or a folder/ in a bucket"),
        ("s3://bucket/", "name a file or a folder/ in a bucket"),
        ("https://host/out.parquet", "name a file or a folder/ in a bucket"),
        ("s3://bucket/a/../b.parquet", "segment"),
        ("s3://bucket/out", "the suffix decides"),
    ],
)
def test_outputs_that_cannot_be_are_refused(
    out: str, message: str, sixty: Path, colours: Predictor, aws: object
) -> None:
    with pytest.raises(UsageError, match=message):
        run(Job((str(sixty),), out), colours)


REFUSALS = {
    "unknown bucket": (None, "no such bucket"),
    "wrong key": (Fault(403, "InvalidAccessKeyId"), "no valid credentials"),
    "forbidden": (Fault(403, "AccessDenied"), "access denied"),
    "down": (slow_down(), "no sound answer"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_bucket_that_takes_nothing_is_one_line_before_any_work(
    name: str, bucket: Bucket, sixty: Path, colour_model: Path
) -> None:
    fault, message = REFUSALS[name]
    bucket.front.decide = lambda request: fault
    out = f"{bucket.url}/p.parquet" if fault else "s3://no-such-bucket-here/p.parquet"
    begun = time.monotonic()
    done = scene_batch("run", sixty, "--out", out, "--model", colour_model)
    assert time.monotonic() - begun < 15
    text = done.stderr.decode()
    assert (done.returncode, text.count("\n")) == (1, 1), text
    assert message in text
    assert SECRET not in text


def test_a_bucket_that_may_only_be_read_is_one_line(
    bucket: Bucket, sixty: Path, colours: Predictor
) -> None:
    def decide(request: Request) -> Fault | None:
        return Fault(403, "AccessDenied") if request.method == "PUT" else None

    bucket.front.decide = decide
    with pytest.raises(OutputError, match=r"cannot write 's3://.*access denied"):
        run(Job((str(sixty),), f"{bucket.url}/p.parquet"), colours)
    assert bucket.keys() == []


@pytest.mark.parametrize(
    ("where", "name"),
    [("local", "out.parquet"), ("remote", "out.parquet"), ("remote", "out/")],
)
def test_a_finished_run_is_done_only_for_its_own_job_and_with_its_table(
    where: str,
    name: str,
    bucket: Bucket,
    sixty: Path,
    colours: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run is killed between giving the table its name and clearing away."""
    out = f"{bucket.url}/{name}" if where == "remote" else f"{tmp_path}/{name}"
    job, other = Job((str(sixty),), out), Job((str(sixty),), out, limit=7)

    def killed(ledger: Ledger, *_: object) -> None:
        if where == "remote":
            ledger._storage.delete(["job.json"])
        raise KeyboardInterrupt

    def finish_and_die() -> None:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Ledger, "remove", killed)
            run(job, colours)

    finish_and_die()
    with pytest.raises(OutputExistsError):
        run(other, colours)
    if where == "remote":
        for key in bucket.keys():
            bucket.delete(key)
    else:
        Path(out).unlink()
    finish_and_die()
    done = f"{name}_run.json" if name == "out/" else name
    if where == "remote":
        bucket.delete(done)
        for key in bucket.keys():
            if key.startswith("out/"):
                bucket.delete(key)
    else:
        Path(out).unlink()
    assert run(job, colours).photos == 60
    table = bucket.table(name) if where == "remote" else pq.read_table(out)
    assert table.num_rows == 60
