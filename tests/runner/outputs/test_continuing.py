"""Nothing done is lost: a run that is broken off goes on, and ends in the same table."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scene_batch.errors import (
    AccountingError,
    HungReadsError,
    Interrupted,
    LedgerError,
    OutputBusyError,
    OutputError,
    OutputExistsError,
    UsageError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import publishing, saved
from scene_batch.outputs.ledger import Ledger
from scene_batch.outputs.local_storage import LocalStorage
from scene_batch.outputs.part import part_metadata
from scene_batch.outputs.publishing import Publisher
from scene_batch.outputs.storage import open_storage
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import Row
from scene_batch.sources.reading import Reader
from support import command, process_environment, save_colour_model, save_shade, scene_batch


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred photos in folders, some broken, among other files."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(200):
        path = save_shade(folder / f"f{number % 7}" / f"{number:03}.png", number)
        if number % 17 == 3:
            path.write_bytes(b"no photo")
        (path.parent / f"letter-{number % 3}.txt").touch()
        (path.parent / ".hidden").touch()
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of about ten rows: a short run has many."""
    monkeypatch.setattr(saved, "PART_ROWS", 10)


def _broken_off_at(rows: int) -> Callable[[Tally], None]:
    def watch(tally: Tally) -> None:
        if tally.rows >= rows:
            raise KeyboardInterrupt  # nothing on the way knows it: like a kill, but in-process

    return watch


def _slow_until(rows: int, seconds: float) -> Callable[[Tally], None]:
    """Takes its time once, and then stops the run a little later."""
    stop, waits = _broken_off_at(rows), iter([seconds])

    def watch(tally: Tally) -> None:
        time.sleep(next(waits, 0))
        stop(tally)

    return watch


def _table(path: Path) -> pa.Table:
    return pq.read_table(path).replace_schema_metadata(None)


