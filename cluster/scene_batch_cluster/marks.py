"""Where a listing of any length can be cut, in memory that does not grow with it."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scene_batch.sources.span import OrderKey, Span

PAGE = 1000
"""Keys that a store lists at a time: shares of whole pages ask for none of them twice."""
MOST_MARKS = 1 << 15
_TEN, _TWO = 10, 2


@dataclass(slots=True)
class Marks:
    """Every n-th photo of a source; n grows with the source: 1, 10, 100, 1,000, 2,000, 4,000."""

    most: int = MOST_MARKS
    count: int = 0
    """Photos so far."""
    step: int = 1
    keys: list[OrderKey] = field(default_factory=list)
    """The photos numbered ``step``, ``2 * step`` …, counted from 1."""
    last: OrderKey | None = None

    def add(self, key: OrderKey) -> None:
        """Take note of the next photo."""
        self.count += 1
        self.last = key
        if self.count % self.step:
            return
        self.keys.append(key)
        if len(self.keys) >= self.most:
            factor = _TEN if self.step < PAGE else _TWO
            self.keys = self.keys[factor - 1 :: factor]
            self.step *= factor


@dataclass(frozen=True, slots=True)
class Cut:
    """A share of the photos: where it lies, and how many there were when it was cut."""

    span: Span
    photos: int


def cut(sources: Sequence[Marks], shares: int) -> list[Cut]:
    """Cut sources, one behind the other, into shares of about the same number of photos.

    Where shares are of a thousand photos and more, their borders are those of pages.
    """
    total = sum(marks.count for marks in sources)
    size = total / shares
    places = list(_places(sources, by_pages=size >= PAGE))
    numbers = [number for number, _ in places]
    cuts, before, after = [], 0, None
    for share in range(1, shares):
        index = _nearest(numbers, share * size)
        if index is None or not before < numbers[index] < total:
            continue
        number, key = places[index]
        cuts.append(Cut(Span(after, key), number - before))
        before, after = number, key
    return [*cuts, Cut(Span(after, None), total - before)]


def shares_for(photos: int, slots: int, most: int) -> int:
    """How many shares suit: eight for each task at a time, of one page to a hundred."""
    least_photos, most_photos = PAGE, 100 * PAGE
    wanted = max(8 * slots, -(-photos // most_photos))
    return max(1, min(wanted, -(-photos // least_photos), most))


def _places(sources: Iterable[Marks], *, by_pages: bool) -> Iterable[tuple[int, OrderKey]]:
    begin = 0
    for marks in sources:
        for index, key in enumerate(marks.keys, 1):
            number = index * marks.step
            if not (by_pages and number % PAGE) and number < marks.count:
                yield begin + number, key
        begin += marks.count
        if marks.last is not None:
            yield begin, marks.last


def _nearest(numbers: Sequence[int], wanted: float) -> int | None:
    index = bisect.bisect_left(numbers, wanted)
    near = [i for i in (index - 1, index) if 0 <= i < len(numbers)]
    return min(near, key=lambda i: abs(numbers[i] - wanted), default=None)
