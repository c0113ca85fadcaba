"""The items of a run: all photos of its sources, or only those that a table lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from scene_batch.pipeline.engine import Item
from scene_batch.records import ImageRef
from scene_batch.sources.listing import Listing
from scene_batch.tables.run_record import RunRecord


class Photos:
    """The photos of a listing in order, with a look at the next one."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self._refs = iter(listing)
        self._next: ImageRef | None = None

    def peek(self) -> ImageRef | None:
        """The next photo, which stays the next one; None at the end."""
        if self._next is None:
            self._next = next(self._refs, None)
        return self._next

    def __iter__(self) -> Iterator[ImageRef]:
        """Return itself."""
        return self

    def __next__(self) -> ImageRef:
        """The next photo."""
        ref, self._next = self._next, None
        return next(self._refs) if ref is None else ref


class Work(Protocol):
    """The items of a run, without those that earlier attempts have done."""

    found: int
    """Items yielded so far."""

    @property
    def photos(self) -> Photos | None:
        """Where the items come from; None where nothing is listed."""

    def pass_over(self, ref: ImageRef) -> None:
        """Take note of a photo that was taken from ``photos`` and is done, or left out."""

    def begin_behind(self, after: ImageRef) -> None:
        """Yield nothing up to the last item that is done; called once, behind its photos."""

    def __iter__(self) -> Iterator[Item]:
        """Yield the items in order."""

    def refuse_nothing(self) -> None:
        """Raise SourceError if the sources hold no photo."""

    def amend(self, record: RunRecord) -> RunRecord:
        """Complete the run's record."""


@dataclass(slots=True)
class Everything:
    """All photos of a listing."""

    photos: Photos
    found: int = field(init=False, default=0)

    def pass_over(self, ref: ImageRef) -> None:
        """Nothing: it is done."""

    def begin_behind(self, after: ImageRef) -> None:
        """Nothing: the photos are behind it."""

    def __iter__(self) -> Iterator[Item]:
        """Yield every photo."""
        for ref in self.photos:
            self.found += 1
            yield ref

    def refuse_nothing(self) -> None:
        """Raise SourceError if the sources hold no photo."""
        self.photos.listing.refuse_no_photo()

    def amend(self, record: RunRecord) -> RunRecord:
        """Change nothing."""
        return record
