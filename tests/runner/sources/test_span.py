"""Laws of spans: cut anywhere, they hold each photo once, in order, and look nowhere else."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from buckets import Bucket
from long_listing import key_of, long_listing, pages_of
from scene_batch.records import ImageRef
from scene_batch.sources.listing import Listing
from scene_batch.sources.span import WHOLE, Span
from support import save_photo

NAMES = ["a.jpg", "a/b.jpg", "a/c/d.jpg", "a-b.jpg", "a0.jpg", "b/x.jpg", "b/y/z.jpg", "b.jpg"]


def _cut(sources: Sequence[str], every: int) -> tuple[list[ImageRef], list[list[ImageRef]]]:
    whole = list(Listing(sources))
    keys = [None, *(ref.order_key for ref in whole[every - 1 : -1 : every]), None]
    spans = [Span(after, last) for after, last in itertools.pairwise(keys)]
    written = [Span.from_json(json.loads(json.dumps(span.to_json()))) for span in spans]
    assert written == spans
    return whole, [list(Listing(sources, span=span)) for span in written]


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_spans_hold_each_photo_once_in_order(every: int, bucket: Bucket, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        for name in NAMES:
            save_photo(tmp_path / folder / name)
            bucket.put(f"{folder}/{name}", b"x")
    strange = os.fsencode(tmp_path / "one") + b"/caf\xe9.jpg"
    Path(os.fsdecode(strange)).write_bytes(b"x")
    lines = [f"{tmp_path}/two/b.jpg", "", f"{bucket.url}/one/a.jpg", f"{tmp_path}/two/a.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    single = save_photo(tmp_path / "single.jpg")
    sources = [f"{tmp_path}/one", f"@{tmp_path}/list.txt", f"{bucket.url}/one", str(single)]
    sources += [f"{bucket.url}/two", f"{tmp_path}/two"]
    whole, pieces = _cut(sources, every)
    assert len(whole) == 4 * len(NAMES) + 1 + 3 + 1
    assert [ref for piece in pieces for ref in piece] == whole
    assert {len(piece) for piece in pieces[:-1]} == {every}


def test_the_border_need_not_be_there_any_more(tmp_path: Path) -> None:
    for name in NAMES:
        save_photo(tmp_path / name)
    _, (_, _, third, *_) = _cut([str(tmp_path)], 2)
    keys = [ref.order_key for ref in third]
    before = list(Listing([str(tmp_path)], span=Span(None, keys[0])))
    Path(third[0].path).unlink()
    save_photo(tmp_path / "a" / "new.jpg")
    left = list(Listing([str(tmp_path)], span=Span(None, keys[0])))
    right = list(Listing([str(tmp_path)], span=Span(keys[0], None)))
    assert [ref.path for ref in [*left, *right]] == [ref.path for ref in Listing([str(tmp_path)])]
    assert len(before) == 5


def test_folders_outside_a_span_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        save_photo(tmp_path / name)
    whole = list(Listing([str(tmp_path)]))
    opened = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: opened.append(path) or real(path))
    span = Span(whole[-3].order_key, whole[-2].order_key)
    assert [ref.path for ref in Listing([str(tmp_path)], span=span)] == [whole[-2].path]
    assert [os.fsdecode(path) for path in opened] == [
        str(tmp_path),
        f"{tmp_path}/b",
    ]


def test_spans_of_a_bucket_ask_for_few_pages_more_than_one_listing(bucket: Bucket) -> None:
    bucket.front.decide = long_listing(50_000)
    source = [f"{bucket.url}/in"]

    def pages(span: Span) -> int:
        before = len(bucket.front.requests)
        found.extend(ref.path for ref in Listing(source, span=span))
        return pages_of(bucket.front.requests[before:])

    found: list[str] = []
    alone = pages(WHOLE)
    whole = found.copy()
    found.clear()
    borders = [
        (0, 0, f"{source[0]}/{key_of(n)[3:]}".encode()) for n in range(12_499, 40_000, 12_500)
    ]
    keys = [None, *borders, None]
    together = sum(pages(Span(after, last)) for after, last in itertools.pairwise(keys))
    assert found == whole
    assert len(whole) == 50_000
    assert 50 <= alone <= 53
    assert together <= 1.1 * alone
