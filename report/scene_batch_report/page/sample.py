"""Which rows a page shows, of a table of any length: in one pass, and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WRONG, _LEAST, _UNREADABLE = 0.4, 0.25, 0.1
"""Most of the sample that is wrong, least sure, unreadable; the rest is of each class alike."""


class Balanced:
    """Keeps rows of many kinds: of each kind the first by rank, of all kinds alike.

    What is kept does not depend on how the rows are cut into batches. Memory is for some multiple
    of ``room``.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._waiting: list[tuple[Ints, Floats, Ints]] = []
        self._count = 0
        self.seen = 0

    def offer(self, kinds: Ints, ranks: Floats, numbers: Ints) -> None:
        """Take rows: the kind of each, its rank in that, and its number in the table."""
        self.seen += len(numbers)
        self._waiting.append((kinds, ranks, numbers))
        self._count += len(numbers)
        if self._count > 4 * self._room + (1 << 14):
            self._settle()

    def numbers(self) -> Ints:
        """The rows that are kept: the first of each kind, then the second of each, and so on."""
        self._settle()
        return self._waiting[0][2] if self._waiting else np.empty(0, np.int64)

    def _settle(self) -> None:
        if not self._waiting:
            return
        kinds, ranks, numbers = (np.concatenate(c) for c in zip(*self._waiting, strict=True))
        order = np.lexsort((numbers, ranks, kinds))
        kinds = kinds[order]
        begins = np.flatnonzero(np.append([True], kinds[1:] != kinds[:-1]))
        sizes = np.diff(np.append(begins, len(kinds)))
        turns = np.arange(len(kinds)) - np.repeat(begins, sizes)
        first = np.lexsort((kinds, turns))[: self._room]
        chosen = order[first]
        self._waiting = [(kinds[first], ranks[chosen], numbers[chosen])]
        self._count = len(first)


@dataclass(slots=True)
class Sample:
    """Rows to show: wrong ones, the least sure, unreadable ones, and some of each class."""

    most: int
    """Rows to choose; all of them where there are no more."""
    rows: int = 0
    """Taken so far."""
    _wrong: Balanced = field(init=False)
    _least: Balanced = field(init=False)
    _unreadable: Balanced = field(init=False)
    _class: Balanced = field(init=False)

    def __post_init__(self) -> None:
        """Make room for each kind."""
        self._wrong = Balanced(int(self.most * _WRONG))
        self._least = Balanced(int(self.most * _LEAST))
        self._unreadable = Balanced(self.most)
        self._class = Balanced(self.most)

    def add(
        self, said: Ints, probability: Floats, truth: Ints, codes: Ints, *, classes: int
    ) -> None:
        """Take the next rows.

        Args:
            said: The class of each; negative where it is unreadable.
            probability: Of that class.
            truth: The true class of each; negative where it is not known.
            codes: A number for each code of unreadable rows.
            classes: How many the model has.
        """
        numbers = np.arange(self.rows, self.rows + len(said))
        self.rows += len(said)
        ok = said >= 0
        wrong = ok & (truth >= 0) & (truth != said)
        pairs = truth[wrong] * classes + said[wrong]
        self._wrong.offer(pairs, -probability[wrong], numbers[wrong])
        self._least.offer(np.zeros(int(ok.sum()), np.int64), probability[ok], numbers[ok])
        self._class.offer(said[ok], _shuffled(numbers[ok]), numbers[ok])
        self._unreadable.offer(codes[~ok], _shuffled(numbers[~ok]), numbers[~ok])

    def chosen(self) -> tuple[Ints, str]:
        """The rows' numbers in the order of the table, and in words how they were chosen."""
        if self.rows <= self.most:
            return np.arange(self.rows), f"all {self.rows:,} rows"
        picked: dict[int, None] = {}
        words = []
        classes_seen = self._class.seen
        unreadable = self.most if not classes_seen else int(self.most * _UNREADABLE)
        for name, kind, room in (
            ("wrong (of each pair of classes the surest)", self._wrong, self.most),
            ("the least sure", self._least, self.most),
            ("unreadable (of each reason alike)", self._unreadable, unreadable),
            ("others, of each class alike", self._class, self.most),
        ):
            added = _add(picked, kind.numbers().tolist()[:room], self.most)
            if added:
                total = f" of {kind.seen:,}" if kind in (self._wrong, self._unreadable) else ""
                words.append(f"{added:,}{total} {name}")
        if len(picked) < self.most:
            _add(picked, self._unreadable.numbers().tolist(), self.most)
        text = f"{len(picked):,} of {self.rows:,} rows: {'; '.join(words)}"
        return np.array(sorted(picked), np.int64), text


def _add(picked: dict[int, None], numbers: Sequence[int], most: int) -> int:
    before = len(picked)
    for number in numbers:
        if len(picked) == most:
            break
        picked[number] = None
    return len(picked) - before


def _shuffled(numbers: Ints) -> Floats:
    """Ranks that follow no order of the table, and are the same every time (splitmix64)."""
    with np.errstate(over="ignore"):
        z = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).astype(np.float64)


def rows_at(numbers: Ints, begin: int, count: int) -> Iterator[int]:
    """Which of sorted row numbers lie in a batch, counted from its beginning."""
    first, last = np.searchsorted(numbers, [begin, begin + count])
    yield from (numbers[first:last] - begin).tolist()
