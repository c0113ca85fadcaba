"""A stretch of a job's photos in order: what one of several runs takes of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

OrderKey: TypeAlias = tuple[int, int, bytes]
"""What sorts a job's photos, see ``ImageRef.order_key``: source, line of a list or 0, path."""


@dataclass(frozen=True, slots=True)
class Span:
    """The photos behind one, as far as another, whether or not these two are still there."""

    after: OrderKey | None = None
    """They begin behind it; None: at the beginning."""
    last: OrderKey | None = None
    """They end with it; None: at the end."""

    def of_source(self, number: int) -> Span | None:
        """What of it lies in a source; None where nothing does."""
        after, last = self.after, self.last
        if (after is not None and after[0] > number) or (last is not None and last[0] < number):
            return None
        return Span(
            after if after is not None and after[0] == number else None,
            last if last is not None and last[0] == number else None,
        )

    def holds(self, key: OrderKey) -> bool:
        """Whether a photo is in it."""
        return (self.after is None or key > self.after) and (self.last is None or key <= self.last)

    def to_json(self) -> dict[str, Any]:
        """For a run's identity and its record."""
        return {"after": _to_json(self.after), "last": _to_json(self.last)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Read what ``to_json`` gave."""
        return cls(_from_json(value["after"]), _from_json(value["last"]))


WHOLE = Span()
"""All photos."""


def _to_json(key: OrderKey | None) -> list[Any] | None:
    # Bytes that are not UTF-8 become lone surrogates, which JSON can escape.
    return None if key is None else [key[0], key[1], os.fsdecode(key[2])]


def _from_json(value: Sequence[Any] | None) -> OrderKey | None:
    return None if value is None else (value[0], value[1], os.fsencode(value[2]))
