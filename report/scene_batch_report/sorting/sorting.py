"""A sorting: a plan, then photo after photo, to be gone on with after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scene_batch.errors import OutputError, StoreError
from scene_batch.object_store.address import shown
from scene_batch.outputs.local_storage import check_folder
from scene_batch.pipeline.interruption import Interruption
from scene_batch.records import ImageRef, Prediction, Row, Unreadable
from scene_batch.sources.reading import Reader
from scene_batch.tables.run_table import RunTable
from scene_batch_report.sorting import placing
from scene_batch_report.sorting.folders import Folders, file_name, numbered
from scene_batch_report.sorting.journal import Entry, Header, Journal, NotSortedError
from scene_batch_report.sorting.planning import Plan, Ways, in_words, plan
from scene_batch_report.sorting.sidecars import ENDING, Sidecars

PARTIAL = ".scene-batch-sort.partial"


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
                f"no room in {str(to)!r}: {found.copied_bytes / 1e9:.1f} GB are needed,"
                f" {free / 1e9:.1f} GB are free"
            )
        journal = journal or Journal.begin(to.absolute(), header)
        sorting = _Sorting(table, wish, ways, journal, found.left)
        sorting.run(interruption)
        if sorting.sidecars.not_merged:
            say(f"{sorting.sidecars.not_merged} sidecars are no XMP and were left as they are")
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


class _Sorting:
    """One on its way."""

    def __init__(
        self, table: RunTable, wish: Wish, ways: Ways, journal: Journal, left: Counter[str]
    ) -> None:
        self._table, self._ways, self._journal, self._left = table, ways, journal, left
        self._folders = Folders(table.classes, wish.min_probability)
        self.sidecars = Sidecars(wanted=wish.xmp, moves=wish.how == "move")
        self._partial = journal.folder / PARTIAL
        self._reader = Reader()
        self._numbers: Counter[str] = Counter()
        """The last number that was given to files of a name that is taken."""

    def run(self, interruption: Interruption) -> None:
        """Sort what is left to sort; a signal counts between two photos."""
        begun = self._journal.last
        for number, row in enumerate(self._table.rows()):
            is_begun = begun is not None and begun.row == number
            if self._journal.has(number) and not is_begun:
                continue
            with interruption.held_off():
                if not (begun is not None and is_begun and self._finish(begun, row)):
                    self._sort(number, row)
        self._partial.unlink(missing_ok=True)

    def _finish(self, begun: Entry, row: Row) -> bool:
        """Finish what an earlier attempt began; whether that could be."""
        data = self._fetched(row.ref) if begun.how == "fetch" else b""
        if data is not None and self._put(begun, row, data, again=True):
            return True
        self._journal.void(begun)
        return False

    def _sort(self, number: int, row: Row) -> None:
        while not isinstance(way := self._ways.of(row.ref), str):
            how, status = way
            data = self._fetched(row.ref) if how == "fetch" else b""
            if data is None:
                return
            folder = self._folders.of(row)
            self._journal.make_folder(folder)
            source = row.ref.path
            if how != "fetch":
                source = os.path.abspath(source)  # noqa: PTH100 - pathlib's resolves no ".."
            entry = Entry(
                number,
                source,
                self._free_name(folder, file_name(source)),
                how,
                size_bytes=status.st_size if status else len(data),
                time_ns=status.st_mtime_ns if status else _time_of(row.ref),
                target=placing.link_text(Path(source)) if how == "move-link" else None,
                sidecar=self.sidecars.of(source, row, is_sure=self._is_sure(row)),
            )
            self._journal.add(entry)
            if self._put(entry, row, data, again=False):
                return
            self._journal.void(entry)

    def _put(self, entry: Entry, row: Row, data: bytes, *, again: bool) -> bool:
        """Carry out an entry; False where it must be another one."""
        name = self._journal.folder / entry.name
        try:
            fetched = data if entry.how == "fetch" else None
            placing.put(entry, name, self._partial, fetched, again=again)
        except placing.CannotLinkError:
            self._ways.can_link = False
            return False
        except placing.TakenError:
            return False
        except FileNotFoundError:
            if os.path.lexists(entry.source) and not again:
                raise
            return False  # it is gone, which is seen next
        self.sidecars.put(entry, row, name, self._partial, is_sure=self._is_sure(row))
        return True

    def _is_sure(self, row: Row) -> bool:
        return isinstance(row, Prediction) and self._folders.is_sure(row)

    def _free_name(self, folder: str, name: str) -> str:
        """A name that nothing has: ``a.jpg``, else ``a (2).jpg``, and so on."""
        key = f"{folder}/{name}".casefold()
        number = self._numbers[key] or 1
        while True:
            found = f"{folder}/{name if number == 1 else numbered(name, number)}"
            path = self._journal.folder / found
            if not (os.path.lexists(path) or os.path.lexists(f"{path}{ENDING}")):
                break
            number += 1
        if number > 1:
            self._numbers[key] = number
        return found

    def _fetched(self, ref: ImageRef) -> bytes | None:
        """A remote photo; None where it is another one now, or gone."""
        data = self._reader.read(ref).data
        if isinstance(data, Unreadable):
            if data.by_storage:
                raise StoreError(f"cannot fetch {shown(ref.path)!r}: {data.message}")
            self._left["gone since the run"] += 1
            return None
        if ref.size_bytes is not None and len(data) != ref.size_bytes:
            self._left["changed since the run"] += 1
            return None
        return data


def _time_of(ref: ImageRef) -> int:
    """When a remote photo was modified, in nanoseconds since 1970."""
    return time.time_ns() if ref.modified_at is None else ref.modified_at * 1000
