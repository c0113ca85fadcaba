"""Photo after photo in its turn, each written down before it is touched."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from scene_batch.errors import Interrupted, OutputError, StoreError
from scene_batch.object_store.address import shown
from scene_batch.pipeline.interruption import Interruption
from scene_batch.records import ImageRef, Prediction, Row, Unreadable
from scene_batch.scratch import FULL
from scene_batch.sources.reading import Reader
from scene_batch.tables.run_table import RunTable
from scene_batch_report.paths import absolute
from scene_batch_report.sorting import placing
from scene_batch_report.sorting.folders import Folders, file_name, numbered
from scene_batch_report.sorting.journal import Entry, Journal
from scene_batch_report.sorting.planning import WORDS, Ways
from scene_batch_report.sorting.sidecars import ENDING, Sidecars

PARTIAL = ".scene-batch-sort.partial"


class Turns:
    """A sorting on its way."""

    def __init__(
        self, table: RunTable, folders: Folders, ways: Ways, sidecars: Sidecars, journal: Journal
    ) -> None:
        self._table, self._folders, self._ways = table, folders, ways
        self._sidecars, self._journal = sidecars, journal
        self._partial = journal.folder / PARTIAL
        self._reader = Reader()
        self.left: Counter[str] = Counter()
        """Photos that were left out, by reason."""
        self._done: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        """The last number that was given to files of a name that is taken."""

    def take(self, interruption: Interruption) -> None:
        """Sort what is left to sort; a signal counts between two photos.

        Raises:
            OutputError: There is no room.
            StoreError: A store does not answer.
            Interrupted: A signal came.
        """
        try:
            self._take_all(interruption)
        except Interrupted:  # between two photos
            self._journal.settle()
            raise
        self._partial.unlink(missing_ok=True)
        self._journal.settle()

    def _take_all(self, interruption: Interruption) -> None:
        begun = self._journal.last
        for number, row in enumerate(self._table.rows()):
            is_begun = begun is not None and begun.row == number
            if self._journal.has(number) and not is_begun:
                continue
            with interruption.held_off():
                if not (begun is not None and is_begun and self._finish(begun, row)):
                    self._sort(number, row)

    def in_words(self) -> Iterator[str]:
        """What was done, line by line."""
        if self._done:
            yield "sorted: " + ", ".join(f"{n} {WORDS[how]}" for how, n in self._done.items())
        if self._sidecars.odd:
            yield f"{self._sidecars.odd} sidecars are no XMP, or too large, and stay as they are"

    def _finish(self, begun: Entry, row: Row) -> bool:
        """Finish what an earlier attempt began; whether that could be."""
        data = self._fetched(row.ref) if begun.how == "fetch" else b""
        if data is not None and self._put(begun, row, data, again=True):
            return True
        self._journal.void(begun)
        return False

    def _sort(self, number: int, row: Row) -> None:
        must_copy = False
        while True:
            way = self._ways.of(row.ref)
            if isinstance(way, str):
                self.left[way] += 1
                return
            how, status = way
            data = self._fetched(row.ref) if how == "fetch" else b""
            if data is None:
                return
            folder = self._folders.of(row)
            source = row.ref.path if how == "fetch" else absolute(row.ref.path)
            if self._is_there(source, folder):
                self._done["there"] += 1
                return
            self._journal.make_folder(folder)
            entry = Entry(
                number,
                source,
                self._free_name(folder, file_name(source)),
                "copy" if must_copy and how == "link" else how,
                size_bytes=status.st_size if status else len(data),
                time_ns=status.st_mtime_ns if status else _time_of(row.ref),
                target=None if how == "fetch" else _link_text(source),
                sidecar=self._sidecars.of(source, row, is_sure=self._is_sure(row)),
            )
            self._journal.add(entry)
            try:
                if self._put(entry, row, data, again=False):
                    return
            except placing.CannotLinkError as error:
                self._ways.can_link = self._ways.can_link and not error.is_for_all
                must_copy = True
            except OSError as error:
                self._journal.void(entry)
                self._leave(error)
                return
            self._journal.void(entry)

    def _leave(self, error: OSError) -> None:
        """Count a photo that could not be sorted; OutputError where none can."""
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)
        if error.errno in FULL:
            raise OutputError(
                f"no room in {str(self._journal.folder)!r}: {error.strerror}; make some, and the"
                " same command goes on"
            ) from error
        self.left[f"not sorted: {error.strerror or error}"] += 1

    def _put(self, entry: Entry, row: Row, data: bytes, *, again: bool) -> bool:
        """Carry out an entry; False where it must be another one."""
        name = self._journal.folder / entry.name
        try:
            fetched = data if entry.how == "fetch" else None
            placing.put(entry, name, self._partial, fetched, again=again)
        except placing.TakenError:
            return False
        except placing.CannotLinkError:
            if again:
                return False
            raise
        except FileNotFoundError:
            if os.path.lexists(entry.source) and not again:
                raise
            return False  # it is gone, which is seen next
        self._done[entry.how] += 1
        try:
            self._sidecars.put(entry, row, name, self._partial, is_sure=self._is_sure(row))
        except OSError as error:
            self._leave(error)
        return True

    def _is_sure(self, row: Row) -> bool:
        return isinstance(row, Prediction) and self._folders.is_sure(row)

    def _is_there(self, source: str, folder: str) -> bool:
        """Whether a photo lies already where it would be sorted to."""
        there = os.path.realpath(self._journal.folder / folder)
        return os.path.realpath(os.path.dirname(source)) == there  # noqa: PTH120 - of URLs, too

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
            self.left["gone since the run"] += 1
            return None
        if ref.size_bytes is not None and len(data) != ref.size_bytes:
            self.left["changed since the run"] += 1
            return None
        return data


def _link_text(path: str) -> str | None:
    """What a symbolic link says, letter by letter; None where it is none."""
    try:
        return os.readlink(path)  # noqa: PTH115 - pathlib's drops a leading ./
    except OSError:
        return None


def _time_of(ref: ImageRef) -> int:
    """When a remote photo was modified, in nanoseconds since 1970."""
    return time.time_ns() if ref.modified_at is None else ref.modified_at * 1000
