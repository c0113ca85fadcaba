"""Rows into one Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.sinks.table import schema

ROW_GROUP_ROWS = 65_536
"""Rows in a row group: large enough to scan fast, small enough to hold while it fills."""


_PAGE_BYTES = 65_536
"""A sixteenth of Arrow's own: a column's encoder holds a page."""

_REPEATING = ["class", "status", "error", "top_k.list.element.class"]
"""Columns worth a dictionary: paths, sizes and probabilities are hardly ever twice the same."""


class ParquetFile:
    """Writes one Parquet file; without its footer, which ``finish`` writes, it is unreadable."""

    def __init__(self, path: Path, group_rows: int = ROW_GROUP_ROWS) -> None:
        self._writer = pq.ParquetWriter(
            path,
            schema(),
            compression="zstd",
            use_dictionary=_REPEATING,
            data_page_size=_PAGE_BYTES,
        )
        self._group_rows = group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= self._group_rows:
            table = pa.Table.from_batches(self._waiting)
            whole = table.num_rows - table.num_rows % self._group_rows
            self._writer.write_table(table.slice(0, whole), row_group_size=self._group_rows)
            self._waiting = table.slice(whole).to_batches()
            self._waiting_rows = table.num_rows - whole

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write what waits, and the footer with the metadata."""
        self._writer.write_table(pa.Table.from_batches(self._waiting, schema()))
        self._writer.add_key_value_metadata(metadata)
        self._writer.close()

    def abandon(self) -> None:
        """Let go of the file; what is in it does not count."""
        self._writer.close()
