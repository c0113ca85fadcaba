"""Rows into text: CSV or JSON Lines."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import TextIO

import pyarrow as pa

from scene_batch.tables.schema import plain_rows, schema, to_json


class _TextFile:
    """What CSV and JSON Lines have in common."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Close the file; text has no place for metadata."""
        self._file.close()

    def abandon(self) -> None:
        """Close the file, which stays incomplete."""
        self._file.close()


class CsvFile(_TextFile):
    """Writes RFC 4180 CSV: null is an empty field, ``top_k`` one column of JSON."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self._rows = csv.DictWriter(file, schema().names, lineterminator="\r\n")
        self._rows.writeheader()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        for row in plain_rows(batch):
            top = row["top_k"]
            self._rows.writerow(row | {"top_k": top and to_json(top)})


def json_lines(batch: pa.RecordBatch) -> str:
    """One JSON object a line."""
    return "".join(to_json(row) + "\n" for row in plain_rows(batch))


class JsonLinesFile(_TextFile):
    """Writes one JSON object a line."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._file.write(json_lines(batch))
