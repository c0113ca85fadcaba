"""A bucket of any number of photos that a store lists, page by page, without storing one."""

from __future__ import annotations

from urllib.parse import parse_qs

from faults import Decide, Fault, Request

_PAGE = 1000
_ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;0&quot;</ETag><Size>9</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def key_of(number: int) -> str:
    """The key of a photo, from 0: in order."""
    return f"in/{number // 500:06}/{number:09}.jpg"


def long_listing(photos: int) -> Decide:
    """What answers for such a bucket: pages of a listing, and that no object has its name."""

    def decide(request: Request) -> Fault | None:
        query = parse_qs(request.query)
        if request.method == "HEAD":
            return Fault(404, "NoSuchKey")
        if "list-type" not in query:
            return None
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        first = int(after[-13:-4]) + 1 if after else 0
        last = min(first + _PAGE, photos)
        entries = "".join(_ENTRY.format(key_of(number)) for number in range(first, last))
        more = last < photos
        token = f"<NextContinuationToken>{key_of(last - 1)}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>'
            f"<Name>b</Name><Prefix>in/</Prefix><KeyCount>{last - first}</KeyCount>"
            f"<MaxKeys>{_PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{entries}</ListBucketResult>"
        )
        return Fault(200, content=text.encode())

    return decide


def pages_of(requests: list[Request]) -> int:
    """How many pages were asked for."""
    return sum("list-type=2" in request.query for request in requests)
