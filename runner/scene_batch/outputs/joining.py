"""Join the parts of a run into one table of any format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import AccountingError
from scene_batch.outputs.local_storage import sync
from scene_batch.outputs.part_metadata import part_metadata, ref_from_json
from scene_batch.outputs.storage import Storage
from scene_batch.records import ImageRef
from scene_batch.tables.names import PARTIAL, WHOLE, part_name
from scene_batch.tables.parquet_file import PART_GROUP_ROWS, ParquetFile
from scene_batch.tables.schema import RECORD_KEY
from scene_batch.tables.text_file import CsvFile, JsonLinesFile


class Sink(Protocol):
    """A file of one format, which takes record batches of ``tables/schema.py``'s columns."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write what waits and the metadata, and close."""

    def abandon(self) -> None:
        """Close the file, which stays incomplete."""


def join(storage: Storage, parts: Sequence[str], suffix: str, record: str, rows: int) -> None:
    """Join parts into the file ``whole`` in the scratch folder; ``suffix`` decides the format.

    Raises:
        AccountingError: The parts do not follow each other, or do not hold ``rows`` rows.
    """
    whole = storage.scratch / WHOLE
    partial = Path(f"{whole}{PARTIAL}")
    sink = _open_sink(partial, suffix)
    joined = 0
    try:
        for source in _in_order(storage, parts):
            with pq.ParquetFile(source) as file:
                for batch in file.iter_batches(PART_GROUP_ROWS, use_threads=False):
                    joined += batch.num_rows
                    sink.write(batch)
        sink.finish({RECORD_KEY: record})
    except BaseException:
        sink.abandon()
        raise
    _count(joined, rows)
    sync(partial)
    partial.replace(whole)


def check(storage: Storage, parts: Sequence[str], rows: int) -> None:
    """Check the parts of a data set as ``join`` does, without joining them."""
    files = _in_order(storage, parts)
    _count(sum(pq.read_metadata(file).num_rows for file in files), rows)


def _count(found: int, rows: int) -> None:
    if found != rows:
        raise AccountingError(f"{rows} rows were written, their parts hold {found}")


def _in_order(storage: Storage, parts: Sequence[str]) -> Iterator[Path | pa.BufferReader]:
    """The parts' files, checked to be of one run and each to begin behind the one before."""
    before: ImageRef | None = None
    runs: set[str] = set()
    for number, part in enumerate(parts):
        file = storage.parquet(part)
        metadata = part_metadata(file, part)
        begin, end = ref_from_json(metadata["begin"]), ref_from_json(metadata["end"])
        runs.add(metadata["run"])
        follows = before is None or (begin is not None and begin.order_key > before.order_key)
        if part != part_name(number) or not follows or len(runs) > 1:
            raise AccountingError(
                f"{part!r} in {storage.folder!r} does not follow the part before it",
                remedy="; throw the unfinished run away with --restart",
            )
        before = end
        yield file


def _open_sink(path: Path, suffix: str) -> Sink:
    if suffix == ".parquet":
        return ParquetFile(path)
    text = path.open("w", encoding="utf-8", newline="")
    return CsvFile(text) if suffix == ".csv" else JsonLinesFile(text)
