"""The parts of a run, streamed into one table of any format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import AccountingError
from scene_batch.ledger import part_metadata, sync
from scene_batch.sinks.parquet_file import ParquetFile
from scene_batch.sinks.table import RECORD_KEY
from scene_batch.sinks.text_file import CsvFile, JsonLinesFile

GROUP_ROWS = 8192
"""Of a part's row groups, and so of what is joined at a time: small, and read without threads, so
that joining a million rows takes the memory that the run had."""


class Sink(Protocol):
    """One format: takes record batches of the schema in ``table.py``."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write what is still missing and close."""

    def abandon(self) -> None:
        """Let go of what is open."""


def join(parts: Sequence[Path], whole: Path, suffix: str, record: str, rows: int) -> None:
    """Make parts into one file, and count once more.

    Args:
        parts: In order.
        whole: The file to write; it is there whole or not at all.
        suffix: Decides the format.
        record: The run's record as JSON.
        rows: How many there must be.

    Raises:
        AccountingError: The parts do not follow each other, or hold another number of rows.
        OSError: The disk does not take it.
    """
    partial = Path(f"{whole}.partial")
    sink = _open_sink(partial, suffix)
    joined = 0
    try:
        for part in _in_order(parts):
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(GROUP_ROWS, use_threads=False):
                    joined += batch.num_rows
                    sink.write(batch)
        sink.finish({RECORD_KEY: record})
    except BaseException:
        sink.abandon()
        raise
    if joined != rows:
        raise AccountingError(
            f"{rows} rows were written, their parts hold {joined}: this is a defect of scene-batch,"
            " please report it; no table was written"
        )
    sync(partial)
    partial.replace(whole)


def _in_order(parts: Sequence[Path]) -> Iterator[Path]:
    """The parts, each checked to begin behind the one before."""
    before: tuple[int, int, bytes] | None = None
    for number, part in enumerate(parts):
        metadata = part_metadata(part)
        begin, end = (
            (at["source"], at["line"] or 0, b"" if at["line"] else os.fsencode(at["path"]))
            for at in (metadata["begin"], metadata["end"])
        )
        if part.name != f"part-{number:06}.parquet" or (before is not None and begin <= before):
            raise AccountingError(
                f"{str(part)!r} does not follow the part before it; throw the unfinished run away"
                " with --restart"
            )
        before = end
        yield part


def _open_sink(path: Path, suffix: str) -> Sink:
    if suffix == ".parquet":
        return ParquetFile(path)
    text = path.open("w", encoding="utf-8", newline="")
    return CsvFile(text) if suffix == ".csv" else JsonLinesFile(text)
