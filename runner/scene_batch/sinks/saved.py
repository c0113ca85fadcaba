"""Rows into a file or a data set, saved part by part, so that a run that is broken off goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

from scene_batch.errors import (
    AccountingError,
    Interrupted,
    LedgerError,
    OutputError,
    OutputExistsError,
    SceneBatchError,
)
from scene_batch.ledger import (
    Ledger,
    differences,
    is_data_set,
    part_json,
    sync,
    write_whole,
)
from scene_batch.record import Tally
from scene_batch.records import ImageRef, Row
from scene_batch.sinks.joining import GROUP_ROWS, join
from scene_batch.sinks.parquet_file import ParquetFile
from scene_batch.sinks.place import check_place
from scene_batch.sinks.table import to_record_batch

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
        self._path = Path(name)
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
            check_place(self._path, as_data_set=self._is_data_set)
            self._ledger = Ledger(str(self._path))
        try:
            with self._writing():
                self._take_up(overwrite=overwrite, restart=restart)
        except BaseException as error:
            self.__exit__(None, error, None)
            raise

    @property
    def rows_saved(self) -> int:
        """Rows in closed parts, by their own count."""
        return sum(pq.read_metadata(part).num_rows for part in self._ledger.parts)

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows in order, and save them now and then.

        Raises:
            OutputError: The disk does not take them.
        """
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
            self._part.finish(part_json(self._begin, self.after, self.tally))
            self._ledger.add_part()
        self._saving = False
        self._begin, self._part, self._part_rows = None, None, 0
        self._part_begun = time.monotonic()

    def commit(self, record: str) -> None:
        """Make the parts into the table and give it its name: the record first, then the table.

        Raises:
            OutputError: The disk does not take it; the same command continues.
            AccountingError: The parts do not add up.
        """
        self.save()
        with self._writing():
            if not self._is_data_set:
                join(
                    self._ledger.parts,
                    self._ledger.whole,
                    self._path.suffix,
                    record,
                    self.tally.rows,
                )
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
                    self._ledger.remove()
        finally:
            self._ledger.close()

    def _take_up(self, *, overwrite: bool, restart: bool) -> None:
        """Begin, or continue what was broken off."""
        if restart:
            self._ledger.restart()
        job, record = self._ledger.job, self._ledger.finished
        if record is not None and not self._is_data_set and not self._ledger.whole.exists():
            # It has its name already: only the folder was left.
            if job in (None, self._plan.identity) and not overwrite:
                self.done, self._over = record, True
                self._ledger.remove()
                return
            self._ledger.restart()
            job = record = None
        self._refuse_another(job)
        if record is not None:
            self._publish(self._ledger.finished_text)
            self.done = record
            return
        if self._path.exists() and not overwrite:
            raise OutputExistsError(
                f"{str(self._path)!r} is already there: replace it with --overwrite, or add what is"
                " new with --update"
            )
        if not self._plan.continuable or not self._ledger.parts:
            self._ledger.restart()
            self._ledger.begin(self._plan.identity)
        last = self._ledger.last()
        if last is not None:
            self.after, self.tally = last

    def _refuse_another(self, job: Mapping[str, Any] | None) -> None:
        """Refuse to touch what another job has saved."""
        saved = self._ledger.parts or self._ledger.finished is not None
        if saved and job is not None and job != self._plan.identity:
            raise LedgerError(
                f"{str(self._ledger.folder)!r} holds an unfinished run with another"
                f" {'; '.join(differences(job, self._plan.identity))}: finish it with its own"
                " command, or throw it away with --restart"
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

    def _publish(self, record: str) -> None:
        """The record, then the name, then nothing is left beside it; safe to do again."""
        if self._is_data_set:
            replaced = self._path.with_name(f"{self._path.name}.replaced")
            if self._path.exists():
                if is_data_set(replaced):
                    shutil.rmtree(replaced)
                self._path.rename(replaced)
            self._ledger.become(self._path)
            sync(self._path.parent)
            if is_data_set(replaced):
                shutil.rmtree(replaced)
        else:
            write_whole(Path(f"{self._path}.run.json"), record)
            self._ledger.whole.replace(self._path)
            sync(self._path.parent)
            self._ledger.remove()
        self._over = True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Name the output in what the disk has to say."""
        try:
            yield
        except SceneBatchError:  # some are an OSError besides
            raise
        except OSError as error:
            raise OutputError(
                f"cannot write {str(self._path)!r}: {error.strerror or error}; mend that, and the"
                " same command continues"
            ) from error
