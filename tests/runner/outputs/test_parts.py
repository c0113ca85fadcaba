"""Parts are in order, whole and of one run, or there is no table."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scene_batch.errors import (
    AccountingError,
    LedgerError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.outputs.ledger import part_metadata
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import Row
from support import break_off, broken_off_at

pytestmark = pytest.mark.usefixtures("small_parts")


def test_parts_are_in_order_and_count_up(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    break_off(job, colours, 199)
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
        broken_off_at(150)(tally)

    with pytest.raises(KeyboardInterrupt):
        run(job, colours, slow)
    sizes = [
        pq.read_metadata(part).num_rows
        for part in sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    ]
    assert sum(sizes) > 100
    assert sizes[-1] >= sizes[0]  # five percent of ever more


def test_a_part_that_is_missing_or_doubled_is_no_table(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    for harm in ("missing", "doubled"):
        break_off(job, colours, 60)
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
    break_off(job, colours, 60)
    parts = sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    parts[-1].write_bytes(b"PAR1")
    with pytest.raises(LedgerError, match=r"is damaged .*--restart"):
        run(job, colours)


def test_parts_of_two_runs_are_not_mixed(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        break_off(Job((str(photos),), f"{tmp_path}/{name}"), colours, 150)
    part = "part-000000.parquet"
    shutil.copy(tmp_path / "b.parquet.parts" / part, tmp_path / "a.parquet.parts" / part)
    with pytest.raises(AccountingError, match="does not follow the part before it"):
        run(Job((str(photos),), f"{tmp_path}/a.parquet"), colours)
    assert not (tmp_path / "a.parquet").exists()


@pytest.mark.parametrize("text", ["\\xff", "[1]", "5", "null", "{}"])
def test_a_damaged_job_is_told_in_one_line(
    text: str, photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), f"{tmp_path}/p.parquet")
    break_off(job, colours, 150)
    (tmp_path / "p.parquet.parts" / "job.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(LedgerError, match=r"'job\.json' in .* cannot be read"):
        run(job, colours)


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
    assert pq.read_table(job.out) == pq.read_table(whole)
