"""A sorting: a plan, then photo after photo, to be gone on with after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scene_batch.errors import OutputError
from scene_batch.outputs.local_storage import check_folder
from scene_batch.pipeline.interruption import Interruption
from scene_batch.tables.run_table import RunTable
from scene_batch_report.sorting.folders import Folders
from scene_batch_report.sorting.journal import Header, Journal, NotSortedError
from scene_batch_report.sorting.planning import Plan, Ways, in_words, plan, size_in_words
from scene_batch_report.sorting.sidecars import Sidecars
from scene_batch_report.sorting.turns import Turns


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    to: Path
    how: str = "link"
    """``link``, ``copy`` or ``move``."""
    min_probability: float = 0.0
    xmp: bool = False


def sort(
    table: RunTable,
    wish: Wish,
    say: Callable[[str], None],
    interruption: Interruption,
    *,
    dry_run: bool = False,
) -> Plan:
    """Put a table's photos into folders, or only say what would be done.

    Returns:
        The plan; with ``left``, what could not be sorted.

    Raises:
        OutputError: There is no room, or the folder was sorted into from another table.
        Interrupted: A signal came; the same call goes on.
    """
    to = wish.to
    if os.path.lexists(to) and not to.is_dir():
        raise OutputError(f"--to {str(to)!r} is no folder; name another one")
    check_folder(to if to.is_dir() else to.parent)
    header = _header(table, wish)
    journal = _earlier(header, to)
    try:
        folders = Folders(table.classes, wish.min_probability)
        ways = Ways(to, wish.how)
        found = plan(table, folders, ways, journal)
        free = shutil.disk_usage(to if to.is_dir() else to.parent).free
        for line in in_words(found, folders, to, free):
            say(line)
        if dry_run:
            return found
        if found.copied_bytes > free:
            raise OutputError(
                f"no room in {str(to)!r}: {size_in_words(found.copied_bytes)} are needed,"
                f" {size_in_words(free)} are free"
            )
        journal = journal or Journal.begin(to.absolute(), header)
        sidecars = Sidecars(wanted=wish.xmp, moves=wish.how == "move")
        turns = Turns(table, folders, ways, sidecars, journal)
        turns.take(interruption)
        found.left = turns.left
        for line in turns.in_words():
            say(line)
    finally:
        if journal is not None:
            journal.close()
    return found


def _header(table: RunTable, wish: Wish) -> Header:
    digest = hashlib.sha256(json.dumps(table.record, sort_keys=True).encode()).hexdigest()
    options = {"how": wish.how, "min_probability": wish.min_probability, "xmp": wish.xmp}
    return Header(digest, options, made=not wish.to.exists())


def _earlier(header: Header, to: Path) -> Journal | None:
    """The journal of an earlier attempt at the same; None where there was none."""
    try:
        journal = Journal(to.absolute())
    except NotSortedError:
        return None
    if journal.is_being_undone:
        journal.close()
        raise OutputError(f"{str(to)!r} is being undone: finish that by sort --undo")
    if (journal.header.table, journal.header.options) != (header.table, header.options):
        journal.close()
        raise OutputError(
            f"{str(to)!r} holds photos that were sorted from another table, or by other options:"
            " undo them by sort --undo, or name another folder"
        )
    return journal
