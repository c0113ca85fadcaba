"""Rows into a file or a data set, saved part by part, so that a broken-off run continues."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from scene_batch.errors import AccountingError, Interrupted, OutputError, SceneBatchError
from scene_batch.outputs.ledger import Ledger
from scene_batch.outputs.part_metadata import count, part_json
from scene_batch.outputs.plan import Plan
from scene_batch.outputs.publishing import Publisher
from scene_batch.outputs.resuming import resume
from scene_batch.outputs.saved_photos import (
    ETags,
    SavedPhoto,
    renewed_metadata,
    saved_photos,
    with_renewed,
)
from scene_batch.outputs.storage import open_storage, telling
from scene_batch.outputs.tally import Tally
from scene_batch.records import ImageRef, Row
from scene_batch.tables.parquet_file import PART_GROUP_ROWS, ParquetFile
from scene_batch.tables.schema import to_record_batch

PART_ROWS = 100_000
PART_SHARE = 0.05
PART_SECONDS = (0.5, 60.0)
"""A part is closed at ``PART_ROWS``, or after 5 % of the run's time so far, but within these least
and most seconds: a kill costs little of any run, and parts stay few."""

_ROWS_AT_A_TIME = 1024


@dataclass(slots=True)
class _OpenPart:
    """The part that is being written, and what it spans."""

    file: ParquetFile
    begin: ImageRef
    end: ImageRef
    rows: int = 0
    waiting: list[Row] = field(default_factory=list)
    """Those of the rows that are not in the file yet."""
    e_tags: ETags = field(default_factory=ETags)

    def abandon(self) -> None:
        """Close the file, which stays incomplete."""
        with suppress(OSError):
            self.file.abandon()


class SavedOutput:
    """The table of one run, to be entered; it gets its name in ``commit``. See ``open_output``."""

    durable = True
    """Whether rows that were written are kept when the run is interrupted."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        *,
        overwrite: bool = False,
        restart: bool = False,
        at_the_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._name, self._plan = name, plan
        self._overwrite, self._restart = overwrite, restart
        with telling(name):
            self._storage = open_storage(name)
        self._ledger = Ledger(self._storage)
        self._publisher = Publisher(name, self._storage, self._ledger, at_the_end, plan.keeps_parts)
        self._held = ExitStack()
        self._part: _OpenPart | None = None
        self._saved_at = time.monotonic()
        self._over = False
        self.done: Mapping[str, Any] | None = None
        """The record of a run that was killed in its last steps: nothing is left to do."""
        self.after: ImageRef | None = None
        """The last photo that earlier attempts have saved."""
        self.thrown_away = ""
        """Why saved rows were thrown away and are computed again; empty where none were."""
        self.tally = Tally()

    def __enter__(self) -> Self:
        """Keep other processes off the output, and continue what is there.

        Raises:
            OutputExistsError: The table is already there and may not be replaced.
            OutputBusyError: Another process writes it.
            LedgerError: An unfinished run of another job lies there.
            OutputError: It cannot be written.
        """
        with ExitStack() as held, telling(self._name):
            self._storage.check()
            held.enter_context(self._ledger)
            held.push(self._leave)
            found = resume(self._publisher, self._plan, self._overwrite, self._restart)
            self.done, self._over = found.done, found.done is not None
            self.after, self.tally = found.after, found.tally
            self.thrown_away = found.thrown_away
            self._held = held.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Save what can be continued, and let other processes use the output."""
        self._held.__exit__(kind, error, trace)

    @property
    def rows_saved(self) -> int:
        """Rows in closed parts, by their own count."""
        return self._ledger.rows

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows in order, and save them now and then; OutputError if that fails."""
        if not rows:
            return
        part = self._part or self._open_part(rows[0].ref)
        part.waiting += rows
        part.rows += len(rows)
        part.end = rows[-1].ref
        part.e_tags.add(rows)
        self.tally.add(rows)
        due = self._is_due(part)
        if due or len(part.waiting) >= _ROWS_AT_A_TIME:
            self._hand_over(part)
        if due:
            self.save()

    def save(self) -> None:
        """Close the part: its rows are kept from now on; OutputError if that fails."""
        part = self._part
        if part is None:
            return
        self._hand_over(part)
        self._part = None  # whatever happens now, it is not saved twice
        try:
            with telling(self._name):
                tags = part.e_tags.to_json()
                part.file.finish(
                    part_json(self._ledger.run, part.begin, part.end, self.tally, tags)
                )
                self._ledger.add_part()
        except BaseException:
            part.abandon()
            raise
        self._saved_at = time.monotonic()

    @property
    def parts(self) -> Sequence[str]:
        """The names of the parts that are saved, in order."""
        return tuple(self._ledger.parts)

    def photos_of(self, part: str) -> Iterator[SavedPhoto]:
        """The photos of a saved part's rows, in order; OutputError if it cannot be read."""
        with telling(self._name):
            yield from saved_photos(self._storage.parquet(part))

    def renew(self, part: str, rows: Mapping[int, Row]) -> None:
        """Put other rows in the place of some of a saved part, by index; OutputError if that fails.

        The part is replaced at once or not at all.
        """
        with telling(self._name):
            source, file = self._storage.parquet(part), self._ledger.next_part()
            renewed = ParquetFile(file, PART_GROUP_ROWS)
            try:
                for batch in with_renewed(source, rows, self._plan.classes):
                    renewed.write(batch)
                renewed.finish(renewed_metadata(source, rows))
            except BaseException:
                renewed.abandon()
                raise
            before, now = count(source), count(file)
            self._storage.replace(part, file)
        self.tally.recount(before, now)
        self.tally.renewed += len(rows)

    def commit(self, record: str) -> None:
        """Make the parts into the table, and publish it with its record.

        Raises:
            OutputError: It cannot be written; the same command continues.
            OutputBusyError: Another process has written there meanwhile.
            AccountingError: The parts do not hold the rows that were written.
        """
        self.save()
        with telling(self._name):
            if self._publisher.is_data_set and not self._ledger.parts:
                self._save_no_rows()
            self._publisher.commit(record, self.tally.rows)
            self._over = True
            self._publisher.clear_away()

    def _leave(self, _: object, error: BaseException | None, trace: object) -> None:
        """Save the open part after a foreseen error; delete what no run could continue."""
        if self._over:
            return
        foreseen = isinstance(error, Interrupted | SceneBatchError)
        try:
            if foreseen and not isinstance(error, OutputError | AccountingError):
                self.save()
        finally:
            if self._part is not None:
                self._part.abandon()
            nothing_saved = not self._ledger.parts and self._ledger.finished is None
            useless = isinstance(error, AccountingError) or not self._plan.continuable
            if nothing_saved or (useless and not isinstance(error, OutputError)):
                self._ledger.remove_if_ours()

    def _is_due(self, part: _OpenPart) -> bool:
        least, most = PART_SECONDS
        seconds = min(max(least, PART_SHARE * self.tally.elapsed), most)
        return part.rows >= PART_ROWS or time.monotonic() - self._saved_at >= seconds

    def _open_part(self, begin: ImageRef) -> _OpenPart:
        with telling(self._name):
            file = ParquetFile(self._ledger.next_part(), PART_GROUP_ROWS)
        self._part = _OpenPart(file, begin, begin)
        return self._part

    def _hand_over(self, part: _OpenPart) -> None:
        if part.waiting:
            with telling(self._name):
                part.file.write(to_record_batch(part.waiting, self._plan.classes))
            part.waiting = []

    def _save_no_rows(self) -> None:
        """Save a part without rows, so that an empty data set has columns."""
        file = ParquetFile(self._ledger.next_part(), PART_GROUP_ROWS)
        file.write(to_record_batch([], self._plan.classes))
        file.finish(part_json(self._ledger.run, None, None, self.tally))
        self._ledger.add_part()
