"""A storm: so many reads fail that the storage is at fault, not the photos."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence

from scene_batch.errors import StormError
from scene_batch.object_store.address import is_url
from scene_batch.records import Row, Unreadable

WINDOW = 200
"""How many photos, the last ones that were read, are looked at together."""
MOST_WAITING = 8192
"""Most rows held back: any number of an earlier table's rows may come between two reads."""
SHARE = 0.5
"""The share of failures in the window at which a run stops, unless it is told another."""


class StormGuard:
    """Holds rows back while a storm may be coming, so that none of its failures is saved.

    Rows pass through in order. A failure, and all rows behind it, wait until it has left the
    window. Rows of an earlier table, whose photos were not read, do not count in the window.

    Args:
        share: Of failures in the window, at which the run stops; None: never, and no row waits.
    """

    def __init__(self, share: float | None = SHARE) -> None:
        self._share = share
        self._waiting: deque[tuple[Row, int]] = deque()
        """Rows that are held back, each with the number of photos read by then."""
        self._failures = self._read = 0
        self._storm: StormError | None = None

    def sift(self, rows: Sequence[Row]) -> list[Row]:
        """Take rows, and return those that may be saved; call ``check`` once they are."""
        if self._share is None:
            return list(rows)
        passed: list[Row] = []
        for row in rows:
            self._read += not row.kept
            self._failures += _failed(row)
            self._waiting.append((row, self._read))
            self._pass(passed)
            if self._failures >= WINDOW * self._share:
                self._storm = self._describe()
                break
        return passed

    def check(self) -> None:
        """Stop in a storm; the rows that wait are dropped.

        Raises:
            StormError: That share of the window failed.
        """
        if self._storm is not None:
            raise self._storm

    def rest(self) -> list[Row]:
        """The rows that still wait at the end, when no storm came."""
        return [row for row, _ in self._waiting]

    def sound(self) -> list[Row]:
        """The rows that still wait when another error stops the run, to the first remote failure.

        That failure may have the same reason as the error. A disk's failures are returned, so that
        the next attempt gets further.
        """
        rows = self.rest()
        remote = (i for i, row in enumerate(rows) if _failed(row) and is_url(row.ref.path))
        return rows[: next(remote, len(rows))]

    def _pass(self, passed: list[Row]) -> None:
        while self._waiting:
            row, number = self._waiting[0]
            failed = _failed(row)
            may_be_storm = number > self._read - WINDOW and len(self._waiting) <= MOST_WAITING
            if failed and may_be_storm:
                return
            passed.append(row)
            self._waiting.popleft()
            self._failures -= failed

    def _describe(self) -> StormError:
        failed = [row for row in self.rest() if isinstance(row, Unreadable) and _failed(row)]
        # Messages that differ in numbers alone are one cause, shown as it came first.
        causes = [re.sub("[0-9]+", "", f"{row.code}: {row.message}") for row in failed]
        (cause, count), *_ = Counter(causes).most_common(1)
        row = failed[causes.index(cause)]
        cause = f"{row.code}: {row.message}"
        return StormError(
            f"{len(failed)} of the last {WINDOW} photos could not be read, {count} of them for"
            f" {cause!r}; their rows are not saved: mend that, and the same command continues;"
            " --storm off keeps such rows and goes on"
        )


def _failed(row: Row) -> bool:
    return isinstance(row, Unreadable) and row.by_storage and not row.kept
