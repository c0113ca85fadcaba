"""The contents of a page: figures of all rows, and the rows that are shown."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scene_batch.object_store.address import shown
from scene_batch.tables.run_table import RunTable
from scene_batch_report.judged import UNKNOWN, Judged, Judging
from scene_batch_report.page.counts import Counts
from scene_batch_report.page.sample import Sample, rows_at
from scene_batch_report.truth import Truth

_MOST_PAIRS = 5_000
"""Cells of the confusion matrix in the page: the fullest, beside the diagonal."""
_MOST_OTHER = 50
_TOP = 5
"""Classes of a photo that are shown with their probabilities."""


class Contents(NamedTuple):
    """What a page shows, as JSON values."""

    figures: dict[str, Any]
    """Of all rows."""
    photos: list[dict[str, Any]]
    """The rows that are shown, in the order of the table; see ``_photo``."""


def gather(table: RunTable, truth: Truth | None, most: int) -> Contents:
    """Read a table: once for its figures, and once more for the rows that are shown.

    Args:
        table: Of a run.
        truth: What its photos show, where that is known.
        most: Rows to show.

    Raises:
        SourceError: There is a truth, and of no photo the class is known.
    """
    classes = table.classes
    counts, sample = Counts(classes), Sample(most)
    judging = None if truth is None else Judging(table, truth, keep_paths=False)
    for batch in table.record_batches():
        said, codes = counts.said(batch), counts.codes(batch)
        probability = batch["probability"].to_numpy(zero_copy_only=False).astype(np.float64)
        true = np.full(len(said), UNKNOWN, np.int64)
        if judging is not None:
            true = judging.add(batch).astype(np.int64)
        counts.add(said, probability, true)
        sample.add(said, probability, true, codes, classes=len(classes))
    numbers, how = sample.chosen()
    values = counts.values()
    figures = {
        "table": shown(table.name),
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "run": _run(table.record),
        "classes": classes,
        "rows": sample.rows,
        "ok": sum(values["counts"]),
        "how": how,
        **values,
        "evaluation": None,
    }
    if judging is not None and figures["ok"]:
        figures["evaluation"] = _evaluation(judging.judged())
    return Contents(figures, list(_photos(table, numbers, truth)))


def _run(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of the run: its record without what is only for machines."""
    left_out = {"job", "classes", "unreadable", "photos", "ok"}
    kept = {key: value for key, value in record.items() if key not in left_out}
    settings = {key: value for key, value in kept["settings"].items() if key != "where"}
    return {**kept, "settings": settings}


def _evaluation(judged: Judged) -> dict[str, Any]:
    """``evaluate``'s figures, with the confusion matrix as a list of its cells."""
    from scene_batch_report.evaluation import coverage_curve, evaluate

    found = evaluate(judged)
    matrix = np.array(found.pop("confusion"), np.int64)
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    rows, columns = np.nonzero(off)
    order = np.argsort(-off[rows, columns], kind="stable")
    cells = [
        [int(rows[at]), int(columns[at]), int(off[rows[at], columns[at]])]
        for at in order[:_MOST_PAIRS]
    ]
    other = sorted(found["truth_other"].items(), key=lambda item: -item[1])
    found["per_class"] = [found["per_class"][name] for name in judged.classes]
    return {
        **found,
        "right": np.diagonal(matrix).tolist(),
        "cells": cells,
        "pairs": len(order),
        "truth_other": other[:_MOST_OTHER],
        "others": len(other),
        "curve": coverage_curve(judged),
    }


def _photos(
    table: RunTable, numbers: npt.NDArray[np.int64], truth: Truth | None
) -> Iterator[dict[str, Any]]:
    index = {name: number for number, name in enumerate(table.classes)}
    begin = 0
    for batch in table.record_batches():
        wanted = list(rows_at(numbers, begin, batch.num_rows))
        if wanted:
            for at, row in zip(wanted, batch.take(wanted).to_pylist(), strict=True):
                yield _photo(begin + at, row, index, truth)
        begin += batch.num_rows


def _photo(
    number: int, row: Mapping[str, Any], index: Mapping[str, int], truth: Truth | None
) -> dict[str, Any]:
    """A row in short: its ``number``, ``path`` and what is known of it, by the page's keys.

    ``top`` are (class index, probability), most probable first; it is missing where there is an
    ``error``. ``truth`` is a class index, or the name of a class that the model does not know.
    """
    found: dict[str, Any] = {"number": number, "path": row["path"]}
    if row["error"] is None:
        pairs = row["top_k"][:_TOP]
        found["top"] = [[index[p["class"]], round(p["probability"], 6)] for p in pairs]
    else:
        found["error"] = row["error"]
    label = None if truth is None else truth(row["path"])
    if label is not None:
        found["truth"] = index.get(label, label)
    if row["size_bytes"] is not None:
        found["size"] = row["size_bytes"]
    if row["modified_at"] is not None:
        found["modified"] = row["modified_at"].isoformat(timespec="seconds")
    return found
