"""Photos in buckets and on the web: read once, counted whatever happens."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from buckets import Bucket
from faults import CUT, Fault, Request, slow_down
from scene_batch.model.predictor import Predictor
from scene_batch.object_store.stores import Stores
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import ImageRef, Unreadable
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import Fetched, Reader
from support import save_shade

FAULTS = {
    "403": (Fault(403, "AccessDenied"), "permission: access denied", 1),
    "404": (Fault(404, "NoSuchKey"), "missing: not found", 1),
    "archived": (Fault(403, "InvalidObjectState"), "archived: .*restore it first", 1),
    "archived in Azure": (Fault(409, "BlobArchived"), "archived: .*restore it first", 1),
    "expired": (Fault(400, "ExpiredToken"), "permission: no valid credentials", 1),
    "400": (Fault(400, "InvalidArgument"), "fetch_failed: HTTP 400 InvalidArgument", 1),
    "503": (slow_down(), "fetch_failed: no sound answer; .*503 SlowDown", 2),
    "500": (Fault(500, "InternalError"), "fetch_failed: .*HTTP 500", 2),
    "429": (Fault(429, "TooManyRequests"), "fetch_failed: .*HTTP 429", 2),
    "cut": (CUT, "fetch_failed: .*the connection broke", 2),
    "dropped": (Fault(drop=True), "fetch_failed: no sound answer", 2),
    "stalled": (Fault(sent=0.5, stall=5), "timeout: no answer in time", 2),
    "dripping": (Fault(drip=0.1), "timeout: no answer in time", 1),
    "slow first byte": (Fault(delay=5), "timeout: no answer in time", 2),
    "too long": (Fault(declared=10), "fetch_failed: .*the connection broke", 2),
    "too short": (Fault(declared=-10), r"fetch_failed: \d+ of \d+ bytes came", 2),
}


PASSING = [name for name, (_, _, least) in FAULTS.items() if least > 1]


@dataclass(frozen=True)
class Read:
    """What reading a photo behind a fault came to."""

    ref: ImageRef
    fetched: Fetched
    seconds: float
    asked: int
    """How often for the photo."""


@pytest.fixture(scope="module")
def reads(shared_bucket: Bucket, album: Path) -> dict[str, Read]:
    """Photos behind each fault, and behind each that passes: reading them is mostly waiting."""
    folders = [f"stays/{name}" for name in FAULTS] + [f"passes/{name}" for name in PASSING]
    for folder in folders:
        shared_bucket.put(f"{folder}/00.png", (album / "day0" / "00.png").read_bytes())
    refs = list(Listing([shared_bucket.url]))

    def decide(request: Request) -> Fault | None:
        _, _, kind, name, _ = request.path.split("/")
        return FAULTS[name][0] if kind == "stays" or not request.number else None

    def read(ref: ImageRef) -> Read:
        begun = time.monotonic()
        fetched = Reader(Stores(3.0 if "/stays/" in ref.path else 4.0)).read(ref)
        seconds = time.monotonic() - begun
        asked = [
            request for request in shared_bucket.front.photos if ref.path.endswith(request.path)
        ]
        return Read(ref, fetched, seconds, len(asked))

    shared_bucket.front.decide = decide
    with ThreadPoolExecutor(len(refs)) as threads:
        done = threads.map(read, refs)
    return {"/".join(read.ref.path.split("/")[3:5]): read for read in done}


@pytest.mark.parametrize("name", FAULTS)
def test_a_photo_that_cannot_be_had_is_a_row_with_its_reason(
    name: str, reads: dict[str, Read], shared_bucket: Bucket
) -> None:
    _, message, least = FAULTS[name]
    read = reads[f"stays/{name}"]
    assert read.seconds < 10
    assert isinstance(read.fetched.data, Unreadable)
    text = f"{read.fetched.data.code}: {read.fetched.data.message}"
    assert re.match(message, text), text
    assert read.fetched.retries + 1 == read.asked >= least
    assert shared_bucket.name not in read.fetched.data.message


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_only_counted(
    name: str, reads: dict[str, Read], album: Path
) -> None:
    read = reads[f"passes/{name}"]
    assert read.fetched.data == (album / "day0" / "00.png").read_bytes()
    assert (read.fetched.retries, read.fetched.ref) == (1, read.ref)


def test_a_photo_that_changes_while_it_is_read_is_whole_and_says_so(
    bucket: Bucket, tmp_path: Path
) -> None:
    old, new = (save_shade(tmp_path / f"{n}.png", n).read_bytes() for n in (1, 2))
    bucket.put("in/x.png", old, age=5.0)
    (ref,) = Listing([f"{bucket.url}/in"])

    def decide(request: Request) -> Fault | None:
        if request.is_photo and not request.number:
            bucket.put("in/x.png", new + bytes(7))  # another ETag, size and time
            return Fault(sent=0.5, headers=(("ETag", '"old"'),), body=lambda _: old)
        return None

    bucket.front.decide = decide
    fetched = Reader().read(ref)
    assert fetched.data == new + bytes(7)
    assert fetched.ref.size_bytes == len(new) + 7
    assert (fetched.ref.modified_at or 0) > (ref.modified_at or 0)


def test_an_object_that_grew_since_it_was_listed_is_read_as_it_is(bucket: Bucket) -> None:
    bucket.put("in/a.png", b"12345678")
    (ref,) = Listing([f"{bucket.url}/in"])
    for content in (b"123456789", b"123"):
        bucket.put("in/a.png", content)  # within the same second
        fetched = Reader(Stores(2.0)).read(ref)
        assert (fetched.data, fetched.ref.size_bytes, fetched.retries) == (content, len(content), 0)


def test_the_words_of_a_key_do_not_tell_the_cause(bucket: Bucket) -> None:
    keys = [
        "metadata.google.internal/x.png",
        "http:/169.254.169.254/x.png",
        "TimedOut.png",
        "403.png",
    ]
    for key in keys:
        bucket.put(key, b"x")
    bucket.front.decide = lambda request: slow_down() if request.is_photo else None
    refs = [ImageRef(f"{bucket.url}/{key}", 1) for key in keys]
    with ThreadPoolExecutor(len(refs)) as threads:
        for fetched in threads.map(Reader(Stores(2.0)).read, refs):
            assert isinstance(fetched.data, Unreadable)
            assert (fetched.data.code, fetched.retries > 0) == ("fetch_failed", True)


def test_a_photo_of_the_web_without_a_length_says_so_at_once(bucket: Bucket) -> None:
    bucket.put("a.png", b"x")
    bucket.publish("a.png")
    bucket.front.decide = lambda request: Fault(chunked=True)
    fetched = Reader().read(ImageRef(f"{bucket.front.url}/{bucket.name}/a.png"))
    assert isinstance(fetched.data, Unreadable)
    assert fetched.data.message.startswith("the server's answer is of no use: no length")
    assert fetched.retries == 0


def test_a_read_ends_within_its_limit_and_counts_its_attempts(
    bucket: Bucket, album: Path, colours: Predictor, tmp_path: Path
) -> None:
    bucket.put("in/a.png", (album / "day0" / "00.png").read_bytes())

    def decide(request: Request) -> Fault | None:
        if not request.is_photo:
            return None
        return slow_down() if request.number < 3 else Fault(sent=0.5, stall=30)

    bucket.front.decide = decide
    record = run(Job((f"{bucket.url}/in",), str(tmp_path / "p.parquet"), read_timeout=4), colours)
    assert record.unreadable == {"timeout": 1}
    assert record.retries == len(bucket.front.photos) - 1 >= 3
