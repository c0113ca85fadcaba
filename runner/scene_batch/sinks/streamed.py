"""Rows to standard output as they come: written once, and not to be continued."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Self

from scene_batch.record import Tally
from scene_batch.records import ImageRef, Row
from scene_batch.sinks.table import to_record_batch
from scene_batch.sinks.text_file import JsonLinesFile


class StreamedOutput:
    """JSON Lines on standard output, each batch at once."""

    done: None = None
    after: ImageRef | None = None

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self.tally = Tally(started_at=datetime.now(UTC))
        self._lines = JsonLinesFile(
            open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False)  # noqa: SIM115
        )

    def write(self, rows: Sequence[Row]) -> None:
        """Print rows."""
        self._lines.write(to_record_batch(rows, self._classes))
        self.tally.add(rows)

    @property
    def rows_saved(self) -> int:
        """Rows that were handed over."""
        return self.tally.rows

    def save(self) -> None:
        """Nothing waits: rows are out as they come."""

    def commit(self, record: str) -> None:
        """All rows are out; the record has no place beside them."""

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._lines.abandon()
