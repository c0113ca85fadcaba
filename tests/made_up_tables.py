"""Tables of rows that no run has found, written as a run writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from scene_batch.records import ClassProbability, ImageRef, Prediction, Row, Unreadable
from scene_batch.tables.parquet_file import ParquetFile
from scene_batch.tables.run_record import RunRecord, versions
from scene_batch.tables.schema import RECORD_KEY, to_record_batch

_AT_A_TIME = 8192


def answer(path: str, *pairs: tuple[str, float]) -> Prediction:
    """A row with a class; the pairs are all that is said of it, most probable first."""
    return Prediction(ImageRef(path, 1000, 0), tuple(ClassProbability(*pair) for pair in pairs))


def save_table(
    path: Path, rows: Iterable[Row], classes: Sequence[str], top_k: int | None = None
) -> Path:
    """Save rows as a table; its record counts them, and has made-up times."""
    file = ParquetFile(path)
    counts: Counter[str] = Counter(dict.fromkeys(classes, 0))
    codes: Counter[str] = Counter()
    for some in _some(iter(rows)):
        file.write(to_record_batch(some, classes))
        counts.update(row.class_name for row in some if isinstance(row, Prediction))
        codes.update(row.code for row in some if isinstance(row, Unreadable))
    ok, unreadable = counts.total(), codes.total()
    stage = {"threads": 1, "busy_seconds": 1.0, "waiting_seconds": 2.0}
    record = RunRecord(
        job="0" * 64,
        photos=ok + unreadable,
        photos_per_source=[ok + unreadable],
        ok=ok,
        unreadable=codes,
        ignored={},
        retries=0,
        classes=counts,
        provider="cpu",
        model={"name": "made up", "version": "1", "precision": "fp32", "sha256": "0" * 64},
        settings={"sources": ["photos"], "top_k": len(classes) if top_k is None else top_k},
        versions=versions(),
        started_at="2026-01-01T00:00:00+00:00",
        attempts=1,
        seconds=3.0,
        stages=dict.fromkeys(("list", "read", "decode", "infer", "write"), stage),
        photos_per_second=100.0,
        bottleneck="infer",
    )
    file.finish({RECORD_KEY: record.to_json()})
    return path


def _some(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, _AT_A_TIME)):
        yield some
