"""Where rows go: a table of a format that its name decides, under its name only when whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import pyarrow as pa

from scene_batch.errors import OutputError, OutputExistsError, UsageError
from scene_batch.records import Row
from scene_batch.sinks.parquet_file import ParquetFile
from scene_batch.sinks.table import to_record_batch
from scene_batch.sinks.text_file import CsvFile, JsonLinesFile

SUFFIXES = (".parquet", ".csv", ".jsonl")
STANDARD_OUTPUT = "-"

_ROWS_AT_A_TIME = 1024


class Sink(Protocol):
    """One format: takes record batches of the schema in ``table.py``."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def finish(self, record: str) -> None:
        """Write what is still missing and close; ``record`` is the run's record as JSON."""

    def abandon(self) -> None:
        """Let go of what is open."""


class Output:
    """The table of one run; nothing is under its name before ``commit``.

    Raises:
        UsageError: The name ends in no known suffix.
        OutputExistsError: It is already there and may not be replaced.
        OutputError: Its folder is missing or not writable.
    """

    def __init__(self, name: str, classes: Sequence[str], *, overwrite: bool = False) -> None:
        check_name(name)
        self._classes = classes
        self._rows: list[Row] = []
        self.written = 0
        """Rows handed to the sink so far."""
        self._standard = name == STANDARD_OUTPUT
        self._path = Path(name)
        self._partial = Path(f"{name}.partial")
        self._committed = False
        self._sink: Sink
        if self._standard:
            self._sink = JsonLinesFile(
                open(  # noqa: SIM115 - finish and abandon close it
                    sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False
                )
            )
        else:
            _check_place(self._path, overwrite=overwrite)
            self._sink = self._open()

    @property
    def record_path(self) -> Path | None:
        """Where the run's record goes, beside the table; None for standard output."""
        return None if self._standard else Path(f"{self._path}.run.json")

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows in order."""
        self._rows += rows
        if self._standard or len(self._rows) >= _ROWS_AT_A_TIME:
            self._flush()

    def flush(self) -> None:
        """Hand over the rows that wait."""
        if self._rows:
            self._flush()

    def commit(self, record: str) -> None:
        """Finish the table and its record, and give both their names: the record, then the table.

        Raises:
            OutputError: The disk does not take them; nothing is under the table's name.
        """
        self.flush()
        try:
            self._sink.finish(record)
            if self.record_path is not None:
                _sync(self._partial)
                _write_whole(self.record_path, record)
                self._partial.replace(self._path)
                _sync(self._path.parent)
            self._committed = True
        except OSError as error:
            raise self._not_written(error) from error

    def __enter__(self) -> Self:
        """Enter: leaving before ``commit`` leaves nothing behind but what was there before."""
        return self

    def __exit__(self, *_: object) -> None:
        """Throw away what was not committed."""
        if not self._committed:
            self._sink.abandon()
            if not self._standard:
                self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        batch = to_record_batch(self._rows, self._classes)
        try:
            self._sink.write(batch)
        except OSError as error:
            if self._standard:
                raise
            raise self._not_written(error) from error
        self.written += len(self._rows)
        self._rows = []

    def _open(self) -> Sink:
        try:
            if self._path.suffix == ".parquet":
                return ParquetFile(self._partial)
            text = self._partial.open("w", encoding="utf-8", newline="")
            return CsvFile(text) if self._path.suffix == ".csv" else JsonLinesFile(text)
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(f"cannot write {str(self._path)!r}: {reason}; make room or name another")


def check_name(name: str) -> None:
    """Refuse an output whose format cannot be told.

    Raises:
        UsageError: Its suffix is not known.
    """
    if name != STANDARD_OUTPUT and not name.endswith(SUFFIXES):
        raise UsageError(
            f"--out {name!r}: the suffix decides the format: {', '.join(SUFFIXES)},"
            " or - for JSON Lines on standard output"
        )


def _check_place(path: Path, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"no such folder: {str(path.parent)!r}; make it with: mkdir -p")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {str(path.parent)!r} is not writable; name another in --out")
    if path.is_dir():
        raise OutputError(f"{str(path)!r} is a directory; name a file in --out")
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{str(path)!r} is already there; replace it with --overwrite or name another"
        )


def _write_whole(path: Path, text: str) -> None:
    partial = Path(f"{path}.partial")
    partial.write_text(text, encoding="utf-8")
    _sync(partial)
    partial.replace(path)


def _sync(path: Path) -> None:
    """Make what is written survive a power loss; for a folder, its names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
