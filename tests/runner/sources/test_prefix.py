"""Photos below a bucket's prefix: those of a directory, in the same order, page by page."""

from __future__ import annotations

import itertools
import os
import tracemalloc
from pathlib import Path

import pytest

from buckets import Bucket
from faults import CUT, Fault, Request, slow_down
from scene_batch.errors import SourceError
from scene_batch.model.predictor import Predictor
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import Reader
from scene_batch.sources.shard import Shard
from support import Watch, paths_of, rows_of, save_shade

ODD_NAMES = [
    "a b.jpg",
    "ä/ö.jpg",
    "100%.jpg",
    "a%20b.jpg",
    "#1.jpg",
    "what?.jpg",
    "a+b.jpg",
    "~x.jpg",
    "back\\slash.jpg",
    "st*r.jpg",
    "{x}&<y>.jpg",
    "q\"uote'.jpg",
    "日本.JPG",
    "a.jpg",
    "a/b.png",
    "a-b.jpg",
    "deep/er/and/deeper/x.tiff",
]


def test_a_bucket_and_a_disk_give_the_same_photos_in_the_same_order(
    bucket: Bucket, tmp_path: Path
) -> None:
    others = ["notes.txt", ".hidden.jpg", ".git/1.jpg", ".git/2.jpg", "d/.cache/x/y.jpg", "d/e.csv"]
    for name in ODD_NAMES + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if not (tmp_path / name).is_dir():
            (tmp_path / name).write_bytes(name.encode())
            bucket.put(f"in/{name}", name.encode())
    disk, prefix = Listing([str(tmp_path)]), Listing([f"{bucket.url}/in"])
    found = list(prefix)
    on_disk = [(os.path.relpath(ref.path, tmp_path), ref.size_bytes) for ref in disk]
    assert [
        (ref.path.removeprefix(f"{bucket.url}/in/"), ref.size_bytes) for ref in found
    ] == on_disk
    assert prefix.ignored == disk.ignored
    reader = Reader(prefix.stores)
    for ref in found:
        fetched = reader.read(ref)
        assert fetched.data == ref.path.removeprefix(f"{bucket.url}/in/").encode()
        assert fetched.ref == ref


def test_a_prefix_is_a_folder_or_the_object_of_that_name(bucket: Bucket) -> None:
    for key in ("pre/a.jpg", "pre.jpg", "prefix/b.jpg", "single.jpg", "single.jpg/inside.jpg"):
        bucket.put(key, b"x")
    assert paths_of(f"{bucket.url}/pre") == [f"{bucket.url}/pre/a.jpg"]
    assert paths_of(f"{bucket.url}/pre//") == [f"{bucket.url}/pre/a.jpg"]
    assert paths_of(f"{bucket.url}/single.jpg") == [f"{bucket.url}/single.jpg"]
    assert paths_of(f"{bucket.url}/single.jpg/") == [f"{bucket.url}/single.jpg/inside.jpg"]
    assert len(paths_of(bucket.url)) == len(paths_of(f"{bucket.url}/")) == 5


def test_directory_markers_are_no_photos_and_empty_objects_are(bucket: Bucket) -> None:
    for key in (
        "m/",
        "m/w.jpg/",
        "m/x.jpg/",
        "m/x.jpg-1.png",
        "m/sub/",
        "m/y.jpg",
        "m/y.jpg-0.png",
        "m/y.jpg/",
    ):
        bucket.put(key, b"" if key.endswith("/") else b"x")
    bucket.put("m/z.jpg")
    listing = Listing([f"{bucket.url}/m"])
    refs = list(listing)
    names = ["x.jpg-1.png", "y.jpg", "y.jpg-0.png", "z.jpg"]
    assert [ref.path for ref in refs] == [f"{bucket.url}/m/{name}" for name in names]
    assert (listing.ignored.hidden, listing.ignored.other) == (0, 0)


STRANGE = ["b//x.png", "b/x.png//y.png", "c\td.png", "e\x7ff.png", "/lead.png", "g\t+ %2F.png"]
NAMELESS = ["b/../x.png", "b/./x.png", ".."]
"""Keys that no URL can name."""


