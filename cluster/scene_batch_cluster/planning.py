"""The plan of a job: listed once, streaming, its sources side by side, and cut into shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Self

from scene_batch.object_store.address import unique
from scene_batch.pipeline.job import Job
from scene_batch.read_ahead import read_ahead
from scene_batch.sources.listing import Listing
from scene_batch.sources.span import Span
from scene_batch.tables.schema import schema
from scene_batch.threads import Pool
from scene_batch_cluster.marks import MOST_MARKS, Cut, Marks, cut

MOST_SIDE_BY_SIDE = 32
"""Sources that are listed at a time."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a listing has found."""

    marks: list[Marks]
    """Of each source."""
    ignored: dict[str, int]
    """What was passed over, by kind."""
    is_cut_off: bool = False
    """Whether there may be more, behind the limit."""

    @property
    def photos(self) -> int:
        """How many there are."""
        return sum(marks.count for marks in self.marks)

    def cut(self, shares: int) -> list[dict[str, Any]]:
        """The shares as JSON; the first says what was passed over, too."""
        found = cut(self.marks, shares)
        if self.is_cut_off:
            last = next(marks.last for marks in reversed(self.marks) if marks.last is not None)
            found[-1] = replace(found[-1], span=replace(found[-1].span, last=last))
        cuts = [{"photos": share.photos, **share.span.to_json()} for share in found]
        cuts[0] |= {"ignored": self.ignored}
        return cuts


@dataclass(frozen=True, slots=True)
class Plan:
    """How the photos of a job are shared out."""

    shares: list[Cut]
    ignored: dict[str, int]

    @classmethod
    def from_json(cls, shares: list[dict[str, Any]]) -> Self:
        """Read what ``Survey.cut`` gave."""
        cuts = [Cut(Span.from_json(share), share["photos"]) for share in shares]
        return cls(cuts, shares[0]["ignored"])

    @property
    def photos(self) -> int:
        """How many there were when the plan was made."""
        return sum(share.photos for share in self.shares)


def survey(
    listing: Listing, limit: int | None = None, tell: Callable[[int], None] = lambda found: None
) -> Survey:
    """List all sources once, some of them side by side.

    Args:
        listing: The job's sources, opened.
        limit: Stop after so many photos; then the sources are listed one after the other.
        tell: Is told now and then how many photos were found.

    Raises:
        SourceError: A source cannot be listed, or there is no photo at all.
    """
    numbers = range(len(listing.names))
    most = max(2, MOST_MARKS // len(numbers))
    found = [Marks(most) for _ in numbers]

    def look(number: int) -> None:
        refs = listing.refs_of(number)
        if limit is not None:
            refs = islice(refs, limit - sum(marks.count for marks in found))
        for count, ref in enumerate(refs, 1):
            found[number].add(ref.order_key)
            if not count % 1000:
                tell(sum(marks.count for marks in found))

    side_by_side = 1 if limit is not None else min(MOST_SIDE_BY_SIDE, len(numbers))
    with Pool(side_by_side) as pool:
        begin = lambda number: pool.submit(lambda: look(number))  # noqa: E731
        for _ in read_ahead(begin, numbers, depth=side_by_side):
            pass
    listing.seen += sum(marks.count for marks in found)
    listing.refuse_no_photo()
    total = sum(marks.count for marks in found)
    return Survey(found, asdict(listing.ignored), is_cut_off=total == limit)


def identity(job: Job, listing: Listing, model_sha256: str) -> dict[str, Any]:
    """All that must be equal for another driver to go on with a plan."""
    return dict(_identity(job, listing, model_sha256))


def _identity(job: Job, listing: Listing, model_sha256: str) -> Iterator[tuple[str, Any]]:
    yield "sources", [unique(name) for name in listing.names]
    yield "where", listing.where
    yield "lists", listing.lists
    yield from job.lists_as.to_json().items()
    yield from job.selection.to_json().items()
    yield "hide_queries", job.hide_queries
    yield "limit", job.limit
    yield "model", model_sha256
    yield "top_k", job.top_k
    yield "provider", job.compute.provider
    yield "bf16", job.compute.bf16
    yield "columns", schema().names
