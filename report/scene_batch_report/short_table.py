"""A table for a terminal: some rows, and bars of the classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from scene_batch.records import Prediction, printable
from scene_batch.tables.run_table import RunTable

_MOST_CLASSES = 30
_LEAST_BAR = 10


def short_rows(table: RunTable, count: int, width: int) -> Iterator[str]:
    """The first rows, each on a line of at most so many letters."""
    rows = list(islice(table.rows(), count))
    answers = [
        f"{row.top[0].class_name} {row.top[0].probability:.3f}"
        if isinstance(row, Prediction)
        else f"{row.code}: {row.message}"
        for row in rows
    ]
    room = max(20, width - 2 - max(map(len, answers), default=0))
    paths = [_shortened(_on_one_line(row.ref.path), room) for row in rows]
    longest = max(map(len, paths), default=0)
    for path, answer in zip(paths, answers, strict=True):
        yield f"{path:{longest}}  {answer}"[:width]
    photos = table.record["photos"]
    if photos > len(rows):
        yield f"… {photos} rows"


def _on_one_line(path: str) -> str:
    return printable(path).replace("\r", "\\r").replace("\n", "\\n")


def _shortened(path: str, room: int) -> str:
    return path if len(path) <= room else "…" + path[1 - room :]


def bars(table: RunTable, width: int) -> Iterator[str]:
    """How many rows are of each class, most frequent first, and unreadable by code."""
    classes = Counter({name: n for name, n in table.record["classes"].items() if n})
    found = classes.most_common()
    shown = found[:_MOST_CLASSES]
    codes = [(f"unreadable ({code})", n) for code, n in table.record["unreadable"].items() if n]
    lines = [*shown, *codes]
    most = max((n for _, n in lines), default=0)
    names, digits = max((len(name) for name, _ in lines), default=0), len(str(most))
    room = max(_LEAST_BAR, width - names - digits - 2)
    for name, count in lines:
        yield f"{name:{names}} {count:{digits}} {'█' * max(1, round(room * count / most))}"
    if len(found) > len(shown):
        yield f"… {len(found) - len(shown)} more classes"
    yield f"{table.record['photos']} rows, {table.record['ok']} ok"
