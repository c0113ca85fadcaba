"""Files of the web in the cache: asked for on a condition, whole, and without their signatures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faults import Fault, Request
from front import Front
from scene_batch.errors import StoreError
from scene_batch.object_store.cache import FileKind, fetch

KIND = FileKind("things", ".bin", 1 << 20)
FIRST = b"first" * 40_000


def _web(etag: str | None, date: str | None, knows_conditions: bool) -> Callable[[Request], Fault]:
    given = {"ETag": etag, "Last-Modified": date}
    headers = tuple((name, value) for name, value in given.items() if value)

    def decide(request: Request) -> Fault:
        asked = {name.lower(): value for name, value in request.headers.items()}
        same = (asked.get("if-none-match"), asked.get("if-modified-since")) in (
            (etag, None),
            (None, date),
        )
        if knows_conditions and same and "if-none-match" in asked | {"if-modified-since": 0}:
            return Fault(304, headers=headers, content=b"")
        return Fault(200, headers=headers, content=FIRST)

    return decide


_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("etag", "date", "knows", "fetched"),
    [
        ('"abc"', _DATE, True, 1),
        ('W/"abc"', None, True, 1),
        ('"abc"', None, False, 1),
        ("abc", None, False, 1),
        (None, _DATE, False, 1),
        (None, None, False, 3),
    ],
)
def test_a_file_of_the_web_is_asked_for_on_a_condition(
    etag: str | None, date: str | None, knows: bool, fetched: int, cache: Path
) -> None:
    notes: list[str] = []
    with Front(decide=_web(etag, date, knows)) as front:
        for _ in range(3):
            url = f"{front.url}/m.bin?X-Amz-Signature=s3cr3t"
            assert fetch(url, KIND, note=notes.append).path.read_bytes() == FIRST
        front.decide = lambda r: Fault(302, headers=(("Location", f"{r.path}x"),))
        with pytest.raises(StoreError, match="redirect without end") as caught:
            fetch(f"{front.url}/n.bin?token=s3cr3t", KIND)
    assert len(notes) == fetched
    assert [r.method for r in front.requests] == ["GET"] * 14
    written = b"".join(path.read_bytes() for path in cache.glob("*.json"))
    assert b"s3cr3t" not in written + repr((notes, str(caught.value))).encode()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(404), "not found on the server"),
        (Fault(403), "access denied by the server"),
        (Fault(200, content=FIRST, chunked=True), "of no use: no length"),
        (Fault(200, content=FIRST, declared=9), "the connection broke"),
        (Fault(304, content=b""), "304"),
        (Fault(503), "no sound answer"),
    ],
)
def test_a_file_of_the_web_that_cannot_be_had_says_why(
    fault: Fault, says: str, cache: Path, hasty: None
) -> None:
    with Front(decide=lambda _: fault) as front, pytest.raises(StoreError, match=says):
        fetch(f"{front.url}/m.bin", KIND)
    assert list(cache.glob("*")) == []


def test_signed_urls_of_one_object_are_one_and_other_queries_are_not(cache: Path) -> None:
    def decide(request: Request) -> Fault:
        return Fault(200, headers=(("ETag", '"x"'),), content=request.query.encode())

    with Front(decide=decide) as front:
        for query, want in (
            ("id=1", b"id=1"),
            ("id=2", b"id=2"),
            ("sig=1", b"sig=1"),
            ("sig=2", b"sig=1"),
        ):
            assert fetch(f"{front.url}/m?{query}", KIND).path.read_bytes() == want
