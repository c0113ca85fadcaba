"""The items of a run: all photos of its sources, or only those that a table lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from scene_batch.pipeline.engine import Item
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.update import Retry, Update
from scene_batch.sources.listing import Listing
from scene_batch.tables.run_record import RunRecord
from scene_batch.tables.run_table import RunTable


@dataclass(frozen=True, slots=True)
class Everything:
    """All photos of a listing."""

    listing: Listing

    @property
    def found(self) -> int:
        """Photos yielded so far."""
        return self.listing.found

    def __iter__(self) -> Iterator[Item]:
        """Yield every photo."""
        return iter(self.listing)

    def refuse_nothing(self) -> None:
        """Raise SourceError if the sources hold no photo."""
        self.listing.refuse_no_photo()

    def amend(self, record: RunRecord) -> RunRecord:
        """Change nothing."""
        return record


Work: TypeAlias = Everything | Update | Retry
"""The items of a run; ``found`` counts those yielded, ``amend`` completes the run's record."""


def choose(job: Job, listing: Listing, table: RunTable | None) -> Work:
    """The work of a job, without what earlier attempts have done."""
    if table is None:
        return Everything(listing)
    if job.update:
        return Update(table, listing, prune=job.prune, retry=job.retry_unreadable)
    return Retry(table, listing.after)
