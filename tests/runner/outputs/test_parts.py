"""Parts are in order, whole and of one run, or there is no table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scene_batch.errors import LedgerError
from scene_batch.model.predictor import Predictor
from scene_batch.outputs import saved
from scene_batch.outputs.ledger import Ledger
from scene_batch.outputs.part_metadata import Part
from scene_batch.outputs.publishing import Publisher
from scene_batch.outputs.storage import open_storage
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import Row
from scene_batch.tables.seal import is_sound
from support import Watch, break_off, broken_off_at, counts

pytestmark = pytest.mark.usefixtures("small_parts")


def test_parts_are_in_order_and_count_up(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    break_off(job, colours, 199)
    parts = sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    assert len(parts) > 10
    counted = 0
    for part in parts:
        said = Part.read(part, part.name)
        counted += said.rows
        assert said.tally["rows"] == counted
        paths = pq.read_table(part)["path"].to_pylist()
        assert said.begin is not None
        assert said.end is not None
        assert [said.begin.path, said.end.path] == [paths[0], paths[-1]]


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
        run(job, colours, Watch(slow))
    sizes = [
        pq.read_metadata(part).num_rows
        for part in sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    ]
    assert sum(sizes) > 100
    assert sizes[-1] >= sizes[0]  # five percent of ever more


@pytest.mark.parametrize(
    "harm", ["missing", "doubled", "cut", "a bit", "of another run", "first", "renamed", "swapped"]
)
def test_a_part_that_is_no_more_as_it_was_is_computed_again(
    harm: str, photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    """It is thrown away with those behind it; those before it are kept."""
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    break_off(job, colours, 60)
    parts = sorted((tmp_path / "p.parquet.parts").glob("part-*"))
    content = parts[2].read_bytes()
    number = 0 if harm in ("first", "renamed", "swapped") else 2
    if harm == "of another run":
        break_off(Job((str(photos),), f"{tmp_path}/b.parquet"), colours, 60)
        parts[2].write_bytes((tmp_path / "b.parquet.parts" / parts[2].name).read_bytes())
    elif harm == "renamed":  # the second one takes the first one's name
        parts[1].replace(parts[0])
    elif harm == "swapped":
        first = parts[0].read_bytes()
        parts[0].write_bytes(parts[1].read_bytes())
        parts[1].write_bytes(first)
    elif harm == "doubled":
        parts[2].write_bytes(parts[1].read_bytes())
    elif harm == "a bit":
        middle = len(content) // 2
        parts[2].write_bytes(
            content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
        )
    elif harm == "cut":
        parts[2].write_bytes(content[:-9])
    else:
        parts[number].unlink()
    storage = open_storage(job.out)
    with Ledger(storage) as ledger:
        ledger.resume()
        assert [part.name for part in parts[:number]] == ledger.parts
        assert parts[number].name in ledger.thrown_away
    run(job, colours)
    assert pq.read_table(job.out) == pq.read_table(whole)
    assert counts(job.out) == counts(whole)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_text_that_is_damaged_in_the_last_steps_is_joined_again(
    suffix: str, photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job((str(photos),), f"{tmp_path}/p{suffix}")
    run(Job((str(photos),), f"{tmp_path}/q{suffix}"), colours)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Publisher, "_publish", _killed)
        run(job, colours)
    whole = tmp_path / f"p{suffix}.parts" / "whole"
    whole.write_bytes(whole.read_bytes()[:1000])
    run(job, colours)
    assert Path(job.out).read_bytes() == (tmp_path / f"q{suffix}").read_bytes()


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_part_that_is_damaged_in_the_last_steps_is_computed_again(
    photos: Path, colours: Predictor, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Publisher, "_publish", _killed)
        run(job, colours)
    for name in ("whole", "part-000002.parquet"):
        path = tmp_path / "p.parquet.parts" / name
        path.write_bytes(path.read_bytes()[:-1] + b"2")
    run(job, colours)
    assert pq.read_table(job.out) == pq.read_table(whole)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_damage_of_a_sealed_file_is_seen(whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    assert is_sound(pa.BufferReader(bytes(content)))
    kind = data.draw(st.sampled_from(["bits", "bytes", "cut", "longer"]))
    begin = data.draw(st.integers(0, len(content) - 1))
    if kind == "bits":
        content[begin] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "bytes":
        more = data.draw(st.binary(min_size=1, max_size=64))
        content[begin : begin + len(more)] = more
    elif kind == "cut":
        del content[begin:]
    else:
        content[begin:begin] = data.draw(st.binary(min_size=1, max_size=64))
    assert not is_sound(pa.BufferReader(bytes(content))) or bytes(content) == whole.read_bytes()


def test_restart_works_whatever_lies_there(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"), restart=True)
    for name in ("job.json", "finished.json", "_run.json", "part-000000.parquet", "whole"):
        break_off(job, colours, 60)
        (tmp_path / "p.parquet.parts" / name).write_bytes(b"\xff nonsense")
    (tmp_path / "p.parquet.parts" / ".DS_Store").touch()  # what a file manager leaves
    assert run(job, colours).photos == 200


@pytest.mark.parametrize("text", ["\\xff", "[1]", "5", "null", "{}", '{"run": "x", "job": [1]}'])
def test_a_damaged_job_is_told_in_one_line(
    text: str, photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), f"{tmp_path}/p.parquet")
    break_off(job, colours, 150)
    (tmp_path / "p.parquet.parts" / "job.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(LedgerError, match=r"'job\.json' in .* cannot be read"):
        run(job, colours)


def test_a_job_that_was_deleted_is_said(photos: Path, colours: Predictor, tmp_path: Path) -> None:
    job = Job((str(photos),), f"{tmp_path}/p.parquet")
    break_off(job, colours, 150)
    (tmp_path / "p.parquet.parts" / "job.json").unlink()
    front = Watch()
    assert run(job, colours, front).photos == 200
    assert "'job.json' is missing" in front.notes[0]


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
