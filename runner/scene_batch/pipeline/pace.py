"""How long photos take that come one by one, learned while more were in hand than can be computed.

Otherwise the threads were partly idle, and what would be learned is how long one photo takes alone.
"""

from __future__ import annotations

_KEPT = 0.9
"""Share of the mean so far that is kept when another photo is answered."""


class Pace:
    """The seconds that a photo takes, all threads together; not for several threads at once.

    Args:
        few: Photos that may be in hand while threads are idle.
    """

    def __init__(self, few: int) -> None:
        self._few = few
        self._each, self._last = 0.0, 0.0
        self._was_busy = False

    def answered(self, photos: int, left: int, now: float) -> None:
        """So many are answered at a time of the monotonic clock, and so many still in hand."""
        if self._was_busy:
            each = (now - self._last) / photos
            kept = _KEPT**photos if self._each else 0.0
            self._each = kept * self._each + (1 - kept) * each
        self._was_busy, self._last = left >= self._few, now

    def seconds(self, photos: int) -> float:
        """What so many will take; 0 where they are few, or nothing was learned."""
        return photos * self._each if photos > self._few else 0.0
