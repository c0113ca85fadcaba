"""An output on a disk where Windows' rules for files hold."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import windows_rules
from scene_batch.errors import LedgerError, OutputBusyError, OutputError
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.outputs.ledger import Ledger
from scene_batch.outputs.local_storage import LocalStorage
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.merge import merge
from scene_batch.pipeline.run import run
from scene_batch.sources.shard import Shard
from support import Dies, StepsToDieAt, Watch

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="they are laid upon Linux"),
    pytest.mark.usefixtures("windows"),
]


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' rules; and five parts of thirty photos."""
    monkeypatch.setattr(saved, "PART_ROWS", 7)
    windows_rules.lay_upon(monkeypatch)


def _table(path: str | Path) -> pa.Table:
    return pq.read_table(path).replace_schema_metadata(None)


@pytest.fixture(scope="module")
def whole(album: Path, colours: Predictor, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The table of an undisturbed run, as this system makes it."""
    out = tmp_path_factory.mktemp("whole") / "p.parquet"
    run(Job((str(album),), str(out)), colours)
    return _table(out)


@pytest.mark.parametrize("suffix", [".parquet", "/"])
def test_a_run_ends_in_the_same_table(
    suffix: str, album: Path, colours: Predictor, whole: pa.Table, tmp_path: Path
) -> None:
    job = Job((str(album),), f"{tmp_path}/p{suffix}")
    with pytest.raises(KeyboardInterrupt):
        run(job, colours, Watch(_stopping_at(20)))
    for overwrite in (False, True):  # the second one replaces what is there
        run(Job(job.sources, job.out, overwrite=overwrite), colours)
        assert _table(job.out) == whole
    names = ["p"] if suffix == "/" else ["p.parquet", "p.parquet.run.json"]
    assert sorted(os.listdir(tmp_path)) == names


def _stopping_at(rows: int) -> Callable[[Tally], None]:
    def watch(tally: Tally) -> None:
        if tally.rows >= rows:
            raise KeyboardInterrupt

    return watch


_STEPS = 60


@pytest.mark.parametrize("suffix", [pytest.param(".parquet", marks=pytest.mark.nightly), "/"])
def test_a_kill_at_any_step_is_made_good(
    suffix: str, album: Path, colours: Predictor, whole: pa.Table, tmp_path: Path
) -> None:
    """Of the steps that delete and rename: among them those between which no lock is held."""
    fired, step = True, 0
    while fired:
        (tmp_path / str(step)).mkdir()
        out = f"{tmp_path}/{step}/p{suffix}"
        run(Job((str(album / "day0"),), out), colours)  # the table that is replaced
        job = Job((str(album),), out, overwrite=True)
        with pytest.MonkeyPatch.context() as patch:
            fired = _run_until(step, job, colours, patch)
        run(job, colours)
        assert _table(out) == whole, step
        left = {"p.parquet", "p.parquet.run.json", "p"}
        assert set(os.listdir(tmp_path / str(step))) <= left, step
        step += 1
        assert step < _STEPS
    assert step > 10


def _run_until(step: int, job: Job, colours: Predictor, patch: pytest.MonkeyPatch) -> bool:
    """Run a job, and die at its n-th step; False where it has not so many."""
    steps = StepsToDieAt(step)
    for name in ("replace", "rename", "unlink", "rmdir"):
        patch.setattr(os, name, steps.counted(getattr(os, name)))
    with suppress(Dies):
        run(job, colours)
    return steps.taken > step


def test_tables_are_updated_and_merged(
    album: Path, colours: Predictor, whole: pa.Table, tmp_path: Path
) -> None:
    names = [f"{tmp_path}/{index}.parquet" for index in range(3)]
    for index, name in enumerate(names):
        run(Job((str(album),), name, shard=Shard(index, 3)), colours)
    out = f"{tmp_path}/p.parquet"
    merge(names, out)
    assert _table(out) == whole
    run(Job((str(album),), out, update=True, retry_unreadable=True), colours)
    assert _table(out) == whole


def test_the_second_process_is_refused(tmp_path: Path) -> None:
    first, second = (LocalStorage(str(tmp_path / "p.csv")) for _ in range(2))
    with Ledger(first) as ledger:
        with pytest.raises(OutputBusyError, match="another process is writing"):
            second.hold()
        ledger.remove()
    assert os.listdir(tmp_path) == []


def test_who_was_quick_to_hold_it_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is let go of before its file is deleted: then another process may come."""
    first, second = (LocalStorage(str(tmp_path / "p.csv")) for _ in range(2))
    first.hold()
    first.write("finished.json", "{}")
    release = first.release
    monkeypatch.setattr(first, "release", lambda: (release(), second.hold()))
    first.discard()
    assert second.names() == ["_lock", "finished.json"]
    data_set = LocalStorage(f"{tmp_path}/d/")
    data_set.hold()
    release = data_set.release
    other = LocalStorage(f"{tmp_path}/d/")
    monkeypatch.setattr(data_set, "release", lambda: (release(), other.hold()))
    with pytest.raises(OutputBusyError):
        data_set.publish_data_set([], "{}")


@pytest.mark.parametrize("room", [3, 1000])
def test_a_part_that_a_full_disk_does_not_take_can_be_deleted(
    room: int,
    album: Path,
    colours: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever the disk is full: in the first bytes of the file, or later."""
    before, next_part = resource.getrlimit(resource.RLIMIT_FSIZE), Ledger.next_part

    def filling(ledger: Ledger) -> Path:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        return next_part(ledger)

    monkeypatch.setattr(Ledger, "next_part", filling)
    try:
        with pytest.raises(OutputError, match="File too large"):
            run(Job((str(album),), str(tmp_path / "p.parquet")), colours)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_a_strange_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "p.csv.parts").mkdir()
    (tmp_path / "p.csv.parts" / "mine.txt").touch()
    with pytest.raises(LedgerError, match=r"mine\.txt"):
        Ledger(LocalStorage(str(tmp_path / "p.csv"))).__enter__()
    assert os.listdir(tmp_path / "p.csv.parts") == ["mine.txt"]


def test_a_long_name_is_refused(tmp_path: Path) -> None:
    LocalStorage(str(tmp_path / f"{'x' * 230}")).check()
    with pytest.raises(OutputError, match="too long"):
        LocalStorage(str(tmp_path / f"{'x' * 250}.csv")).check()
