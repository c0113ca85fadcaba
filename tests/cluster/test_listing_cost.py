"""What listing costs: pages of a bucket, and the driver's memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from buckets import Bucket
from long_listing import long_listing, pages_of
from scene_batch.sources.listing import Listing
from scene_batch.sources.span import Span
from scene_batch_cluster.planning import survey


def _pages(bucket: Bucket, call: Callable[[], object]) -> int:
    bucket.front.requests.clear()
    call()
    return pages_of(bucket.front.requests)


@pytest.mark.nightly
def test_sixteen_shares_ask_for_at_most_a_tenth_more_pages_than_one_run(bucket: Bucket) -> None:
    bucket.front.decide = long_listing(200_000)
    source = [f"{bucket.url}/in"]
    alone = _pages(bucket, lambda: sum(1 for _ in Listing(source)))
    cuts = []
    planned = _pages(bucket, lambda: cuts.extend(survey(Listing(source)).cut(16)))
    spans = [Span.from_json(share) for share in cuts]
    counts: list[int] = []
    together = _pages(
        bucket,
        lambda: counts.extend(sum(1 for _ in Listing(source, span=span)) for span in spans),
    )
    assert len(spans) == 16
    assert sum(counts) == 200_000
    assert together <= 1.1 * alone
    assert planned <= alone + 2


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_memory_of_a_plan_is_flat(bucket: Bucket) -> None:
    peaks = []
    for photos in (10_000, 1_000_000):
        bucket.front.decide = long_listing(photos)
        listing = Listing([f"{bucket.url}/in"])
        tracemalloc.start()
        try:
            assert survey(listing).photos == photos
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        bucket.front.requests.clear()
    assert peaks[1] - peaks[0] < 16 << 20