@pytest.fixture(scope="module")
def whole(photos: Path, colours: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of an undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "p.parquet"
    run(Job((str(photos),), str(out)), colours)
    return out


def _counts(out: Path) -> dict[str, Any]:
    record = json.loads(Path(f"{out}.run.json").read_text())
    return {key: record[key] for key in ("photos", "ok", "unreadable", "ignored", "classes")}


@pytest.mark.parametrize("stops", [[1], [64], [199], [9, 8, 50, 120, 121, 199]])
def test_a_run_that_is_broken_off_ends_in_the_same_table(
    stops: list[int], photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    job = Job((str(photos),), str(out))
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            run(job, colours, _broken_off_at(stop))
        assert not out.exists()
    record = run(job, colours)
    assert _table(out) == _table(whole)
    assert _counts(out) == _counts(whole)
    assert 1 < record.attempts <= 1 + len(stops) or stops == [1]
    assert sorted(os.listdir(tmp_path)) == ["p.parquet", "p.parquet.run.json"]


def test_stages_have_the_threads_of_each_attempt(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    """An attempt's waiting is counted with its own threads, not with those of the last one."""
    out = str(tmp_path / "p.parquet")
    with pytest.raises(KeyboardInterrupt):
        run(Job((str(photos),), out, workers=8), colours, _slow_until(120, 0.5))
    record = run(Job((str(photos),), out, workers=1), colours)
    assert record.attempts == 2
    decode = record.stages["decode"]
    assert decode["threads"] == 1
    assert decode["busy_seconds"] + decode["waiting_seconds"] > 8 * 0.5 > record.seconds


def test_only_what_was_not_saved_is_computed_again(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    with pytest.raises(KeyboardInterrupt):
        run(job, colours, _broken_off_at(150))
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
    with pytest.raises(KeyboardInterrupt):
        run(Job((str(photos),), broken), colours, _broken_off_at(77))
    run(Job((str(photos),), broken), colours)
    if suffix == "/":
        assert _table(Path(broken)) == _table(whole)
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
        with pytest.raises(KeyboardInterrupt):
            run(job, colours, _broken_off_at(stop))
    run(job, colours)
    rows = pq.read_table(job.out)["path"].to_pylist()
    assert rows == [*paths, "gone.jpg", *paths][:300]


def _stop(job: Job, predictor: Predictor) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(job, predictor, _broken_off_at(60))


def test_another_job_than_the_ledgers_is_refused_with_what_differs(
    photos: Path, colours: Predictor, colour_model: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "p.parquet")
    _stop(Job((str(photos),), out), colours)
    other_model = Predictor.open(save_colour_model(tmp_path / "m.onnx", version="2.0.0"))
    fewer = Predictor.open(colour_model, top_k=1)
    for job, predictor, words in (
        (Job((str(photos / "f1"),), out), colours, "another sources"),
        (Job((str(photos),), out, limit=5), colours, r"another limit \(then null, now 5\)"),
        (Job((str(photos),), out), other_model, "another model"),
        (Job((str(photos),), out), fewer, r"another top_k \(then 3, now 1\)"),
    ):
        with pytest.raises(LedgerError, match=f"{words}.*--restart"):
            run(job, predictor)
    run(Job((str(photos / "f1"),), out, restart=True), colours)
    assert pq.read_metadata(out).num_rows == len(list((photos / "f1").glob("*.png")))


def test_a_changed_list_is_another_job(colours: Predictor, photos: Path, tmp_path: Path) -> None:
    names = tmp_path / "list.txt"
    names.write_text("\n".join(str(path) for path in sorted(photos.rglob("*.png"))))
    job = Job((f"@{names}",), str(tmp_path / "p.parquet"))
    _stop(job, colours)
    names.write_text("another.jpg\n" + names.read_text())
    with pytest.raises(LedgerError, match="another lists"):
        run(job, colours)


def test_overwrite_continues_and_keeps_the_old_table_until_the_end(
    photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    out.write_bytes(b"the old table")
    job = Job((str(photos),), str(out), overwrite=True)
    _stop(job, colours)
    assert out.read_bytes() == b"the old table"
    with pytest.raises(OutputExistsError):
        run(Job((str(photos),), str(out)), colours)
    record = run(job, colours)
    assert record.attempts == 2
    assert _table(out) == _table(whole)
    again = run(job, colours)  # tomorrow's run of the same command is another one
    assert again.attempts == 1


class _Dies(BaseException):
    """What a SIGKILL would be, at one step."""


_STEPS = 40


@pytest.mark.parametrize("how", ["plain", "overwrite"])
@pytest.mark.parametrize("step", range(_STEPS))
def test_a_kill_at_any_of_the_last_steps_is_made_good(
    step: int,
    how: str,
    photos: Path,
    colours: Predictor,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Die at the n-th renaming, syncing, unlinking after the last row, then run again."""
    calls = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def die(*words: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step + 1:
                raise _Dies
            return real(*words, **more)

        return die

    monkeypatch.setattr(saved, "PART_ROWS", 25)
    out = tmp_path / "p.parquet"
    job = Job((str(photos),), str(out), overwrite=how == "overwrite")
    join = publishing.join

    def from_here(*words: Any) -> None:
        steps = ("replace", "rename", "unlink", "rmdir")
        for owner, name in ((os, "fsync"), *((Path, step) for step in steps)):
            monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
        join(*words)

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "join", from_here)
        with suppress(_Dies):
            run(job, colours)
    monkeypatch.undo()
    monkeypatch.setattr(saved, "PART_ROWS", 10)
    left = Path(f"{out}.parts").exists()
    if how == "plain" and out.exists() and os.listdir(f"{out}.parts" if left else tmp_path) == []:
        shutil.rmtree(f"{out}.parts")  # died before the very last rmdir: an empty folder
        left = False
    record = run(job, colours) if left or not out.exists() else None
    assert record is None or record.photos == 200
    assert _table(out) == _table(whole)
    assert _counts(out) == _counts(whole)
    assert sorted(os.listdir(tmp_path)) == ["p.parquet", "p.parquet.run.json"]
    if step == _STEPS - 1:
        assert calls < _STEPS, "there are more steps than this test tries"


def test_two_runs_on_one_output_the_second_is_refused(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    refused = []

    def second(tally: Tally) -> None:
        if not refused:
            with pytest.raises(OutputBusyError, match="another process is writing") as error:
                run(job, colours)
            refused.append(error)

    assert run(job, colours, second).photos == 200
    assert refused


def test_a_lock_dies_with_its_owner(photos: Path, colour_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time; from scene_batch.outputs.ledger import Ledger;"
        "from scene_batch.outputs.storage import open_storage;"
        "Ledger(open_storage(sys.argv[1])).__enter__(); print('held', flush=True); time.sleep(60)"
    )
    out = str(tmp_path / "p.csv")
    with subprocess.Popen(
        [sys.executable, "-c", code, out], stdout=subprocess.PIPE, env=process_environment()
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = scene_batch("run", photos, "--out", out, "--model", colour_model)
        assert done.returncode == 1
        assert b"another process is writing" in done.stderr
        holder.kill()
    done = scene_batch(
        "run", photos, "--out", out, "--model", colour_model, "--max-unreadable", "100%"
    )
    assert done.returncode == 0, done.stderr


def test_a_part_that_is_missing_or_doubled_is_no_table(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    for harm in ("missing", "doubled"):
        _stop(job, colours)
        parts = sorted((tmp_path / "p.parquet.parts").glob("part-*"))
        if harm == "missing":
            parts[1].unlink()
        else:
            sizes = [pq.read_metadata(part).num_rows for part in parts]
            first = next(n for n, size in enumerate(sizes) if size in sizes[n + 1 :])
            second = sizes.index(sizes[first], first + 1)  # as many rows: only their order tells
            parts[first].write_bytes(parts[second].read_bytes())
        with pytest.raises(AccountingError):
            run(job, colours)
        assert not (tmp_path / "p.parquet").exists()
        run(Job(job.sources, job.out, restart=True), colours)
        (tmp_path / "p.parquet").unlink()


def test_a_damaged_part_is_said(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    _stop(job, colours)
    parts = sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    parts[-1].write_bytes(b"PAR1")
    with pytest.raises(LedgerError, match=r"is damaged .*--restart"):
        run(job, colours)


def test_parts_are_in_order_and_count_up(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    with pytest.raises(KeyboardInterrupt):
        run(job, colours, _broken_off_at(199))
    parts = sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    assert len(parts) > 10
    counted = 0
    for part in parts:
        metadata = part_metadata(part, part.name)
        counted += pq.read_metadata(part).num_rows
        assert metadata["tally"]["rows"] == counted
        paths = pq.read_table(part)["path"].to_pylist()
        assert [metadata["begin"]["path"], metadata["end"]["path"]] == [paths[0], paths[-1]]


def test_a_part_closes_by_its_age(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "PART_ROWS", 100_000)
    monkeypatch.setattr(saved, "PART_SECONDS", (0.0, 60.0))
    job = Job((str(photos),), str(tmp_path / "p.parquet"))

    def slow(tally: Tally) -> None:
        time.sleep(0.02)
        _broken_off_at(150)(tally)

    with pytest.raises(KeyboardInterrupt):
        run(job, colours, slow)
    sizes = [
        pq.read_metadata(part).num_rows
        for part in sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    ]
    assert sum(sizes) > 100
    assert sizes[-1] >= sizes[0]  # five percent of ever more


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
        run(job, colours, watch)
    storage = open_storage(job.out)
    with Ledger(storage) as ledger:
        last = ledger.resume()
    assert last is not None
    assert [last[1].rows] == reached
    run(job, colours)
    assert _table(Path(job.out)) == _table(whole)


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


def _disturbed(
    words: list[str], environment: dict[str, str], after: float, number: signal.Signals
) -> int:
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            return process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            return process.wait(5)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals_at_random_moments_of_the_real_command(
    number: signal.Signals,
    photos: Path,
    whole: Path,
    colour_model: Path,
    tmp_path: Path,
) -> None:
    names = tmp_path / "list.txt"
    paths = [str(path) for path in sorted(photos.rglob("*.png"), key=os.fsencode)]
    names.write_text("\n".join(paths * 60))
    out = tmp_path / "p.parquet"
    words = command(
        *("run", f"@{names}", "--out", out, "--model", colour_model, "--max-unreadable", "100%")
    )
    moments = random.Random(int(number))
    codes = []
    for _ in range(8):
        codes.append(_disturbed([*words], process_environment(), moments.uniform(0.3, 1.6), number))
        if codes[-1] == 0 or (out.exists() and not Path(f"{out}.parts").exists()):
            break  # (it may be done, and killed while Python was leaving)
    allowed = {0, -number if number == signal.SIGKILL else 128 + number}
    assert set(codes) <= allowed | {-number}  # before Python takes it over, it is the system's
    if not out.exists():
        assert _disturbed([*words], process_environment(), 60, number) == 0
    table = pq.read_table(out)
    assert table["path"].to_pylist() == paths * 60
    assert table["class"].to_pylist() == _table(whole)["class"].to_pylist() * 60
    assert sorted(os.listdir(tmp_path)) == ["list.txt", "p.parquet", "p.parquet.run.json"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", "/"])
def test_a_full_disk_stops_the_run_and_with_room_it_continues(
    suffix: str, photos: Path, colours: Predictor, whole: Path, small_disk: Path
) -> None:
    out = f"{small_disk}/p{suffix}"
    job = Job((str(photos),), out)
    with pytest.raises(OutputError, match=r"No space left on device; .* same command continues"):
        run(job, colours)
    assert not Path(out).exists()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert run(job, colours).attempts == 2
    if suffix != ".csv":
        assert _table(Path(out)) == _table(whole)


def test_a_removed_output_folder_is_said(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def remove(tally: Tally) -> None:
        if tally.rows > 50 and folder.exists():
            shutil.rmtree(folder)

    with pytest.raises(OutputError, match=r"cannot write .*No such file or directory"):
        run(Job((str(photos),), str(folder / "p.parquet")), colours, remove)


def test_rows_of_a_batch_that_was_not_finished_are_not_saved(
    photos: Path, colours: Predictor, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect in the model's step must not leave rows that nobody checked."""
    real, calls = Predictor.predict, 0

    def fail(self: Predictor, batch: Any) -> list[Row]:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise RuntimeError("a defect")
        return real(self, batch)

    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "predict", fail)
        with pytest.raises(RuntimeError):
            run(job, colours)
    run(job, colours)
    assert _table(Path(job.out)) == _table(whole)


def _killed_at_the_end(out: Path, photos: Path, colours: Predictor, **more: Any) -> None:
    """A run that was killed between saying that it is finished and the renaming."""
    with pytest.MonkeyPatch.context() as patch:

        def die(self: Publisher, record: str) -> None:
            raise _Dies

        patch.setattr(Publisher, "_publish", die)
        with pytest.raises(_Dies):
            run(Job((str(photos),), str(out), **more), colours)


def test_a_finished_run_is_not_taken_for_another_commands(
    photos: Path, colours: Predictor, colour_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    _killed_at_the_end(out, photos, colours)
    other = Job((str(photos / "f1"),), str(out))
    with pytest.raises(LedgerError, match="another sources"):
        run(other, colours)
    run(Job(other.sources, other.out, restart=True), colours)
    assert all("/f1/" in path for path in pq.read_table(out)["path"].to_pylist())


def test_a_pipe_does_not_throw_away_what_another_job_saved(
    photos: Path, colours: Predictor, colour_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    _stop(Job((str(photos),), str(out)), colours)
    paths = b"".join(os.fsencode(path) + b"\n" for path in (photos / "f2").iterdir())
    done = scene_batch("run", "@-", "--out", out, "--model", colour_model, stdin=paths)
    assert done.returncode == 1
    assert b"holds an unfinished run with another sources" in done.stderr
    assert run(Job((str(photos),), str(out)), colours).attempts == 2


def test_folders_of_the_users_own_are_left_alone(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    own = tmp_path / "p.parquet.parts"
    own.mkdir()
    (own / "notes.txt").write_text("precious")
    with pytest.raises(LedgerError, match=r"holds 'notes.txt', which is not a run's"):
        run(Job((str(photos),), str(tmp_path / "p.parquet")), colours)
    assert (own / "notes.txt").read_text() == "precious"
    shutil.copytree(photos, tmp_path / "copy")
    for name in ("copy/", "copy"):
        with pytest.raises(OutputError if name.endswith("/") else UsageError):
            run(Job((str(tmp_path / "copy"),), f"{tmp_path}/{name}", overwrite=True), colours)
    assert len(list((tmp_path / "copy").rglob("*.png"))) == 200


def test_a_data_set_is_replaced_by_another(
    photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    out = f"{tmp_path}/d/"
    run(Job((str(photos / "f1"),), out), colours)
    with pytest.raises(OutputExistsError):
        run(Job((str(photos),), out), colours)
    run(Job((str(photos),), out, overwrite=True), colours)
    assert _table(Path(out)) == _table(whole)
    assert os.listdir(tmp_path) == ["d"]


def test_the_last_save_is_not_broken_by_a_signal(
    photos: Path, colour_model: Path, whole: Path, tmp_path: Path
) -> None:
    """SIGTERM in the very sync of the last part."""
    code = (
        "import os, signal, sys\n"
        "from scene_batch.outputs import local_storage\n"
        "real = local_storage.sync\n"
        "def sync(path):\n"
        "    if path.name == 'part.partial': os.kill(os.getpid(), signal.SIGTERM)\n"
        "    real(path)\n"
        "if sys.argv.pop(1) == 'hook': local_storage.sync = sync\n"
        "from scene_batch.cli import main; main()\n"
    )
    out = tmp_path / "p.parquet"
    words = ["run", str(photos), "--out", str(out), "--model", str(colour_model), "--quiet"]
    words += ["--max-unreadable", "100%"]
    for hook, want in (("hook", 143), ("none", 0)):
        done = subprocess.run(
            [sys.executable, "-c", code, hook, *words],
            env=process_environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == want, done.stderr
        assert done.stderr == b""
    assert _table(out) == _table(whole)
    assert json.loads(Path(f"{out}.run.json").read_text())["attempts"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_waits_for_what_is_held_off_and_a_second_does_not(number: int) -> None:
    code = (
        "import os, sys\n"
        "from scene_batch.pipeline.interruption import Interruption\n"
        "from scene_batch.errors import Interrupted\n"
        "try:\n"
        "    with Interruption() as interruption, interruption.held_off():\n"
        "        for _ in range(int(sys.argv[1])): os.kill(os.getpid(), int(sys.argv[2]))\n"
        "        print('finished', flush=True)\n"
        "except Interrupted as error: sys.exit(error.exit_code)\n"
    )
    for times, said in (("1", b"finished\n"), ("2", b"")):
        done = subprocess.run(
            [sys.executable, "-c", code, times, str(int(number))],
            env=process_environment(),
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (128 + number, said, b"")


def test_a_blocked_pipe_does_not_hold_a_signal_back(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    names = tmp_path / "list.txt"
    names.write_text("\n".join([str(path) for path in photos.rglob("*.png")] * 100))
    words = command("run", f"@{names}", "--out", "-", "--model", colour_model, "--quiet")
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=process_environment()) as process:
        try:
            time.sleep(2)  # nobody reads: the pipe is full
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 143
        finally:
            process.kill()


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


def test_what_is_not_ours_beside_an_output_stays(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), f"{tmp_path}/set/", overwrite=True)
    run(job, colours)
    (tmp_path / "set" / "notes.md").write_text("mine")
    with pytest.raises(OutputError, match=r"holds 'notes\.md' and is no data set"):
        run(job, colours)
    (tmp_path / "set" / "notes.md").unlink()
    shutil.copytree(tmp_path / "set", tmp_path / "set.replaced")
    run(job, colours)
    assert (tmp_path / "set.replaced" / "_run.json").exists()
    (tmp_path / "p.parquet.parts").mkdir()
    (tmp_path / "p.parquet.parts" / "film.partial").write_text("mine")
    with pytest.raises(LedgerError, match=r"holds 'film\.partial', which is not a run's"):
        run(Job((str(photos),), f"{tmp_path}/p.parquet"), colours)
    assert os.listdir(tmp_path / "p.parquet.parts") == ["film.partial"]


def test_a_link_to_a_data_set_stays_one(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    run(Job((str(photos),), f"{tmp_path}/real/", limit=3), colours)
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        run(Job((str(photos),), f"{tmp_path}/link/", overwrite=True), colours)
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]
    assert pq.read_table(tmp_path / "real").num_rows > 3


def test_a_table_that_came_by_other_means_is_not_replaced(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job((str(photos),), f"{tmp_path}/p.parquet")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalStorage, "publish_file", killed)
        run(job, colours)
    (tmp_path / "p.parquet").write_bytes(b"another table")
    with pytest.raises(OutputExistsError):
        run(job, colours)
    assert (tmp_path / "p.parquet").read_bytes() == b"another table"
    run(Job(job.sources, job.out, overwrite=True), colours)
    assert pq.read_table(job.out).num_rows > 3


@pytest.mark.parametrize("text", ["\\xff", "[1]", "5", "null", "{}"])
def test_a_damaged_job_is_told_in_one_line(
    text: str, photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), f"{tmp_path}/p.parquet")
    with pytest.raises(KeyboardInterrupt):
        run(job, colours, _broken_off_at(150))
    (tmp_path / "p.parquet.parts" / "job.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(LedgerError, match=r"'job\.json' in .* cannot be read"):
        run(job, colours)


def test_a_list_whose_name_is_not_utf_8(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")
    Path(name).write_text("\n".join(str(path) for path in sorted(photos.rglob("*.png"))[:5]))
    record = run(Job((f"@{name}",), f"{tmp_path}/p.parquet"), colours)
    assert record.photos == 5
    assert list(record.settings["lists"]) == [f"{tmp_path}/caf\\xe9.txt"]


def test_parts_of_two_runs_are_not_mixed(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        with pytest.raises(KeyboardInterrupt):
            run(Job((str(photos),), f"{tmp_path}/{name}"), colours, _broken_off_at(150))
    part = "part-000000.parquet"
    shutil.copy(tmp_path / "b.parquet.parts" / part, tmp_path / "a.parquet.parts" / part)
    with pytest.raises(AccountingError, match="does not follow the part before it"):
        run(Job((str(photos),), f"{tmp_path}/a.parquet"), colours)
    assert not (tmp_path / "a.parquet").exists()


def test_a_table_that_was_joined_and_not_named_is_joined_again(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two, and photos have come since."""
    shutil.copytree(photos / "f0", tmp_path / "in")
    job = Job((f"{tmp_path}/in",), f"{tmp_path}/p.parquet")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Ledger, "finish", killed)
        run(job, colours)
    assert (tmp_path / "p.parquet.parts" / "whole").exists()
    save_shade(tmp_path / "in" / "zzz.png", 3)
    record = run(job, colours)
    assert pq.read_metadata(job.out).num_rows == record.photos == 30


def test_a_replaced_data_set_that_is_half_removed_is_not_in_the_way(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), f"{tmp_path}/out/", overwrite=True)
    run(job, colours)
    replaced = tmp_path / "out.parts.replaced"
    replaced.mkdir()
    (replaced / "part-000000.parquet").write_bytes(b"of the old one")
    run(job, colours)
    assert sorted(os.listdir(tmp_path)) == ["out"]
    replaced.mkdir()
    (replaced / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="is in the way; move it elsewhere"):
        run(job, colours)
