"""What a config's numbers may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scene_batch.errors import UsageError


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be; ``below``: up to, but not."""

    least: float
    most: float = math.inf
    below: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether a number is one of them; NaN is not."""
        return self.least <= value and (value < self.most if self.below else value <= self.most)

    def __str__(self) -> str:
        """Say it."""
        if self.most == math.inf:
            return f"from {_number(self.least)}"
        below = "below " if self.below else ""
        return f"from {_number(self.least)} to {below}{_number(self.most)}"


def _number(value: float) -> str:
    return f"{value:.10g}"


TINY = 1e-12
"""The least number of those that must be above zero."""
SHARE, PART = Range(0, 1), Range(0, 1, below=True)
COUNT, RATE = Range(1), Range(TINY, 1e39, below=True)


def check(table: object, ranges: Mapping[str, Range], prefix: str = "") -> None:
    """Refuse a table's numbers that are out of range.

    Args:
        table: A dataclass.
        ranges: Of its fields, by name.
        prefix: What a config calls the table, with a dot behind it.

    Raises:
        UsageError: One is.
    """
    for name, allowed in ranges.items():
        value = getattr(table, name)
        if value not in allowed:
            raise UsageError(f"{prefix}{name} = {value}: a number {allowed} is needed")
