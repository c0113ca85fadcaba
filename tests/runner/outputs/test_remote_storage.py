"""Tables in buckets: whole or not there, continued from anywhere, one writer at a time."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from buckets import SECRET, Bucket
from front import CUT, Fault, Request, slow_down
from scene_batch.errors import (
    LedgerError,
    OutputBusyError,
    OutputError,
    OutputExistsError,
    UsageError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import remote_storage, saved
from scene_batch.outputs.ledger import Ledger
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import command, process_environment, save_shade, scene_batch


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(60):
        save_shade(tmp_path / "photos" / f"{number % 3}" / f"{number:02}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "PART_ROWS", 8)


def _table(bucket: Bucket, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(bucket.get(key)))


def _rows_of(bucket: Bucket, name: str) -> pa.Table:
    """The rows of a file or a data set."""
    if not name.endswith("/"):
        return _table(bucket, name)
    keys = [key for key in bucket.keys() if key.startswith(f"{name}part-")]
    assert f"{name}_run.json" in bucket.keys()
    return pa.concat_tables(_table(bucket, key) for key in keys)


def _locally(photos: Path, predictor: Predictor, tmp_path: Path) -> pa.Table:
    run(Job((str(photos),), str(tmp_path / "locally.parquet"), overwrite=True), predictor)
    return pq.read_table(tmp_path / "locally.parquet")


@pytest.mark.parametrize("name", ["out.parquet", "deep/er/out.csv", "out.jsonl"])
def test_a_table_in_a_bucket_is_that_of_the_disk(
    name: str,
    bucket: Bucket,
    photos: Path,
    colours: Predictor,
    tmp_path: Path,
    small_parts: None,
) -> None:
    record = run(Job((str(photos),), f"{bucket.url}/{name}"), colours)
    run(Job((str(photos),), str(tmp_path / Path(name).name)), colours)
    assert bucket.keys() == [name, f"{name}.run.json"]
    if name.endswith(".parquet"):
        assert _table(bucket, name).equals(pq.read_table(tmp_path / "out.parquet"))
    else:
        assert bucket.get(name) == (tmp_path / Path(name).name).read_bytes()
    assert json.loads(bucket.get(f"{name}.run.json"))["photos"] == record.photos == 60
    with pytest.raises(OutputExistsError, match="already there: replace it with --overwrite"):
        run(Job((str(photos),), f"{bucket.url}/{name}"), colours)
    assert run(Job((str(photos),), f"{bucket.url}/{name}", overwrite=True), colours).photos == 60


def test_a_data_set_in_a_bucket_is_marked_as_whole_at_the_end(
    bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path, small_parts: None
) -> None:
    bucket.put("out/.keep-me-not.txt", b"x")
    job = Job((str(photos),), f"{bucket.url}/out/")
    with pytest.raises(OutputError, match=r"holds '\.keep-me-not\.txt' and is no data set"):
        run(job, colours)
    bucket.client.delete_object(Bucket=bucket.name, Key="out/.keep-me-not.txt")
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
    assert table.equals(_locally(photos, colours, tmp_path).cast(table.schema))
    # Fewer parts take its place, and none of the old ones stay.
    run(Job((str(photos),), f"{bucket.url}/out/", overwrite=True, limit=5), colours)
    assert bucket.keys() == ["out/_run.json", "out/part-000000.parquet"]


def _broken_off_at(rows: int) -> Callable[[Tally], None]:
    def watch(tally: Tally) -> None:
        if tally.rows >= rows:
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize("name", ["out.parquet", "out/"])
def test_a_run_from_bucket_to_bucket_continues_from_a_fresh_directory(
    name: str,
    bucket: Bucket,
    photos: Path,
    colours: Predictor,
    tmp_path: Path,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket.fill(photos, "in/")
    run(Job((f"{bucket.url}/in",), f"{bucket.url}/whole.parquet"), colours)
    job = Job((f"{bucket.url}/in",), f"{bucket.url}/{name}")
    for number, rows in enumerate((20, 30, 55)):
        (tmp_path / f"{number}").mkdir()
        monkeypatch.chdir(tmp_path / f"{number}")
        with pytest.raises(KeyboardInterrupt):
            run(job, colours, _broken_off_at(rows))
        assert not any(key.startswith(name) and ".parts" not in key for key in bucket.keys())
    before = len(bucket.front.photos)
    record = run(job, colours)
    assert len(bucket.front.photos) - before < 60 - 40
    assert record.attempts == 4
    if name == "out.parquet":
        table = _table(bucket, name)
    else:
        parts = [key for key in bucket.keys() if key.startswith("out/part")]
        table = pa.concat_tables(_table(bucket, key) for key in parts)
    assert table.equals(_table(bucket, "whole.parquet"))
    assert not any(".parts" in key for key in bucket.keys())
    offsets = [r.query for r in bucket.front.requests if "start-after=in%2F" in r.query]
    assert len(offsets) == 3


def test_sigkill_of_a_run_from_bucket_to_bucket(
    bucket: Bucket, photos: Path, colour_model: Path, colours: Predictor, tmp_path: Path
) -> None:
    bucket.fill(photos, "in/")
    run(Job((f"{bucket.url}/in",), f"{bucket.url}/whole.parquet"), colours)
    bucket.front.decide = lambda r: Fault(delay=0.5) if r.is_photo else None
    out = f"{bucket.url}/out.parquet"
    words = ["run", f"{bucket.url}/in", "--out", out, "--model", colour_model, "--batch-size", "1"]
    for number in range(2):
        (tmp_path / f"{number}").mkdir()
        with subprocess.Popen(
            command(*words), env=process_environment(), cwd=tmp_path / f"{number}"
        ) as process:
            until, saved_parts = time.monotonic() + 30, 0
            while saved_parts <= number and time.monotonic() < until:
                time.sleep(0.02)
                saved_parts = sum("/part-" in key for key in bucket.keys())
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    bucket.front.decide = lambda r: None
    before = len(bucket.front.photos)
    done = scene_batch(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(bucket.front.photos) - before < 60
    assert _table(bucket, "out.parquet").equals(_table(bucket, "whole.parquet"))
    assert os.listdir(tmp_path / "0") == []


@pytest.mark.parametrize("name", ["out.parquet", "out/"])
def test_a_kill_at_any_write_is_continued(
    name: str,
    bucket: Bucket,
    photos: Path,
    colours: Predictor,
    tmp_path: Path,
    small_parts: None,
) -> None:
    """Each write and removal in turn is the last thing that a run does."""
    want = _locally(photos, colours, tmp_path)
    job = Job((str(photos),), f"{bucket.url}/{name}")
    writes = ("PUT", "POST", "DELETE")
    killed = at = 0
    while True:

        def decide(request: Request) -> Fault | None:
            nonlocal left
            if request.method in writes:
                left -= 1
            return Fault(400, "Killed") if left < 0 else None

        left = at
        bucket.front.decide = decide
        try:
            run(job, colours)
        except OutputError as error:
            killed += 1
            assert "Killed" in str(error)
        bucket.front.decide = lambda request: None
        record = run(Job(job.sources, job.out, overwrite=left >= 0), colours)
        assert record.photos == 60
        keys = bucket.keys()
        if name == "out.parquet":
            assert keys == ["out.parquet", "out.parquet.run.json"]
            assert _table(bucket, name).equals(want)
        else:
            assert not any(".parts" in key for key in keys)
            parts = [key for key in keys if key.startswith("out/part")]
            assert pa.concat_tables(_table(bucket, key) for key in parts).equals(want)
        for key in keys:
            bucket.client.delete_object(Bucket=bucket.name, Key=key)
        if left >= 0:
            break
        at += 1
    assert killed == at > 20


def test_another_job_is_refused_and_restarted(
    bucket: Bucket, photos: Path, colours: Predictor, small_parts: None
) -> None:
    job = Job((str(photos),), f"{bucket.url}/out.parquet")
    with pytest.raises(KeyboardInterrupt):
        run(job, colours, _broken_off_at(20))
    other = Job((str(photos),), job.out, limit=50)
    with pytest.raises(LedgerError, match=r"another limit .*--restart"):
        run(other, colours)
    assert run(Job(other.sources, other.out, limit=50, restart=True), colours).photos == 50
    bucket.put("two.parquet.parts/letter.txt", b"x")
    with pytest.raises(LedgerError, match=r"holds 'letter\.txt', which is not a run's"):
        run(Job((str(photos),), f"{bucket.url}/two.parquet"), colours)


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
    name: str, bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path, small_parts: None
) -> None:
    """Both begin at nothing; the second puts two parts while the first computes its own."""
    job = Job((str(photos),), f"{bucket.url}/{name}")

    def second() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(job, colours, _broken_off_at(20))

    _at_the_first_part(bucket, second)
    with pytest.raises(OutputBusyError, match=r"it has put 'part-000000\.parquet' there"):
        run(job, colours)
    run(job, colours)
    assert _rows_of(bucket, name).equals(_locally(photos, colours, tmp_path))


@pytest.mark.parametrize("name", ["out.parquet", "out/"])
def test_a_writer_that_was_overtaken_keeps_its_hands_off(
    name: str, bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path, small_parts: None
) -> None:
    """The second ends and clears away, and a third begins, while the first computes."""
    job = Job((str(photos),), f"{bucket.url}/{name}")
    third = Job((str(photos),), f"{bucket.url}/{name}", overwrite=True, restart=True)

    def second() -> None:
        run(job, colours)

    _at_the_first_part(bucket, second)
    with pytest.raises(OutputBusyError, match="another process has written 's3://"):
        run(job, colours)
    want = _locally(photos, colours, tmp_path)
    assert _rows_of(bucket, name).equals(want)
    run(third, colours)
    assert not any(".parts" in key for key in bucket.keys())

    def third_is_killed() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(third, colours, _broken_off_at(30))

    for key in bucket.keys():
        bucket.client.delete_object(Bucket=bucket.name, Key=key)
    _at_the_first_part(bucket, third_is_killed)
    with pytest.raises(OutputBusyError):
        run(job, colours)
    record = run(job, colours)
    assert record.attempts == 2
    assert _rows_of(bucket, name).equals(want)


def test_a_second_start_that_saves_nothing_leaves_the_first_its_work(
    bucket: Bucket,
    photos: Path,
    colours: Predictor,
    tmp_path: Path,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = Job((str(photos),), f"{bucket.url}/out.parquet")

    def second() -> None:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(saved, "PART_ROWS", 1000)
            run(job, colours, _broken_off_at(0))

    _at_the_first_part(bucket, second)
    run(job, colours)
    assert _table(bucket, "out.parquet").equals(_locally(photos, colours, tmp_path))


def test_a_data_set_that_is_half_published_can_be_restarted(
    bucket: Bucket, photos: Path, colours: Predictor, small_parts: None
) -> None:
    job = Job((str(photos),), f"{bucket.url}/out/")

    def decide(request: Request) -> Fault | None:
        return Fault(400, "Killed") if request.path.endswith("/out/part-000003.parquet") else None

    bucket.front.decide = decide
    with pytest.raises(OutputError, match="Killed"):
        run(job, colours)
    bucket.front.decide = lambda request: None
    with pytest.raises(KeyboardInterrupt):
        run(Job(job.sources, job.out, restart=True), colours, _broken_off_at(1))
    assert run(job, colours).photos == 60
    assert "out/_run.json" in bucket.keys()


def test_a_refused_update_leaves_no_copy_of_the_table_behind(
    bucket: Bucket, photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    bucket.fill(photos, "in/")
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


def test_sigterm_is_heard_while_an_earlier_table_is_read(
    bucket: Bucket, photos: Path, colours: Predictor, colour_model: Path
) -> None:
    bucket.fill(photos, "in/")
    words = ["run", f"{bucket.url}/in", "--out", f"{bucket.url}/out.parquet", "--update", "--model"]
    assert scene_batch(*words, colour_model).returncode == 0
    bucket.front.decide = lambda r: (
        Fault(sent=0.5, stall=60) if r.path.endswith("/out.parquet") else None
    )
    before = len(bucket.front.requests)
    with subprocess.Popen(command(*words, colour_model), env=process_environment()) as process:
        until = time.monotonic() + 30
        while time.monotonic() < until and not any(
            r.method == "GET" and r.path.endswith("/out.parquet")
            for r in bucket.front.requests[before:]
        ):
            time.sleep(0.05)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert time.monotonic() - begun < 15


def test_another_job_leaves_a_writer_alone(
    bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path, small_parts: None
) -> None:
    """It may be alive, though nothing of it is saved yet."""
    job = Job((str(photos),), f"{bucket.url}/out.parquet", overwrite=True)
    bucket.put("out.parquet", b"an older table")
    refused: list[BaseException] = []

    def others() -> None:
        for other in (
            Job((str(photos),), job.out, limit=40, overwrite=True),
            Job((str(photos),), job.out),
        ):
            with pytest.raises((LedgerError, OutputExistsError)) as caught:
                run(other, colours)
            refused.append(caught.value)

    _at_the_first_part(bucket, others)
    run(job, colours)
    assert [type(error) for error in refused] == [LedgerError, OutputExistsError]
    assert _table(bucket, "out.parquet").equals(_locally(photos, colours, tmp_path))


@pytest.mark.parametrize(
    ("where", "name"),
    [("local", "out.parquet"), ("remote", "out.parquet"), ("remote", "out/")],
)
def test_a_finished_run_is_done_only_for_its_own_job_and_with_its_table(
    where: str,
    name: str,
    bucket: Bucket,
    photos: Path,
    colours: Predictor,
    tmp_path: Path,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run is killed between giving the table its name and clearing away."""
    out = f"{bucket.url}/{name}" if where == "remote" else f"{tmp_path}/{name}"
    job, other = Job((str(photos),), out), Job((str(photos),), out, limit=7)

    def killed(ledger: Ledger) -> None:
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
            bucket.client.delete_object(Bucket=bucket.name, Key=key)
    else:
        Path(out).unlink()
    finish_and_die()
    done = f"{name}_run.json" if name == "out/" else name
    if where == "remote":
        bucket.client.delete_object(Bucket=bucket.name, Key=done)
        for key in bucket.keys():
            if key.startswith("out/"):
                bucket.client.delete_object(Bucket=bucket.name, Key=key)
    else:
        Path(out).unlink()
    assert run(job, colours).photos == 60
    table = _rows_of(bucket, name) if where == "remote" else pq.read_table(out)
    assert table.num_rows == 60


