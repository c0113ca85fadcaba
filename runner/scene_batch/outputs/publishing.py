"""The end of a run: its parts become the table, which gets its name only when it is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scene_batch.outputs.joining import check, join
from scene_batch.outputs.ledger import Ledger
from scene_batch.outputs.storage import Storage
from scene_batch.tables.names import WHOLE
from scene_batch.tables.seal import is_sound


@dataclass(frozen=True, slots=True)
class Publisher:
    """Makes the parts of a ledger into the table, and gives it its name."""

    name: str
    """The output's name."""
    storage: Storage
    ledger: Ledger
    at_the_end: Callable[[], None] = lambda: None
    """Called before the last step, behind which the same command would find nothing to continue."""
    keeps_parts: bool = False
    """Whether the parts and the record stay in the folder: they are a share of ``shared.py``'s."""

    @property
    def is_data_set(self) -> bool:
        """Whether the table stays in parts."""
        return self.name.endswith("/")

    def commit(self, record: str, rows: int) -> None:
        """Publish the parts with the record as JSON; there must be ``rows`` rows in them.

        If this is broken off, ``publish_finished`` does the rest.

        Raises:
            OutputBusyError: Another process has written there meanwhile.
            DamagedPartError: A part is damaged, or does not follow the one before it.
            AccountingError: The parts hold another number of rows.
        """
        self.ledger.check_alone()
        (self.storage.scratch / WHOLE).unlink(missing_ok=True)  # of an attempt that was killed
        self._join(record, rows)
        self.ledger.finish(record)
        self._publish(record)

    def publish_finished(self, record: str, rows: int) -> None:
        """Do the last steps of a run that was killed during them; safe to do again.

        Raises:
            DamagedPartError: A part was damaged since.
        """
        whole = self.storage.scratch / WHOLE
        # A text has no digest: it is joined again.
        is_whole = Path(self.name).suffix == ".parquet" and whole.exists() and is_sound(whole)
        if not is_whole:
            whole.unlink(missing_ok=True)
        self._join(record, rows)
        self._publish(record)

    def clear_away(self) -> None:
        """Delete the folder beside the table; on a disk it has itself become the data set."""
        if not (self.keeps_parts or (self.is_data_set and self.storage.is_exclusive)):
            self.ledger.remove(self.at_the_end)

    def _join(self, record: str, rows: int) -> None:
        """Count the rows in the parts, and join these into one file, if it is no data set."""
        if self.is_data_set:
            check(self.storage, [self.ledger.parts], rows)
        elif not (self.storage.scratch / WHOLE).exists():
            join(self.storage, [self.ledger.parts], Path(self.name).suffix, record, rows)

    def _publish(self, record: str) -> None:
        if self.keeps_parts:
            return
        if self.storage.is_exclusive:  # on a disk all of it takes a moment
            self.at_the_end()
        if self.is_data_set:
            self.storage.publish_data_set(self.ledger.parts, record)
        else:
            self.storage.publish_file(self.storage.scratch / WHOLE, record)
