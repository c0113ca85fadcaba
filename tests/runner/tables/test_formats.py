"""The table's contract in each format."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scene_batch.errors import UsageError
from scene_batch.outputs.name import check_name
from scene_batch.outputs.opening import open_output
from scene_batch.outputs.plan import Plan
from scene_batch.records import ClassProbability, ImageRef, Prediction, Row, Unreadable
from scene_batch.tables.schema import to_record_batch
from support import printed_by

_CLASSES = ("sea", 'a, "quoted" class', "Straße")
_MOMENT = datetime(2026, 3, 4, 5, 6, 7, 123456, UTC)
_ROWS: list[Row] = [
    Prediction(
        ImageRef("a.jpg", 123, int(_MOMENT.timestamp()) * 1_000_000 + 123456),
        (ClassProbability(_CLASSES[1], 0.7), ClassProbability(_CLASSES[0], 0.1)),
    ),
    Unreadable(ImageRef('new\nline, "b".jpg', 0), "empty", "the file has no bytes"),
    Unreadable(ImageRef("caf\udce9.jpg"), "missing", "no such file: caf\udce9"),
    Prediction(ImageRef("🌲.jpg", 7), (ClassProbability(_CLASSES[2], 1.0),)),
]


def _write(path: Path, rows: list[Row] = _ROWS) -> Path:
    with open_output(str(path), Plan(_CLASSES)) as output:
        output.write(rows)
        output.commit('{"photos": 4}')
    return path


def test_parquet_has_exactly_the_columns_of_the_contract(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.parquet")
    top = pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float32())]))
    assert pq.read_schema(path) == pa.schema(
        [
            ("path", pa.string()),
            ("class", pa.dictionary(pa.int32(), pa.string())),
            ("probability", pa.float32()),
            ("top_k", top),
            ("status", pa.string()),
            ("error", pa.string()),
            ("size_bytes", pa.int64()),
            ("modified_at", pa.timestamp("us", tz="UTC")),
        ]
    )
    assert pq.read_metadata(path).metadata[b"scene_batch.run"] == b'{"photos": 4}'


def test_parquet_rows_are_what_was_found(tmp_path: Path) -> None:
    rows = pq.read_table(_write(tmp_path / "p.parquet")).to_pylist()
    assert [row["path"] for row in rows] == [
        "a.jpg",
        'new\nline, "b".jpg',
        "caf\\xe9.jpg",
        "🌲.jpg",
    ]
    assert [row["class"] for row in rows] == [_CLASSES[1], None, None, "Straße"]
    assert rows[0]["top_k"] == [
        {"class": _CLASSES[1], "probability": np.float32(0.7)},
        {"class": "sea", "probability": np.float32(0.1)},
    ]
    assert rows[0]["probability"] == np.float32(0.7)
    assert rows[0]["modified_at"] == _MOMENT
    assert [row["top_k"] is None for row in rows] == [False, True, True, False]
    assert [row["status"] for row in rows] == ["ok", "unreadable", "unreadable", "ok"]
    assert [row["error"] for row in rows] == [
        None,
        "empty: the file has no bytes",
        "missing: no such file: caf\\xe9",
        None,
    ]
    assert [row["size_bytes"] for row in rows] == [123, 0, None, 7]


def test_the_class_dictionary_holds_every_class_in_index_order(tmp_path: Path) -> None:
    column = pq.read_table(_write(tmp_path / "p.parquet", _ROWS[-1:]))["class"].combine_chunks()
    assert column.dictionary.to_pylist() == list(_CLASSES)
    assert column.indices.to_pylist() == [2]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 200])
def test_columns_are_sound_arrow_whatever_their_length(count: int) -> None:
    rows = [_ROWS[number % 4] for number in range(count)]
    batch = to_record_batch(rows, _CLASSES)
    batch.validate(full=True)
    assert batch.num_rows == count
    assert batch["class"].null_count == sum(isinstance(row, Unreadable) for row in rows)


def _from_text(row: dict[str, Any]) -> dict[str, Any]:
    """A CSV row as JSON Lines would give it."""
    row = {key: value or None for key, value in row.items()}
    row["top_k"] = row["top_k"] and json.loads(row["top_k"])
    row["probability"] = row["probability"] and float(row["probability"])
    row["size_bytes"] = row["size_bytes"] and int(row["size_bytes"])
    return row


def test_text_needs_no_import_that_a_signal_could_break_off() -> None:
    """Arrow would take a broken import of time zones for a missing one, and fail."""
    code = """
import sys
sys.modules["zoneinfo"] = sys.modules["pytz"] = None
from scene_batch.records import ImageRef, Unreadable
from scene_batch.tables.schema import plain_rows, to_record_batch
rows = [Unreadable(ImageRef("a.jpg", 1, 1_000_000), "empty", "the file has no bytes")]
(row,) = plain_rows(to_record_batch(rows, ["sea"]))
print(row["modified_at"])
"""
    assert printed_by(code) == "1970-01-01T00:00:01.000000Z\n"


def test_csv_and_json_lines_say_the_same_as_parquet(tmp_path: Path) -> None:
    table = pq.read_table(_write(tmp_path / "p.parquet"))
    lines = _write(tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()
    with _write(tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        from_csv = [_from_text(row) for row in csv.DictReader(file, strict=True)]
    assert [json.loads(line) for line in lines] == from_csv
    for text, row in zip(from_csv, table.to_pylist(), strict=True):
        assert list(text) == list(row)
        assert text["path"] == row["path"]
        assert text["probability"] is None or np.float32(text["probability"]) == row["probability"]
        assert text["modified_at"] in (None, "2026-03-04T05:06:07.123456Z")
        assert text["size_bytes"] == row["size_bytes"]
    assert b"\r\n" in (tmp_path / "p.csv").read_bytes()
    assert from_csv[0]["probability"] == 0.7  # the fewest digits that give the float32 back


def test_rows_beyond_a_row_group_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with open_output(str(path), Plan(_CLASSES)) as output:
        for start in range(0, 140_000, 10_000):
            output.write(
                [
                    Unreadable(ImageRef(f"{n:06}"), "missing", "x")
                    for n in range(start, start + 10_000)
                ]
            )
        output.commit("{}")
    file = pq.ParquetFile(path)
    assert file.num_row_groups == 3
    assert file.read()["path"].to_pylist() == [f"{n:06}" for n in range(140_000)]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_nothing_has_the_name_before_commit(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"p{suffix}"
    with open_output(str(path), Plan(_CLASSES)) as output:
        output.write(_ROWS)
        output.save()
        assert not path.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == [f"p{suffix}.parts"]


def test_nothing_is_left_where_nothing_was_saved(tmp_path: Path) -> None:
    with open_output(str(tmp_path / "p.csv"), Plan(_CLASSES)) as output:
        output.write(_ROWS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["p.txt", "p", "p.parquet.gz", "p.PARQUET2"])
def test_an_unknown_suffix_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="the suffix decides the format"):
        check_name(name)


@pytest.mark.parametrize("name", ["a.parquet.parts/", "b/out.parts.replaced/"])
def test_names_of_unfinished_runs_are_no_outputs(name: str) -> None:
    """The next run of ``a.parquet`` would take such a data set for its own, and delete it."""
    with pytest.raises(UsageError, match="for unfinished runs"):
        check_name(name)
