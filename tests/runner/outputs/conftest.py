"""Photos that runs classify into tables, and the tables that they should end in."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import save_shade


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def whole(photos: Path, colours: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of an undisturbed run over them, with its record beside it."""
    out = tmp_path_factory.mktemp("whole") / "p.parquet"
    run(Job((str(photos),), str(out)), colours)
    return out


@pytest.fixture(scope="session")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty photos in three folders: enough for many parts, few enough for many requests each."""
    folder = tmp_path_factory.mktemp("sixty")
    for number in range(60):
        save_shade(folder / f"{number % 3}" / f"{number:02}.png", number)
    return folder


@pytest.fixture(scope="session")
def sixty_rows(
    sixty: Path, colours: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> pa.Table:
    """The table of an undisturbed run over those."""
    out = tmp_path_factory.mktemp("locally") / "p.parquet"
    run(Job((str(sixty),), str(out)), colours)
    return pq.read_table(out)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a batch of photos: a short run has many."""
    monkeypatch.setattr(saved, "PART_ROWS", 8)