def test_strange_keys_are_rows_and_end_no_listing(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    photo = save_shade(tmp_path / "x.png", 5).read_bytes()
    plain = [f"p/{number:04}.png" for number in range(1010)]
    for key in plain:
        bucket.put(key, b"x")
    good = ["a.png", *STRANGE, "z.png"]
    for key in [*good, *NAMELESS]:
        bucket.put(f"p/{key}", photo)
    for key in ("p/b//notes.txt", "p/.hid//x.png", "p/folder/", "p/folder.png/"):
        bucket.put(key, b"" if key.endswith("/") else b"x")
    listing = Listing([f"{bucket.url}/p"])
    refs = list(listing)
    names = [ref.path.removeprefix(f"{bucket.url}/") for ref in refs]
    assert names == sorted([*plain, *(f"p/{key}" for key in [*good, *NAMELESS[:2]])])
    assert (listing.ignored.hidden, listing.ignored.other) == (1, 2)
    bucket.delete(*plain)
    out = tmp_path / "p.parquet"
    record = run(Job((f"{bucket.url}/p",), str(out)), colours)
    rows = {row["path"].removeprefix(f"{bucket.url}/p/"): row for row in rows_of(out)}
    assert {key: rows[key]["error"] for key in good} == dict.fromkeys(good)
    assert {rows[key]["size_bytes"] for key in good} == {len(photo)}
    assert all((rows[key]["error"] or "").startswith("bad_path: ") for key in NAMELESS[:2])
    assert record.photos == len(good) + 2


def test_a_page_by_a_signed_url_that_breaks_off_is_asked_for_again(bucket: Bucket) -> None:
    for number in range(1100):
        bucket.put(f"{number:04}//x.png")

    def decide(request: Request) -> Fault | None:
        signed = "X-Amz-Signature" in request.query
        return (CUT, slow_down(), None)[request.number % 3] if signed else None

    bucket.front.decide = decide
    assert paths_of(bucket.url) == [f"{bucket.url}/{number:04}//x.png" for number in range(1100)]


def test_strange_keys_of_a_public_bucket(bucket: Bucket, aws: pytest.MonkeyPatch) -> None:
    bucket.put("p/a//x.png", b"photo")
    bucket.publish()
    bucket.publish("p/a//x.png")
    aws.setenv("AWS_SKIP_SIGNATURE", "true")
    (ref,) = Listing([f"{bucket.url}/p"])
    assert Reader().read(ref).data == b"photo"


def test_a_page_that_breaks_off_is_asked_for_again(bucket: Bucket) -> None:
    for number in range(2100):
        bucket.put(f"p/{number:04}.jpg", b"x")

    def decide(request: Request) -> Fault | None:
        faults = (CUT, slow_down(), Fault(drop=True), Fault(500, "InternalError"))
        if "list-type" in request.query and request.number % 2:
            return faults[request.number // 2 % 4]
        return None

    listing = Listing([f"{bucket.url}/p"])
    bucket.front.decide = decide
    assert [ref.path for ref in listing] == [f"{bucket.url}/p/{n:04}.jpg" for n in range(2100)]


def test_the_first_row_is_there_before_a_long_listing_ends(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    """60,000 keys, made up page by page; a shard of them is read. All at once would be 12 MB."""
    total, page = 60_000, 1000
    photo = save_shade(tmp_path / "photo.png", 1).read_bytes()
    headers = (("ETag", '"1"'), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"))
    pages = itertools.count()
    entries = page * (
        f"<Contents><Key>p/%06d.png</Key><Size>{len(photo)}</Size>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
    )

    def listing(query: str) -> bytes:
        next(pages)
        if "start-after" in query:
            return b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        begin = int(dict(part.split("=") for part in query.split("&")).get("continuation-token", 0))
        end = begin + page
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < total else ""
        truncated = "true" if more else "false"
        return (
            f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}"
            f"{entries % tuple(range(begin, end))}</ListBucketResult>"
        ).encode()

    def decide(request: Request) -> Fault | None:
        if "list-type" in request.query:
            return Fault(200, content=listing(request.query))
        if request.is_photo:
            return Fault(200, content=photo, headers=headers)
        return Fault(404, "NoSuchKey")

    bucket.front.decide = decide
    pages_at_first_row = None

    def watch(tally: Tally) -> None:
        nonlocal pages_at_first_row
        if tally.rows and pages_at_first_row is None:
            pages_at_first_row = next(pages)

    job = Job((f"{bucket.url}/p",), str(tmp_path / "p.parquet"), shard=Shard(0, 150))
    tracemalloc.start()
    record = run(job, colours, Watch(watch))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 300 < record.photos < 500
    assert next(pages) >= total // page
    assert pages_at_first_row is not None
    assert pages_at_first_row < total // page // 2
    assert peak < 8 << 20


@pytest.mark.parametrize(
    "body", [b"<html><body>login</body></html>", b"<Error><Code>x</Code></Error>"]
)
@pytest.mark.parametrize(("first", "always"), [(0, True), (1, True), (0, False)])
def test_an_answer_that_is_no_listing_is_not_the_end_of_one(
    body: bytes, first: int, always: bool, bucket: Bucket
) -> None:
    """A proxy's login page, with status 200, in the place of a page of keys."""
    for number in range(1100):
        bucket.put(f"p/{number:04}.png", b"x")
    asked = 0

    def decide(request: Request) -> Fault | None:
        nonlocal asked
        if "list-type" not in request.query or "max-keys=1&" in request.query:
            return None
        asked += 1
        if asked == 2 + first:
            return Fault(200, content=body)
        return Fault(200, content=body) if always and asked > 2 + first else None

    bucket.front.decide = decide
    if not always:
        assert len(paths_of(f"{bucket.url}/p")) == 1100
        return
    with pytest.raises(SourceError, match="not a page of a listing"):
        paths_of(f"{bucket.url}/p")
