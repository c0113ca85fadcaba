"""The end of a run: its parts become the table, which gets its name only when it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scene_batch.outputs.joining import check, join
from scene_batch.outputs.ledger import Ledger
from scene_batch.outputs.storage import Storage
from scene_batch.tables.names import WHOLE


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes what a ledger holds."""

    name: str
    """The output's name."""
    storage: Storage
    ledger: Ledger

    @property
    def is_data_set(self) -> bool:
        """Whether the table stays in parts."""
        return self.name.endswith("/")

    def commit(self, record: str, rows: int) -> None:
        """Make the parts into the table; broken off, ``publish_finished`` ends it.

        Args:
            record: The run's record as JSON.
            rows: How many there must be.

        Raises:
            OutputBusyError: Another process has written there meanwhile.
            AccountingError: The parts do not add up.
        """
        self.ledger.check_alone()
        (self.storage.scratch / WHOLE).unlink(missing_ok=True)  # of an attempt that was killed
        self._join(record, rows)
        self.ledger.finish(record)
        self._publish(record)

    def publish_finished(self, record: str, rows: int) -> None:
        """Do the last steps of a run that was killed in them; safe to do again."""
        self._join(record, rows)
        self._publish(record)

    def clear_away(self) -> None:
        """Remove what is left beside the table; on a disk a data set's folder has moved."""
        if not (self.is_data_set and self.storage.is_exclusive):
            self.ledger.remove()

    def _join(self, record: str, rows: int) -> None:
        """Count the parts, and make them one file; a data set stays in parts."""
        if self.is_data_set:
            check(self.storage, self.ledger.parts, rows)
        elif not (self.storage.scratch / WHOLE).exists():
            join(self.storage, self.ledger.parts, Path(self.name).suffix, record, rows)

    def _publish(self, record: str) -> None:
        """The record, then the name."""
        if self.is_data_set:
            self.storage.publish_data_set(self.ledger.parts, record)
        else:
            self.storage.publish_file(self.storage.scratch / WHOLE, record)