def test_a_bucket_is_brought_up_to_date_and_a_kill_at_any_write_is_continued(
    bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path, small_parts: None
) -> None:
    bucket.fill(photos, "in/")
    source, out = f"{bucket.url}/in", f"{bucket.url}/out.parquet"
    update = Job((source,), out, update=True)
    at = 0
    while True:
        run(Job((source,), out, overwrite=True, limit=50), colours)
        run(Job((source,), f"{bucket.url}/whole.parquet", overwrite=True), colours)
        left = at

        def decide(request: Request) -> Fault | None:
            nonlocal left
            left -= request.method in ("PUT", "POST", "DELETE")
            return Fault(400, "Killed") if left < 0 else None

        bucket.front.decide = decide
        before = len(bucket.front.photos)
        with suppress(OutputError):
            run(update, colours)
        assert len(bucket.front.photos) - before <= 10
        bucket.front.decide = lambda request: None
        run(update, colours)
        assert _table(bucket, "out.parquet").equals(_table(bucket, "whole.parquet"))
        assert not any(".parts" in key for key in bucket.keys())
        if left >= 0:
            break
        at += 1
    assert at > 5


def test_what_lies_in_a_bucket_and_is_not_ours_stays(
    bucket: Bucket, photos: Path, colours: Predictor, small_parts: None
) -> None:
    bucket.put("x/part-000000.parquet", b"somebody's")
    with pytest.raises(OutputError, match="is no data set of scene-batch run"):
        run(Job((str(photos),), f"{bucket.url}/x/", overwrite=True), colours)
    assert bucket.get("x/part-000000.parquet") == b"somebody's"


