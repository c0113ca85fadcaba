"""Tables of shards, merged into the table that one run would have written.

Within a directory or prefix, rows are merged by path; within a list, by the order of its lines. The
record of a shard says how many rows it has of each source.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from scene_batch.errors import AccountingError, TableError
from scene_batch.object_store.address import hidden, shown
from scene_batch.outputs.opening import open_output
from scene_batch.outputs.plan import Plan, fingerprint
from scene_batch.pipeline.front import SILENT, Front
from scene_batch.pipeline.inputs import refuse_overwriting
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.merged_record import merged_record
from scene_batch.records import Position, Row, moved, printable, unprintable
from scene_batch.sources.file_list import FileList, ListFormat
from scene_batch.sources.shard import Shard, shard_index
from scene_batch.tables.run_record import RunRecord
from scene_batch.tables.run_table import RunTable

_ROWS_AT_A_TIME = 1024

_SAME_SETTINGS = (
    "sources",
    "where",
    "lists",
    "column",
    "null",
    "follow_links",
    "exclude",
    "skip_unlistable",
    "hide_queries",
    "limit",
    "top_k",
    "precision",
)


def merge(  # noqa: PLR0913 - each is asked for
    names: Sequence[str],
    out: str,
    *,
    overwrite: bool = False,
    restart: bool = False,
    front: Front = SILENT,
    interruption: Interruption | None = None,
) -> RunRecord:
    """Merge the tables of all shards of one job.

    Args:
        names: The tables, in any order: Parquet files or data sets, local or in buckets.
        out: The table to write, as a run would.
        overwrite: Replace a table that is there.
        restart: Throw away what an unfinished merge left.
        front: Is told if saved rows are damaged and merged again.
        interruption: Where signals come from; rows that are being written are saved first.

    Returns:
        The record of the whole, as it was written beside the table.

    Raises:
        UsageError: ``out`` is one of the shards, by whatever name.
        TableError: A table is no shard's, or they are not all the shards of one job.
        OutputError: The table cannot be written.
        AccountingError: Rows were lost: a defect, and no table.
        Interrupted: By a signal; the same merge continues.
    """
    interruption = interruption or Interruption()
    guard = interruption.held_off
    refuse_overwriting(out, names)
    tables = _in_shard_order([RunTable.open(name) for name in names])
    _check_same(tables)
    lists = _check_lists(tables[0])
    identity = {"shards": [fingerprint(table.record) for table in tables]}
    record = merged_record([table.record for table in tables], fingerprint(identity))
    plan = Plan(tables[0].classes, identity)
    with open_output(
        out, plan, overwrite=overwrite, restart=restart, at_the_end=interruption.end
    ) as output:
        if output.done is not None:
            return RunRecord(**output.done)
        front.note(output.thrown_away and f"{output.thrown_away}: merged again from there on")
        rows = islice(_merged(tables, lists), output.tally.rows, None)
        while some := list(islice(rows, _ROWS_AT_A_TIME)):
            with guard():
                output.write(some)
        with guard():
            output.save()
        if not record.photos == output.tally.rows == output.rows_saved:
            raise AccountingError(
                f"the shards have {record.photos} rows, {output.rows_saved} were written"
            )
        output.commit(record.to_json())
    return record


def _in_shard_order(tables: Sequence[RunTable]) -> list[RunTable]:
    """Sort the tables by index; every shard must be there once."""
    by_index: dict[int, RunTable] = {}
    counts = {_shard(table)[1] for table in tables}
    if len(counts) != 1:
        raise TableError(f"these are shards of different numbers: {sorted(counts)}")
    (count,) = counts
    for table in tables:
        index, _ = _shard(table)
        if index in by_index:
            names = [shown(by_index[index].name), shown(table.name)]
            raise TableError(f"shard {index}/{count} is there twice: {names[0]!r}, {names[1]!r}")
        by_index[index] = table
    missing = [f"{index}/{count}" for index in range(count) if index not in by_index]
    if missing:
        raise TableError(f"shards are missing: {', '.join(missing[:10])}; name their tables, too")
    return [by_index[index] for index in range(count)]


def _shard(table: RunTable) -> tuple[int, int]:
    text = table.record["settings"].get("shard")
    if not text:
        raise TableError(f"{shown(table.name)!r} is not the table of a shard (run --shard I/N)")
    shard = Shard.parse(text)
    return shard.index, shard.count


def _check_same(tables: Sequence[RunTable]) -> None:
    """Refuse shards that differ in what decides rows, or that are not whole."""
    first, *others = tables
    for table in others:
        for name, theirs in _must_be_equal(table.record).items():
            ours = _must_be_equal(first.record)[name]
            if theirs != ours:
                pair = f"{shown(first.name)!r} and {shown(table.name)!r}"
                raise TableError(f"{pair} differ in their {name}: {ours}, {theirs}")
    if first.record["settings"]["limit"] is not None:
        raise TableError(f"{shown(first.name)!r} was cut by --limit: such shards make no whole")


def _must_be_equal(record: Mapping[str, Any]) -> dict[str, Any]:
    settings = {name: record["settings"].get(name) for name in _SAME_SETTINGS}
    model = {f"model's {key}": value for key, value in record["model"].items()}
    return {"provider": record["provider"], **model, **settings, "classes": list(record["classes"])}


def _check_lists(table: RunTable) -> dict[int, FileList]:
    """The lists among the sources, by number; refused if changed: their lines tell the order."""
    settings = table.record["settings"]
    lists = {}
    for number, source in enumerate(settings["sources"]):
        if source.startswith("@"):
            known = settings["lists"].get(source[1:])
            if known is None:
                raise TableError(f"{source} was a pipe: nothing tells the order of its photos")
            lists[number] = FileList(
                unprintable(source[1:]), number, ListFormat.from_json(settings)
            )
            if lists[number].sha256() != known:
                raise TableError(f"the list {source} has changed since the shards were made")
    return lists


def _merged(tables: Sequence[RunTable], lists: Mapping[int, FileList]) -> Iterator[Row]:
    """All rows in the order of one run, each checked to be in the right shard, once."""
    rows = [_checked(table, len(tables)) for table in tables]
    hides = bool(tables[0].record["settings"].get("hide_queries"))
    for source in range(len(tables[0].record["settings"]["sources"])):
        lengths = [table.record["photos_per_source"][source] for table in tables]
        of_source = [islice(iterator, n) for iterator, n in zip(rows, lengths, strict=True)]
        listed = lists.get(source)
        ordered = _by_list(of_source, listed, hides) if listed else _by_path(of_source)
        for number, row in enumerate(ordered, 1):
            yield moved(row, Position(source, number if listed else None))


def _checked(table: RunTable, count: int) -> Iterator[Row]:
    index, _ = _shard(table)
    for row in table.rows():
        if shard_index(row.ref.path, count) != index:
            # Without the file, nothing tells whether \\xNN in its path stands for a byte.
            row = replace(row, ref=replace(row.ref, path=printable(row.ref.path)))  # noqa: PLW2901
        if shard_index(row.ref.path, count) != index:
            raise TableError(
                f"{shown(table.name)!r} holds {row.ref.path!r}, which is another shard's"
            )
        yield row


def _by_path(shards: Sequence[Iterator[Row]]) -> Iterator[Row]:
    before: bytes | None = None
    for row in heapq.merge(*shards, key=_path):
        path = _path(row)
        if before is not None and path <= before:
            raise TableError(f"{row.ref.path!r} is there twice, or a shard is not in order")
        before = path
        yield row


def _path(row: Row) -> bytes:
    return os.fsencode(row.ref.path)


def _by_list(shards: Sequence[Iterator[Row]], names: FileList, hide_queries: bool) -> Iterator[Row]:
    for ref in names.refs():
        path = hidden(ref.path) if hide_queries else ref.path
        row = next(shards[shard_index(path, len(shards))], None)
        if row is None or printable(row.ref.path) != printable(path):
            raise TableError(f"the shards do not hold {path!r} where @{names.name} has it")
        yield row
