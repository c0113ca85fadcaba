"""How long photos take that come one by one, learned while more were in hand than can be computed.

Otherwise the threads were partly idle, and what would be learned is how long one photo takes alone.
"""

from __future__ import annotations

from collections import deque

_KEPT = 32
"""Answers whose times are remembered."""


class Pace:
    """The seconds that a photo takes, all threads together; not for several threads at once.

    The longest of the last times is left out: once in a while a shared machine stands still for
    some hundred milliseconds, and photos are not refused for what is over.

    Args:
        few: Photos that may be in hand while threads are idle.
    """

    def __init__(self, few: int) -> None:
        self._few = few
        self._recent: deque[tuple[float, int]] = deque(maxlen=_KEPT)
        self._last = 0.0
        self._was_busy = False

    def answered(self, photos: int, left: int, now: float) -> None:
        """So many are answered at a time of the monotonic clock, and so many still in hand."""
        if self._was_busy:
            self._recent.append((now - self._last, photos))
        self._was_busy, self._last = left >= self._few, now

    def seconds(self, photos: int) -> float:
        """What so many will take; 0 where they are few, or little was learned."""
        if photos <= self._few or len(self._recent) <= 1:
            return 0.0
        rest = sorted(self._recent)[:-1]
        return photos * sum(each for each, _ in rest) / sum(number for _, number in rest)
