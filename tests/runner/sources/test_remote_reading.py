"""Photos in buckets and on the web: read once, counted whatever happens."""

from __future__ import annotations

import re
import time
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
from scene_batch.sources.reading import Reader
from support import save_shade

FAULTS = {
    "403": (Fault(403, "AccessDenied"), "permission: access denied", 1),
    "404": (Fault(404, "NoSuchKey"), "missing: not found", 1),
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


@pytest.mark.parametrize("name", FAULTS)
def test_a_photo_that_cannot_be_had_is_a_row_with_its_reason(
    name: str, bucket: Bucket, album: Path
) -> None:
    fault, message, least = FAULTS[name]
    bucket.fill(album, "in/")
    ref = next(iter(Listing([f"{bucket.url}/in"])))
    bucket.front.decide = lambda request: fault if request.is_photo else None
    begun = time.monotonic()
    fetched = Reader(Stores(3.0)).read(ref)
    assert time.monotonic() - begun < 10
    assert isinstance(fetched.data, Unreadable)
    text = f"{fetched.data.code}: {fetched.data.message}"
    assert re.match(message, text), text
    assert fetched.retries + 1 == len(bucket.front.photos) >= least
    assert bucket.name not in fetched.data.message


@pytest.mark.parametrize("name", [name for name, (_, _, least) in FAULTS.items() if least > 1])
def test_a_fault_that_passes_is_only_counted(name: str, bucket: Bucket, album: Path) -> None:
    fault = FAULTS[name][0]
    bucket.fill(album, "in/")
    ref = next(iter(Listing([f"{bucket.url}/in"])))
    bucket.front.decide = lambda request: fault if request.is_photo and not request.number else None
    fetched = Reader(Stores(4.0)).read(ref)
    assert fetched.data == (album / ref.path.removeprefix(f"{bucket.url}/in/")).read_bytes()
    assert (fetched.retries, fetched.ref) == (1, ref)


def test_a_photo_that_changes_while_it_is_read_is_whole_and_says_so(
    bucket: Bucket, tmp_path: Path
) -> None:
    old, new = (save_shade(tmp_path / f"{n}.png", n).read_bytes() for n in (1, 2))
    bucket.put("in/x.png", old)
    (ref,) = Listing([f"{bucket.url}/in"])

    def decide(request: Request) -> Fault | None:
        if request.is_photo and not request.number:
            bucket.put("in/x.png", new + bytes(7))  # another ETag, size and time
            return Fault(sent=0.5, headers=(("ETag", '"old"'),), body=lambda _: old)
        return None

    time.sleep(1.1)
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
        fetched = Reader(Stores(2.0)).read(ImageRef(f"{bucket.url}/{key}", 1))
        assert isinstance(fetched.data, Unreadable)
        assert (fetched.data.code, fetched.retries > 0) == ("fetch_failed", True)


def test_a_photo_of_the_web_without_a_length_says_so_at_once(bucket: Bucket) -> None:
    bucket.put("a.png", b"x")
    bucket.publish("a.png")
    bucket.front.decide = lambda request: Fault(chunked=True)
    fetched = Reader().read(ImageRef(f"{bucket.front.url}/{bucket.name}/a.png"))
    assert isinstance(fetched.data, Unreadable)
    assert fetched.data.message.startswith("the server's answer is not one for a photo: no length")
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
