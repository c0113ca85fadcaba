"""An output of several runs: their parts become one table, whatever is broken off."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from buckets import Bucket
from scene_batch.errors import AccountingError, LedgerError, OutputBusyError, OutputExistsError
from scene_batch.model.predictor import Predictor
from scene_batch.outputs.plan import fingerprint
from scene_batch.outputs.shared import SharedOutput, check_plan, output_of_share
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.merged_record import merged_record
from scene_batch.pipeline.run import run
from scene_batch.sources.listing import Listing
from scene_batch.sources.span import Span
from scene_batch.tables.run_table import RunTable
from support import Dies, StepsToDieAt, rows_of

pytestmark = pytest.mark.usefixtures("small_parts")

IDENTITY: Mapping[str, Any] = {"sources": "these"}


def _share_out(output: SharedOutput, sources: tuple[str, ...], count: int) -> None:
    keys = [ref.order_key for ref in Listing(sources)]
    step = -(-len(keys) // count)
    borders = [None, *keys[step - 1 : -1 : step], None]
    output.begin([Span(*pair).to_json() for pair in itertools.pairwise(borders)])


def _run_shares(output: SharedOutput, job: Job, predictor: Predictor) -> str:
    """Run those that are not finished; the record of the whole."""
    assert output.shares is not None
    records = []
    for share, span in enumerate(output.shares):
        name = output_of_share(job.out, share)
        run(replace(job, out=name, span=Span.from_json(span), keeps_parts=True), predictor)
        record = output.record_of(share)
        assert record is not None
        records.append(record)
    return replace(
        merged_record(records, fingerprint(IDENTITY)), shares=[{"attempts": 1}] * len(records)
    ).to_json()


def _make(sources: tuple[str, ...], out: str, predictor: Predictor, count: int = 3) -> None:
    with SharedOutput(out, IDENTITY) as output:
        if output.done is not None:
            return
        if output.shares is None:
            _share_out(output, sources, count)
        record = _run_shares(output, Job(sources, out), predictor)
        output.publish(record, json.loads(record)["photos"])


def _table(out: str, bucket: Bucket) -> pa.Table:
    if out.startswith("s3://"):
        return bucket.table(out.removeprefix(f"{bucket.url}/"))
    return pq.read_table(out)


@pytest.mark.parametrize("name", ["p.parquet", "p/"])
@pytest.mark.parametrize("where", ["disk", "bucket"])
def test_shares_become_the_table_of_one_run(
    where: str,
    name: str,
    sixty: Path,
    sixty_rows: pa.Table,
    colours: Predictor,
    bucket: Bucket,
    tmp_path: Path,
) -> None:
    out = f"{tmp_path if where == 'disk' else bucket.url}/{name}"
    _make((str(sixty),), out, colours)
    assert _table(out, bucket).equals(sixty_rows)
    table = RunTable.open(out)
    assert table.record["photos"] == 60
    assert len(table.record["shares"]) == 3
    left = os.listdir(tmp_path) if where == "disk" else bucket.keys()
    assert not [name for name in left if ".parts" in name]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_texts_are_those_of_one_run(
    suffix: str, sixty: Path, colours: Predictor, tmp_path: Path
) -> None:
    _make((str(sixty),), f"{tmp_path}/p{suffix}", colours)
    run(Job((str(sixty),), f"{tmp_path}/whole{suffix}"), colours)
    assert (tmp_path / f"p{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


@pytest.mark.parametrize("name", ["p.parquet", "p/"])
def test_a_kill_at_any_of_the_last_steps_is_made_good(
    name: str,
    sixty: Path,
    sixty_rows: pa.Table,
    colours: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = (f"{sixty}/0",)
    rows = sixty_rows.slice(0, 20)
    for step in range(60):
        (tmp_path / str(step)).mkdir()
        out = f"{tmp_path}/{step}/{name}"
        deadly = StepsToDieAt(step)
        with suppress(Dies), SharedOutput(out, IDENTITY) as output:
            _share_out(output, sources, 2)
            record = _run_shares(output, Job(sources, out), colours)
            with monkeypatch.context() as patch:
                steps = ("replace", "rename", "unlink", "rmdir")
                for owner, call in ((os, "fsync"), *((Path, step) for step in steps)):
                    patch.setattr(owner, call, deadly.counted(getattr(owner, call)))
                output.publish(record, 20)
        if deadly.taken > step:
            _kill_is_made_good(sources, out, colours)
        assert pq.read_table(out).equals(rows)
        assert not Path(f"{out.rstrip('/')}.parts").exists()
        if deadly.taken <= step:
            break
    assert 5 < deadly.taken <= step


def _kill_is_made_good(sources: tuple[str, ...], out: str, predictor: Predictor) -> None:
    try:
        _make(sources, out, predictor)
    except OutputExistsError:  # all but the folder was gone, and it is as if nothing had been
        assert not Path(f"{out.rstrip('/')}.parts").exists()


def test_other_work_beside_the_output_is_refused(
    sixty: Path, colours: Predictor, tmp_path: Path
) -> None:
    sources, out = (str(sixty),), f"{tmp_path}/p.parquet"
    with SharedOutput(out, IDENTITY) as output:
        _share_out(output, sources, 2)
        with pytest.raises(OutputBusyError):
            SharedOutput(out, IDENTITY).__enter__()
    with pytest.raises(LedgerError, match=r"another sources .*--restart"):
        SharedOutput(out, {"sources": "others"}).__enter__()
    with pytest.raises(LedgerError, match=r"'plan.json', of a job of several machines"):
        run(Job(sources, out), colours)
    with SharedOutput(out, {"sources": "others"}, restart=True) as output:
        assert output.shares is None
        _share_out(output, sources, 2)
    other = f"{tmp_path}/q.parquet"
    Path(f"{other}.parts").mkdir()
    Path(f"{other}.parts/job.json").write_text("{}")
    with pytest.raises(LedgerError, match=r"'job.json': an unfinished run of another command"):
        SharedOutput(other, IDENTITY).__enter__()
    run(Job(sources, f"{tmp_path}/r.parquet"), colours)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        SharedOutput(f"{tmp_path}/r.parquet", IDENTITY).__enter__()


def test_an_old_attempt_whose_plan_is_gone_is_refused(tmp_path: Path) -> None:
    out = f"{tmp_path}/p.parquet"
    with SharedOutput(out, IDENTITY) as output:
        output.begin([])
        check_plan(out, output.run)
        with pytest.raises(OutputBusyError, match="begun anew"):
            check_plan(out, "another")
    with SharedOutput(out, IDENTITY, restart=True), pytest.raises(OutputBusyError):
        check_plan(out, output.run)


def test_a_part_that_is_gone_gives_no_table(
    sixty: Path, colours: Predictor, tmp_path: Path
) -> None:
    for name in ("p.parquet", "p/"):
        out = f"{tmp_path}/{name}"
        with SharedOutput(out, IDENTITY) as output:
            _share_out(output, (str(sixty),), 2)
            record = _run_shares(output, Job((str(sixty),), out), colours)
            folder = Path(f"{output_of_share(out, 1).rstrip('/')}.parts")
            sorted(folder.glob("part-*"))[-1].unlink()
            with pytest.raises(AccountingError, match="rows were written"):
                output.publish(record, 60)
        assert not Path(out).exists()
    assert rows_of(folder / "part-000000.parquet")
