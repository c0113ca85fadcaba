"""Join the parts of a run into one table of any format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from scene_batch.errors import AccountingError, DamagedPartError
from scene_batch.outputs.local_storage import sync
from scene_batch.outputs.part_metadata import Part
from scene_batch.outputs.storage import Storage
from scene_batch.tables.names import PARTIAL, WHOLE, part_name
from scene_batch.tables.parquet_file import PART_GROUP_ROWS, ParquetFile, batches
from scene_batch.tables.schema import RECORD_KEY
from scene_batch.tables.seal import ParquetSource
from scene_batch.tables.text_file import CsvFile, JsonLinesFile


class Sink(Protocol):
    """A file of one format, which takes record batches of ``tables/schema.py``'s columns."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write what waits and the metadata, and close."""

    def abandon(self) -> None:
        """Close the file, which stays incomplete."""


def join(
    storage: Storage, runs: Iterable[Sequence[str]], suffix: str, record: str, rows: int
) -> None:
    """Join parts into the file ``whole`` in the scratch folder; ``suffix`` decides the format.

    ``runs`` are the parts of one run, or those of several, one after the other.

    Raises:
        DamagedPartError: A part is damaged, or does not follow the one before it.
        AccountingError: The parts do not hold ``rows`` rows.
    """
    whole = storage.scratch / WHOLE
    partial = Path(f"{whole}{PARTIAL}")
    sink = _open_sink(partial, suffix)
    joined = 0
    try:
        for parts in runs:
            for source, _ in _in_order(storage, parts):
                for batch in batches(source, PART_GROUP_ROWS):
                    joined += batch.num_rows
                    sink.write(batch)
        sink.finish({RECORD_KEY: record})
    except BaseException:
        sink.abandon()
        raise
    _count(joined, rows)
    sync(partial)
    partial.replace(whole)


def check(storage: Storage, runs: Iterable[Sequence[str]], rows: int) -> None:
    """Check the parts of a data set as ``join`` does, without joining them."""
    _count(sum(part.rows for parts in runs for _, part in _in_order(storage, parts)), rows)


def _count(found: int, rows: int) -> None:
    if found != rows:
        raise AccountingError(f"{rows} rows were written, their parts hold {found}")


def _in_order(storage: Storage, parts: Sequence[str]) -> Iterator[tuple[ParquetSource, Part]]:
    """The parts, checked to be sound, of one run, and each behind the one before."""
    before: Part | None = None
    for number, name in enumerate(parts):
        if name.rpartition("/")[2] != part_name(number):
            raise DamagedPartError(part_name(number), "is missing")
        source = storage.parquet(name)
        part = Part.read(source, name)
        part.check_follows(before, name)
        before = part
        yield source, part


def _open_sink(path: Path, suffix: str) -> Sink:
    if suffix == ".parquet":
        return ParquetFile(path)
    text = path.open("w", encoding="utf-8", newline="")
    return CsvFile(text) if suffix == ".csv" else JsonLinesFile(text)
