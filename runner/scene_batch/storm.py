"""A storm: so many reads fail that the storage is ill, not the photos."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from scene_batch.errors import StormError
from scene_batch.object_store import is_url
from scene_batch.records import Row, Unreadable

WINDOW = 200
"""Photos that are looked at together: the last ones."""
SHARE = 0.5
"""Of the window: with so many failures the run stops."""

_ALWAYS, _REMOTE = ("timeout", "fetch_failed"), ("permission",)
"""Codes that say nothing of the photo; a right that is refused may be a key that has expired."""


class StormWatch:
    """Holds rows back while a storm may be coming, so that none of its failures is saved.

    Rows pass through in order. From the first failure of the window on they wait until the window
    has gone past; without a failure none waits.
    """

    def __init__(self) -> None:
        self._waiting: deque[Row] = deque()
        self._failures: deque[bool] = deque()
        """Of the waiting rows."""
        self._count = 0

    def sift(self, rows: Sequence[Row]) -> list[Row]:
        """Take rows, and give those that may be saved.

        Raises:
            StormError: Half of the window failed; what waits is dropped.
        """
        passed: list[Row] = []
        for row in rows:
            failed = _failed(row)
            self._waiting.append(row)
            self._failures.append(failed)
            self._count += failed
            if self._count >= WINDOW * SHARE:
                raise self._storm()
            while self._waiting and (not self._failures[0] or len(self._waiting) > WINDOW):
                passed.append(self._waiting.popleft())
                self._count -= self._failures.popleft()
        return passed

    def rest(self) -> list[Row]:
        """What still waits at the end: no storm came."""
        rows = list(self._waiting)
        self._waiting.clear()
        self._failures.clear()
        self._count = 0
        return rows

    def _storm(self) -> StormError:
        failed = [row for row in self._waiting if isinstance(row, Unreadable) and _failed(row)]
        (cause, count), *_ = Counter(f"{row.code}: {row.message}" for row in failed).most_common(1)
        return StormError(
            f"{len(failed)} of the last {WINDOW} photos could not be read, {count} of them for"
            f" {cause!r}; their rows are not saved: mend that, and the same command continues"
        )


def _failed(row: Row) -> bool:
    if not isinstance(row, Unreadable) or row.kept:
        return False
    return row.code in _ALWAYS or (row.code in _REMOTE and is_url(row.ref.path))
