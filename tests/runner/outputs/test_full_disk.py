"""A disk without room, and a folder that goes: said, and continued where it can be."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scene_batch.errors import (
    OutputError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import room
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import Watch

pytestmark = pytest.mark.usefixtures("small_parts")


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
    suffix: str,
    photos: Path,
    colours: Predictor,
    whole: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "LEAST_FREE", 0)
    out = f"{small_disk}/p{suffix}"
    job = Job((str(photos),), out)
    with pytest.raises(OutputError, match=r"No space left on device; .* same command continues"):
        run(job, colours)
    assert not Path(out).exists()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert run(job, colours).attempts == 2
    if suffix != ".csv":
        assert pq.read_table(out) == pq.read_table(whole)


def test_a_nearly_full_disk_is_refused_before_the_run(
    photos: Path, colours: Predictor, small_disk: Path
) -> None:
    with pytest.raises(OutputError, match=r"the disk of '.*' has 0 MB left, .* make room, or name"):
        run(Job((str(photos),), f"{small_disk}/p.parquet"), colours)
    assert list(small_disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert run(Job((str(photos),), f"{small_disk}/p.parquet"), colours).attempts == 1


def test_a_disk_that_does_not_say_what_it_has_is_not_refused() -> None:
    assert room.free(Path("/proc")) is None
    room.refuse_full_disk(Path("/proc"))


def test_a_removed_output_folder_is_said(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def remove(tally: Tally) -> None:
        if tally.rows > 50 and folder.exists():
            shutil.rmtree(folder)

    with pytest.raises(OutputError, match=r"cannot write .*No such file or directory"):
        run(Job((str(photos),), str(folder / "p.parquet")), colours, Watch(remove))