def test_a_part_whose_answer_was_lost_is_no_other_writers(
    bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path, small_parts: None
) -> None:
    """The store has it, but the answer never came: asked again, the store says it is there."""

    def decide(request: Request) -> Fault | None:
        if request.method == "PUT" and "part-" in request.path and not request.number:
            return Fault(lose=True)
        return None

    bucket.front.decide = decide
    run(Job((str(photos),), f"{bucket.url}/out.parquet"), colours)
    assert _table(bucket, "out.parquet").equals(_locally(photos, colours, tmp_path))
    conditional = [r for r in bucket.front.requests if r.method == "PUT" and "part-" in r.path]
    assert all(r.headers.get("if-none-match") == "*" for r in conditional)


def test_a_bad_line_to_the_bucket_is_borne(
    bucket: Bucket, photos: Path, colours: Predictor, tmp_path: Path, small_parts: None
) -> None:
    def decide(request: Request) -> Fault | None:
        faults = (slow_down(), Fault(500, "InternalError"), Fault(drop=True), CUT)
        if request.number or request.total % 2:
            return None
        return faults[request.total // 2 % (4 if request.method == "GET" else 3)]

    bucket.front.decide = decide
    run(Job((str(photos),), f"{bucket.url}/out.parquet"), colours)
    assert _table(bucket, "out.parquet").equals(_locally(photos, colours, tmp_path))
    assert bucket.keys() == ["out.parquet", "out.parquet.run.json"]


def test_a_large_table_is_put_in_pieces(
    bucket: Bucket,
    photos: Path,
    colours: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_storage, "MULTIPART_BYTES", 5 << 20)
    long = tmp_path / ("n" * 200) / ("m" * 200)
    photos.rename(tmp_path / "p")
    names = "\n".join([f"{long}/{number:09}.png" for number in range(60_000)])
    (tmp_path / "list.txt").write_text(names)
    monkeypatch.setattr("scene_batch.tables.parquet_file._REPEATING", [])
    run(Job((f"@{tmp_path}/list.txt",), f"{bucket.url}/out.jsonl"), colours)
    assert bucket.get("out.jsonl").count(b"\n") == 60_000
    pieces = [r for r in bucket.front.requests if "partNumber" in r.query]
    assert len(pieces) >= 2


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("s3://", "no URL that can be opened"),
        ("s3://bucket", "the suffix decides"),
        ("s3://bucket/", "name a file or a folder/ in a bucket"),
        ("https://host/out.parquet", "name a file or a folder/ in a bucket"),
        ("s3://bucket/a/../b.parquet", "segment"),
        ("s3://bucket/out", "the suffix decides"),
    ],
)
def test_outputs_that_cannot_be_are_refused(
    out: str, message: str, photos: Path, colours: Predictor, aws: object
) -> None:
    with pytest.raises(UsageError, match=message):
        run(Job((str(photos),), out), colours)


