"""How long photos take that come one by one, learned from those that were answered."""

from __future__ import annotations

_KEPT = 0.9
"""Share of the mean so far that is kept when another photo is answered."""


class Pace:
    """The seconds that a photo takes, all threads together; not for several threads at once."""

    def __init__(self) -> None:
        self._each, self._last = 0.0, 0.0

    def begin(self, now: float) -> None:
        """Photos come after a time in which there were none."""
        self._last = now

    def answered(self, photos: int, now: float) -> None:
        """So many are answered at a time of the monotonic clock; the others are still in hand."""
        each, self._last = (now - self._last) / photos, now
        kept = _KEPT**photos if self._each else 0.0
        self._each = kept * self._each + (1 - kept) * each

    def seconds(self, photos: int) -> float:
        """What so many will take; 0 as long as none was answered."""
        return photos * self._each
