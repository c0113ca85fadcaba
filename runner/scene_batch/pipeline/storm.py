"""A storm: so many reads fail that the storage is ill, not the photos."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from scene_batch.errors import StormError
from scene_batch.object_store.address import is_url
from scene_batch.records import Row, Unreadable

WINDOW = 200
"""Photos that are looked at together: the last ones that were read."""
MOST_WAITING = 8192
"""Rows held back at most: of an earlier table, any number may come between two reads."""
SHARE = 0.5
"""Of the window: with so many failures the run stops."""

_ALWAYS, _REMOTE = ("timeout", "fetch_failed"), ("permission",)
"""Codes that say nothing of the photo; a right that is refused may be a key that has expired."""


class StormGuard:
    """Holds rows back while a storm may be coming, so that none of its failures is saved.

    Rows pass through in order. From the first failure of the window on they wait until the window
    has gone past; without a failure none waits. Rows of an earlier table, whose photos were not
    read, wait in their place but are not of the window.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Row, int]] = deque()
        """Each with the number of photos read by then; failures as long as they are of the window,
        and what came behind the first of them."""
        self._failures = self._read = 0
        self._storm: StormError | None = None

    def sift(self, rows: Sequence[Row]) -> list[Row]:
        """Take rows, and give those that may be saved; ask ``check`` when they are."""
        passed: list[Row] = []
        for row in rows:
            self._read += not row.kept
            self._failures += _failed(row)
            self._waiting.append((row, self._read))
            self._pass(passed)
            if self._failures >= WINDOW * SHARE:
                self._storm = self._describe()
                break
        return passed

    def check(self) -> None:
        """Stop in a storm; what waits is dropped.

        Raises:
            StormError: Half of the window failed.
        """
        if self._storm is not None:
            raise self._storm

    def rest(self) -> list[Row]:
        """What still waits at the end: no storm came."""
        return [row for row, _ in self._waiting]

    def sound(self) -> list[Row]:
        """What still waits when the run stops for another reason, up to the first remote failure.

        A store may fail for that reason, too; a disk's failures stay, so that the next attempt
        comes further.
        """
        rows = self.rest()
        ill = (i for i, row in enumerate(rows) if _failed(row) and is_url(row.ref.path))
        return rows[: next(ill, len(rows))]

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
        (cause, count), *_ = Counter(f"{row.code}: {row.message}" for row in failed).most_common(1)
        return StormError(
            f"{len(failed)} of the last {WINDOW} photos could not be read, {count} of them for"
            f" {cause!r}; their rows are not saved: mend that, and the same command continues"
        )


def _failed(row: Row) -> bool:
    if not isinstance(row, Unreadable) or row.kept:
        return False
    return row.code in _ALWAYS or (row.code in _REMOTE and is_url(row.ref.path))