REFUSALS = {
    "unknown bucket": (None, "no such bucket"),
    "wrong key": (Fault(403, "InvalidAccessKeyId"), "no valid credentials"),
    "forbidden": (Fault(403, "AccessDenied"), "access denied"),
    "down": (slow_down(), "no sound answer"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_bucket_that_takes_nothing_is_one_line_before_any_work(
    name: str, bucket: Bucket, photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    fault, message = REFUSALS[name]
    bucket.front.decide = lambda request: fault
    out = f"{bucket.url}/p.parquet" if fault else "s3://no-such-bucket-here/p.parquet"
    begun = time.monotonic()
    done = scene_batch("run", photos, "--out", out, "--model", colour_model)
    assert time.monotonic() - begun < 15
    text = done.stderr.decode()
    assert (done.returncode, text.count("\n")) == (1, 1), text
    assert message in text
    assert SECRET not in text


def test_a_bucket_that_may_only_be_read_is_one_line(
    bucket: Bucket, photos: Path, colours: Predictor
) -> None:
    def decide(request: Request) -> Fault | None:
        return Fault(403, "AccessDenied") if request.method == "PUT" else None

    bucket.front.decide = decide
    with pytest.raises(OutputError, match=r"cannot write 's3://.*access denied"):
        run(Job((str(photos),), f"{bucket.url}/p.parquet"), colours)
    assert bucket.keys() == []


def test_sigterm_saves_what_is_done_in_the_bucket(
    bucket: Bucket, photos: Path, colour_model: Path
) -> None:
    bucket.fill(photos, "in/")
    bucket.front.decide = lambda r: Fault(delay=0.3) if r.is_photo else None
    words = ["run", f"{bucket.url}/in", "--out", f"{bucket.url}/out.parquet", "--model"]
    with subprocess.Popen(
        command(*words, colour_model, "--batch-size", "1"), env=process_environment()
    ) as process:
        until = time.monotonic() + 30
        while len(bucket.front.photos) < 34 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.3)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert time.monotonic() - begun < 15
    assert any("/part-000000" in key for key in bucket.keys())
