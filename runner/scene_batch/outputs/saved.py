"""Rows into a file or a data set, saved part by part, so that a run that is broken off goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from scene_batch.errors import (
    AccountingError,
    Interrupted,
    LedgerError,
    OutputError,
    OutputExistsError,
    SceneBatchError,
)
from scene_batch.outputs.joining import GROUP_ROWS, check, join
from scene_batch.outputs.ledger import Ledger, differences, fingerprint, part_json
from scene_batch.outputs.storage import open_storage
from scene_batch.records import ImageRef, Row
from scene_batch.tables.names import WHOLE
from scene_batch.tables.parquet_file import ParquetFile
from scene_batch.tables.run_record import Tally
from scene_batch.tables.schema import to_record_batch

PART_ROWS = 100_000
PART_SHARE = 0.05
PART_SECONDS = (0.5, 60.0)
"""A part ends after 5 % of the run so far, at least and at most these seconds, or at its rows: a
kill costs little of any run, and parts stay few."""

_ROWS_AT_A_TIME = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides the rows of a run."""

    classes: Sequence[str]
    """The class names in index order."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """JSON values by name: what must be equal for a run to be continued."""
    continuable: bool = True
    """False where a source can be read only once."""


class SavedOutput:
    """The table of one run. Nothing is under its name before ``commit``."""

    durable = True
    """Whether a row that is written is to be kept whatever happens."""

    def __init__(
        self, name: str, plan: Plan, *, overwrite: bool = False, restart: bool = False
    ) -> None:
        self._name = name
        self._is_data_set = name.endswith("/")
        self._plan = plan
        self._rows: list[Row] = []
        self._begin: ImageRef | None = None
        self._part: ParquetFile | None = None
        self._part_rows = 0
        self._part_begun = time.monotonic()
        self._over = False
        self.done: Mapping[str, Any] | None = None
        """The record of a run that was killed at its very end: nothing is left to do."""
        self.after: ImageRef | None = None
        """The last photo of the parts, the open one included; at the start, the last one saved."""
        self.tally = Tally(started_at=datetime.now(UTC))
        self._saving = False
        with self._writing():
            self._storage = open_storage(name)
            self._storage.check()
            self._ledger = Ledger(self._storage)
        try:
            with self._writing():
                self._take_up(overwrite=overwrite, restart=restart)
        except BaseException as error:
            self.__exit__(None, error, None)
            raise

    @property
    def rows_saved(self) -> int:
        """Rows in closed parts, by their own count."""
        return self._ledger.rows

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows in order, and save them now and then.

        Raises:
            OutputError: The disk does not take them.
        """
        if not rows:
            return
        self._begin = self._begin or rows[0].ref
        self._rows += rows
        self.tally.add(rows)
        due = self._due()
        if due or len(self._rows) >= _ROWS_AT_A_TIME:
            self._hand_over()
        if due:
            self.save()

    def save(self) -> None:
        """Close the part: what was written is done, whatever happens from here on.

        Raises:
            OutputError: The disk does not take it.
        """
        if self._begin is None:
            return
        self._hand_over()
        assert self._part is not None  # noqa: S101 - there were rows
        assert self.after is not None  # noqa: S101 - there were rows
        self._saving = True
        with self._writing():
            self._part.finish(part_json(self._ledger.run, self._begin, self.after, self.tally))
            self._ledger.add_part()
        self._saving = False
        self._begin, self._part, self._part_rows = None, None, 0
        self._part_begun = time.monotonic()

    def commit(self, record: str) -> None:
        """Make the parts into the table and give it its name: the record first, then the table.

        Raises:
            OutputError: The disk does not take it; the same command continues.
            OutputBusyError: Another process has written there meanwhile.
            AccountingError: The parts do not add up.
        """
        self.save()
        with self._writing():
            if self._is_data_set and not self._ledger.parts:
                self._save_no_rows()
            self._ledger.check_alone()
            (self._storage.scratch / WHOLE).unlink(missing_ok=True)  # of an attempt that was killed
            self._join(record, self.tally.rows)
            self._ledger.finish(record)
            self._publish(record)

    def __enter__(self) -> Self:
        """Enter: leaving before ``commit`` keeps what can be continued."""
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        """Save what is sound, and let other processes have the output."""
        named = isinstance(error, Interrupted | SceneBatchError)
        unsound = isinstance(error, OutputError | AccountingError)
        try:
            if not self._over:
                if named and not unsound and not self._saving:
                    self.save()
                if self._part is not None:
                    with suppress(OSError):
                        self._part.abandon()
                useless = isinstance(error, AccountingError) or not self._plan.continuable
                if (useless and not isinstance(error, OutputError)) or (
                    not self._ledger.parts and self._ledger.finished is None
                ):
                    self._ledger.remove_if_ours()
        finally:
            self._ledger.close()

    def _take_up(self, *, overwrite: bool, restart: bool) -> None:
        """Begin, or continue what was broken off."""
        if restart:
            self._ledger.restart()
        record = self._ledger.finished
        if record is not None and self._storage.is_published():  # only the folder was left
            ours = record["job"] == fingerprint(self._plan.identity)
            self._ledger.restart()
            if ours and not overwrite and self._storage.exists():
                self.done, self._over = record, True
                self._ledger.remove()
                return
            record = None
        job = self._ledger.job
        self._refuse_another(job, record)
        there = self._storage.exists()
        # In a store the table that is there may be this run's own.
        if there and not overwrite and (record is None or self._storage.is_exclusive):
            raise OutputExistsError(
                f"{self._name!r} is already there: replace it with --overwrite, or add what is"
                " new with --update"
            )
        if record is not None:
            text = self._ledger.finished_text
            self._join(text, record["photos"])
            self._publish(text)
            self.done = record
            return
        if not self._plan.continuable or job != self._plan.identity:
            self._ledger.restart()
            job = None
        if job is None:
            self._ledger.begin(self._plan.identity)
        elif last := self._ledger.take_over():
            self.after, self.tally = last

    def _refuse_another(
        self, job: Mapping[str, Any] | None, finished: Mapping[str, Any] | None
    ) -> None:
        """Refuse to touch what another job has saved, or where it may be alive."""
        ours = self._plan.identity
        if finished is not None:
            other = finished["job"] != fingerprint(ours)
        else:
            saved = self._ledger.parts or not self._storage.is_exclusive
            other = bool(saved) and job is not None and job != ours
        if other:
            what = "; ".join(differences(job or {}, ours)) if job else "job"
            raise LedgerError(
                f"{self._storage.folder!r} holds an unfinished run with another {what}: finish it"
                " with its own command, or throw it away with --restart"
            )

    def _due(self) -> bool:
        least, most = PART_SECONDS
        seconds = min(max(least, PART_SHARE * self.tally.elapsed), most)
        rows = self._part_rows + len(self._rows)
        return rows >= PART_ROWS or time.monotonic() - self._part_begun >= seconds

    def _hand_over(self) -> None:
        if not self._rows:
            return
        batch = to_record_batch(self._rows, self._plan.classes)
        with self._writing():
            if self._part is None:
                self._part = ParquetFile(self._ledger.next_part(), GROUP_ROWS)
            self._part.write(batch)
        self.after = self._rows[-1].ref
        self._part_rows += len(self._rows)
        self._rows = []

    def _save_no_rows(self) -> None:
        """A part with the columns alone, so that an empty data set has them."""
        part = ParquetFile(self._ledger.next_part(), GROUP_ROWS)
        part.write(to_record_batch([], self._plan.classes))
        part.finish(part_json(self._ledger.run, None, None, self.tally))
        self._ledger.add_part()

    def _join(self, record: str, rows: int) -> None:
        """Count the parts, and make them one file; a data set stays in parts."""
        if self._is_data_set:
            check(self._storage, self._ledger.parts, rows)
        elif not (self._storage.scratch / WHOLE).exists():
            suffix = Path(self._name).suffix
            join(self._storage, self._ledger.parts, suffix, record, rows)

    def _publish(self, record: str) -> None:
        """The record, then the name, then nothing is left beside it; safe to do again."""
        if self._is_data_set:
            self._storage.publish_data_set(self._ledger.parts, record)
        else:
            self._storage.publish_file(self._storage.scratch / WHOLE, record)
        self._over = True
        if not (self._is_data_set and self._storage.is_exclusive):  # that folder has moved
            self._ledger.remove()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Name the output in what the disk has to say."""
        try:
            yield
        except SceneBatchError:  # some are an OSError besides
            raise
        except OSError as error:
            raise OutputError(
                f"cannot write {self._name!r}: {error.strerror or error}; mend that, and the"
                " same command continues"
            ) from error
