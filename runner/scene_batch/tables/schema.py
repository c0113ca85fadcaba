"""The table's contract: its columns, and how rows become Arrow record batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from scene_batch.records import (
    ClassProbability,
    ImageRef,
    Prediction,
    Row,
    Unreadable,
    printable,
    unprintable,
)
from scene_batch.tables.arrow_buffers import lists, numbers, strings

STATUS_OK, STATUS_UNREADABLE = "ok", "unreadable"
RECORD_KEY = "scene_batch.run"
"""The key of the run's record in a Parquet file's metadata."""

_TOP = pa.struct([("class", pa.string()), ("probability", pa.float32())])
_MOMENT = pa.timestamp("us", tz="UTC")


def schema() -> pa.Schema:
    """The columns of every table, whatever the model."""
    return pa.schema(
        [
            ("path", pa.string()),
            ("class", pa.dictionary(pa.int32(), pa.string())),
            ("probability", pa.float32()),
            ("top_k", pa.list_(_TOP)),
            ("status", pa.string()),
            ("error", pa.string()),
            ("size_bytes", pa.int64()),
            ("modified_at", _MOMENT),
        ]
    )


def to_record_batch(rows: Sequence[Row], classes: Sequence[str]) -> pa.RecordBatch:
    """Make rows into columns; the class dictionary holds all of ``classes`` in index order."""
    index = {name: i for i, name in enumerate(classes)}
    predictions = [row if isinstance(row, Prediction) else None for row in rows]
    refs = [row.ref for row in rows]
    indices = numbers(
        [index[p.class_name] if p else None for p in predictions], pa.int32(), np.int32
    )
    columns = [
        strings([printable(ref.path) for ref in refs]),
        pa.DictionaryArray.from_arrays(indices, strings(classes)),
        numbers([p.probability if p else None for p in predictions], pa.float32(), np.float32),
        _top_column(predictions),
        strings([STATUS_OK if p else STATUS_UNREADABLE for p in predictions]),
        strings([_error(row) for row in rows]),
        numbers([ref.size_bytes for ref in refs], pa.int64(), np.int64),
        numbers([ref.modified_at for ref in refs], _MOMENT, np.int64),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema())


def to_rows(batch: pa.RecordBatch) -> Iterator[Row]:
    """The rows that ``to_record_batch`` made into columns."""
    moments = batch["modified_at"].cast(pa.int64()).to_pylist()
    sizes, errors = batch["size_bytes"].to_pylist(), batch["error"].to_pylist()
    paths, tops = batch["path"].to_pylist(), batch["top_k"].to_pylist()
    for path, size, moment, top, error in zip(paths, sizes, moments, tops, errors, strict=True):
        ref = ImageRef(unprintable(path), size, moment)
        if top is not None:
            pairs = (ClassProbability(pair["class"], pair["probability"]) for pair in top)
            yield Prediction(ref, tuple(pairs), kept=True)
        else:
            code, _, message = error.partition(": ")
            yield Unreadable(ref, code, message, kept=True)


def _top_column(predictions: Sequence[Prediction | None]) -> pa.ListArray:
    pairs = [pair for p in predictions if p for pair in p.top]
    values = pa.StructArray.from_arrays(
        [
            strings([pair.class_name for pair in pairs]),
            numbers([pair.probability for pair in pairs], pa.float32(), np.float32),
        ],
        fields=list(_TOP),
    )
    return lists([len(p.top) if p else None for p in predictions], values, pa.list_(_TOP))


def _error(row: Row) -> str | None:
    return None if isinstance(row, Prediction) else f"{row.code}: {printable(row.message)}"


def plain_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows of a batch as JSON values, for the formats that are text.

    Probabilities have the fewest digits that give the same float32 back; times are ISO 8601.
    """
    # Without a time zone, so that no time zone module is imported, which a signal could break off.
    naive = batch["modified_at"].cast(pa.timestamp("us"))
    batch = batch.set_column(batch.schema.get_field_index("modified_at"), "modified_at", naive)
    for row in batch.to_pylist():
        if row["status"] == STATUS_OK:
            row["probability"] = _short(row["probability"])
            for top in row["top_k"]:
                top["probability"] = _short(top["probability"])
        if row["modified_at"] is not None:
            row["modified_at"] = row["modified_at"].isoformat(timespec="microseconds") + "Z"
        yield row


def _short(value: float) -> float:
    return float(str(np.float32(value)))


def to_json(value: object) -> str:
    """One line of JSON, in readable UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
