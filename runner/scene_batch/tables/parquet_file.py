"""Rows into one Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.tables.schema import schema
from scene_batch.tables.seal import SEAL_KEY, UNSEALED, ParquetSource, seal

ROW_GROUP_ROWS = 65_536
"""Most rows in a row group: large enough to scan fast."""
ROW_GROUP_BYTES = 4_500_000
"""Most bytes in memory of a row group that is being filled: reached first where rows are wide."""

PART_GROUP_ROWS = 8192
"""Most rows in a part's row group, and so joined at a time: few, so that joining a million rows
takes no more memory than the run."""

_PAGE_BYTES = 65_536
"""A sixteenth of Arrow's default: the encoder of each column holds a page in memory."""

_REPEATING = ["class", "status", "error", "top_k.list.element.class"]
"""Columns worth a dictionary: paths, sizes and probabilities hardly ever repeat."""


class ParquetFile:
    """Writes one Parquet file, which cannot be read before ``finish`` writes its footer."""

    def __init__(self, path: Path, group_rows: int = ROW_GROUP_ROWS) -> None:
        self._path = path
        # Opened here, so that it is closed where the disk has no room for its first bytes.
        self._file = pa.OSFile(str(path), "wb")
        try:
            self._writer = pq.ParquetWriter(
                self._file,
                schema(),
                compression="zstd",
                use_dictionary=_REPEATING,
                data_page_size=_PAGE_BYTES,
                write_page_checksum=True,
            )
        except BaseException:
            self._file.close()
            raise
        self._group_rows = group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        room = self._group_rows - self._waiting_rows
        if batch.num_rows > room:
            self._add(batch.slice(0, room))
            self.write(batch.slice(room))
        else:
            self._add(batch)

    def _add(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows == self._group_rows or self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._waiting, schema())
        self._writer.write_table(table, row_group_size=self._group_rows)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write what waits, the footer with the metadata, and the file's digest."""
        if self._waiting:
            self._flush()
        self._writer.add_key_value_metadata({**metadata, SEAL_KEY: UNSEALED})
        self._writer.close()
        self._file.close()
        seal(self._path)

    def abandon(self) -> None:
        """Close the file, which stays incomplete."""
        try:
            self._writer.close()
        finally:
            self._file.close()


def batches(
    source: ParquetSource, rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows, so many at a time, with each page held against its checksum.

    ``columns`` None are all.

    Raises:
        OSError: A page is damaged.
    """
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        yield from file.iter_batches(rows, columns=columns, use_threads=False)
