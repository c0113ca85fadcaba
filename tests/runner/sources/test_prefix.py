"""Photos in buckets and on the web: listed in order, read once, counted whatever happens."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from buckets import SECRET, Bucket
from front import CUT, Fault, Front, Request, slow_down, some
from scene_batch.errors import SourceError, StoreError, UsageError
from scene_batch.model.predictor import Predictor
from scene_batch.object_store.stores import Stores
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import ImageRef, Unreadable
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import Reader
from scene_batch.sources.shard import Shard
from support import command, process_environment, save_shade, scene_batch

COLUMNS = ["class", "probability", "top_k", "status", "error", "size_bytes"]


def _paths(*sources: str) -> list[str]:
    return [ref.path for ref in Listing(sources)]


def _rows(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    return rows


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
    assert _paths(f"{bucket.url}/pre") == [f"{bucket.url}/pre/a.jpg"]
    assert _paths(f"{bucket.url}/pre//") == [f"{bucket.url}/pre/a.jpg"]
    assert _paths(f"{bucket.url}/single.jpg") == [f"{bucket.url}/single.jpg"]
    assert _paths(f"{bucket.url}/single.jpg/") == [f"{bucket.url}/single.jpg/inside.jpg"]
    assert len(_paths(bucket.url)) == len(_paths(f"{bucket.url}/")) == 5


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
    for number, ref in enumerate(refs):
        rest = Listing([f"{bucket.url}/m"], after=ref)
        assert [r.path for r in rest] == [r.path for r in refs[number + 1 :]]


@pytest.mark.parametrize("key", ["b//x.jpg", "b/./x.jpg", "b/../x.jpg", "b/x.jpg//"])
def test_a_key_that_cannot_be_read_stops_the_listing_by_its_name(
    key: str, bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    for number in range(3):
        bucket.put(f"a/{number}.jpg", b"x")
    bucket.put(key, b"x")
    bucket.put("c/x.jpg", b"x")
    out = tmp_path / "p.parquet"
    with pytest.raises(SourceError, match=rf"the key '{key.rstrip('/')}") as caught:
        run(Job((bucket.url,), str(out)), colours)
    assert "rename it" in str(caught.value)
    assert not out.exists()


def test_a_listing_goes_on_behind_the_last_photo(bucket: Bucket) -> None:
    for number in range(2500):
        bucket.put(f"p/{number:04}.jpg", b"x")
    whole = list(Listing([f"{bucket.url}/p"]))
    assert len(whole) == 2500
    before = len(bucket.front.requests)
    rest = list(Listing([f"{bucket.url}/p"], after=whole[1999]))
    assert rest == whole[2000:]
    listed = [r for r in bucket.front.requests[before:] if "start-after=p%2F1999.jpg" in r.query]
    assert len(listed) == 1
    asked = len([r for r in bucket.front.requests[before:] if "list-type" in r.query])
    assert asked <= 3  # one for the check before


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


@pytest.fixture
def filled(bucket: Bucket, album: Path) -> Bucket:
    """The album in a bucket, and its thirty photos three times."""
    for folder in ("a", "b", "c"):
        bucket.fill(album, f"album/{folder}/")
    return bucket


def _from_disk(album: Path, tmp_path: Path, predictor: Predictor) -> list[dict[str, Any]]:
    for folder in ("a", "b", "c"):
        (tmp_path / "album").mkdir(exist_ok=True)
        (tmp_path / "album" / folder).symlink_to(album)
    run(Job((str(tmp_path / "album"),), str(tmp_path / "disk.parquet")), predictor)
    return _rows(tmp_path / "disk.parquet")


def test_a_bucket_behind_a_bad_line_gives_the_rows_of_the_disk(
    filled: Bucket, album: Path, colours: Predictor, tmp_path: Path
) -> None:
    busy, cut = some(0.08, slow_down()), some(0.04, CUT, seed=3)
    filled.front.decide = lambda request: busy(request) or cut(request)
    record = run(Job((f"{filled.url}/album",), str(tmp_path / "p.parquet")), colours)
    disk = _from_disk(album, tmp_path, colours)
    rows = _rows(tmp_path / "p.parquet")
    assert [[row[name] for name in COLUMNS] for row in rows] == [
        [row[name] for name in COLUMNS] for row in disk
    ]
    prefixes = [(f"{filled.url}/album", str(tmp_path / "album"))]
    for remote, local in prefixes:
        assert [r["path"].removeprefix(remote) for r in rows] == [
            r["path"].removeprefix(local) for r in disk
        ]
    assert all(row["modified_at"] for row in rows)
    assert record.retries == len(filled.front.photos) - 90 > 5


def test_without_faults_each_photo_is_asked_for_once(
    filled: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    record = run(Job((f"{filled.url}/album",), str(tmp_path / "p.parquet")), colours)
    assert record.retries == 0
    assert sorted({r.path for r in filled.front.photos}) == sorted(
        r.path for r in filled.front.photos
    )
    assert len(filled.front.photos) == 90


def test_many_photos_are_on_their_way_at_once(
    filled: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    filled.front.decide = lambda request: Fault(delay=0.2) if request.is_photo else None
    run(Job((f"{filled.url}/album",), str(tmp_path / "p.parquet"), workers=1), colours)
    assert 16 <= filled.front.most_at_once <= 34


@pytest.mark.parametrize("listed", [True, False])
def test_large_photos_are_not_all_in_memory(
    listed: bool, bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    """Forty photos of 12 MB; the front counts the bytes of those that were begun and not done."""
    photo = save_shade(tmp_path / "photo.png", 1).read_bytes() + bytes(12 << 20)
    for number in range(40):
        bucket.put(f"in/{number:02}.png", photo)
    urls = "\n".join(f"{bucket.url}/in/{number:02}.png" for number in range(40))
    (tmp_path / "list.txt").write_text(urls)
    bucket.front.decide = lambda request: Fault(delay=0.1) if request.is_photo else None
    source = f"{bucket.url}/in" if listed else f"@{tmp_path}/list.txt"
    begun: list[int] = []

    def watch(tally: Tally) -> None:
        begun.append(len(bucket.front.photos) - tally.rows)

    record = run(Job((source,), str(tmp_path / "p.parquet"), workers=1), colours, watch)
    assert record.ok == 40
    assert bucket.front.most_at_once <= 128 // 12
    decoded = (colours.session.calls + 2) * colours.session.batch_size  # small by now
    assert max(begun) <= 128 // 12 + decoded


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


def test_lists_mix_local_paths_and_urls(
    bucket: Bucket, moto: str, colours: Predictor, tmp_path: Path
) -> None:
    photo = save_shade(tmp_path / "local.png", 3)
    bucket.put("x y.png", photo.read_bytes())
    bucket.client.put_object_acl(Bucket=bucket.name, Key="x y.png", ACL="public-read")
    web = f"{bucket.front.url}/{bucket.name}/x%20y.png"
    lines = [
        str(photo),
        f"{bucket.url}/x y.png",
        web,
        f"{web}?versionId=null&sig=a%2Fb",
        f"{bucket.url}/gone.png",
        f"{bucket.url}/a//b.png",
        "ftp://server/x.png",
        "http://127.0.0.1:9/x.png",
    ]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    job = Job((f"@{tmp_path}/list.txt",), str(tmp_path / "p.parquet"), read_timeout=2)
    run(job, colours)
    rows = _rows(tmp_path / "p.parquet")
    assert [row["path"] for row in rows] == lines
    assert [row["status"] for row in rows] == ["ok"] * 4 + ["unreadable"] * 4
    assert {row["probability"] for row in rows[:4]} == {rows[0]["probability"]}
    assert {row["size_bytes"] for row in rows[:4]} == {photo.stat().st_size}
    codes = [row["error"].partition(":")[0] for row in rows[4:]]
    assert codes == ["missing", "fetch_failed", "fetch_failed", "fetch_failed"]
    assert "versionId=null&sig=a%2Fb" in {request.query for request in bucket.front.photos}


def test_lines_that_lead_nowhere_are_rows_and_no_end(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    bucket.put("lead.png", b"x")
    lines = [
        "s3://Bucket Name/x.jpg",
        "s3://<b>/x.jpg",
        f"{bucket.url}//lead.png",
        f"{bucket.url}/lead.png/",
        f"{bucket.url}/new\x0bline.png",
        f"http://h/{'x' * 70_000}.jpg",
        "http://[bad/x.jpg",
        "s3://",
        "HTTPS://me:hunter2@host/x.jpg",
        f"s3://b/x.jpg?X-Amz-Signature={SECRET}",
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path", *(f'"{line}"' for line in lines)]))
    run(Job((f"@{tmp_path}/list.csv",), str(tmp_path / "p.parquet"), read_timeout=2), colours)
    rows = _rows(tmp_path / "p.parquet")
    assert [row["path"] for row in rows] == lines
    assert {row["status"] for row in rows} == {"unreadable"}
    assert not any("hunter2" in row["error"] or SECRET in row["error"] for row in rows)
    assert bucket.front.photos == []


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
    bucket.client.put_object_acl(Bucket=bucket.name, Key="a.png", ACL="public-read")
    bucket.front.decide = lambda request: Fault(chunked=True)
    fetched = Reader().read(ImageRef(f"{bucket.front.url}/{bucket.name}/a.png"))
    assert isinstance(fetched.data, Unreadable)
    assert fetched.data.message.startswith("the server's answer is not one for a photo: no length")
    assert fetched.retries == 0


def test_an_object_that_grew_since_it_was_listed_is_read_as_it_is(bucket: Bucket) -> None:
    bucket.put("in/a.png", b"12345678")
    (ref,) = Listing([f"{bucket.url}/in"])
    for content in (b"123456789", b"123"):
        bucket.put("in/a.png", content)  # within the same second
        fetched = Reader(Stores(2.0)).read(ref)
        assert (fetched.data, fetched.ref.size_bytes, fetched.retries) == (content, len(content), 0)


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "127.0.0.1:5000"),
        ("AWS_ENDPOINT_URL", "http://"),
        ("AWS_ENDPOINT_URL", "not a url"),
        ("AWS_SESSION_TOKEN", f"{SECRET}\n"),
        ("AWS_ACCESS_KEY_ID", f"{SECRET}\nx"),
    ],
)
def test_an_environment_that_cannot_be_is_one_line(
    name: str, value: str, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv(name, value)
    with pytest.raises(StoreError, match=name) as caught:
        Listing(["s3://bucket/in"])
    assert SECRET not in str(caught.value)


SILENCES = {
    "the first question": lambda r: True,
    "a page": lambda r: "continuation" in r.query,
    "a marker": lambda r: r.method == "HEAD" and r.path.endswith(".png"),
    "photos": lambda r: r.is_photo,
}


@pytest.mark.parametrize("name", SILENCES)
def test_sigterm_is_heard_while_a_store_is_silent(
    name: str, bucket: Bucket, colour_model: Path, tmp_path: Path
) -> None:
    photo = save_shade(tmp_path / "x.png", 5).read_bytes()
    for number in range(1100):
        bucket.put(f"in/{number:04}.png", photo if number != 30 else b"")
    silent = SILENCES[name]
    bucket.front.decide = lambda r: Fault(delay=60) if silent(r) else None
    words = ["run", f"{bucket.url}/in", "--out", tmp_path / "p.parquet", "--model", colour_model]
    with subprocess.Popen(command(*words, "--quiet"), env=process_environment()) as process:
        until = time.monotonic() + 30
        while not any(silent(r) for r in bucket.front.requests) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert time.monotonic() - begun < 15


def test_a_photo_of_the_web_is_a_source(
    bucket: Bucket, album: Path, colours: Predictor, tmp_path: Path
) -> None:
    url = f"{bucket.front.url}/{bucket.name}/a.png?sig={SECRET}"
    bucket.put("a.png", (album / "day0" / "00.png").read_bytes())
    bucket.client.put_object_acl(Bucket=bucket.name, Key="a.png", ACL="public-read")
    run(Job((url,), str(tmp_path / "p.parquet")), colours)
    (row,) = _rows(tmp_path / "p.parquet")
    assert (row["path"], row["status"]) == (url, "ok")
    assert SECRET not in (tmp_path / "p.parquet.run.json").read_text()


@pytest.mark.parametrize(
    ("sources", "error", "message"),
    [
        (("s3://",), UsageError, "no URL that can be opened"),
        (("ftp://x/y",), UsageError, "s3://, gs://, az://, http://, https://"),
        (("https://me:word@host/x.jpg",), UsageError, "a password in it"),
        (("s3://b/x?sig=abcdefgh",), UsageError, "has a signature in it"),
        (("s3://b/a/../c",), UsageError, "the key 'a/../c' has"),
        (("s3://b", "s3://b/pre"), SourceError, "already in"),
        (("s3://b/pre", "s3://b//pre/"), SourceError, "already in"),
    ],
)
def test_wrong_urls_are_refused(
    sources: tuple[str, ...], error: type[Exception], message: str, aws: object
) -> None:
    with pytest.raises(error, match=message) as caught:
        Listing(sources)
    assert "me:word" not in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


REFUSALS = {
    "unknown bucket": (None, "no such bucket"),
    "wrong key": (Fault(403, "InvalidAccessKeyId"), "no valid credentials"),
    "wrong secret": (Fault(403, "SignatureDoesNotMatch"), "no valid credentials"),
    "expired": (Fault(400, "ExpiredToken"), "no valid credentials"),
    "forbidden": (Fault(403, "AccessDenied"), "access denied"),
    "wrong region": (Fault(301, "PermanentRedirect"), "set AWS_REGION"),
    "wrong region, signed": (Fault(400, "AuthorizationHeaderMalformed"), "set AWS_REGION"),
    "down": (slow_down(), "no sound answer .*503|no sound answer; .*503"),
    "gone": (Fault(drop=True), "no sound answer"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_wrong_with_a_bucket_is_one_line_before_any_work(
    name: str, bucket: Bucket, colour_model: Path, tmp_path: Path
) -> None:
    fault, message = REFUSALS[name]
    bucket.front.decide = lambda request: fault
    source = f"{bucket.url}/in" if fault else "s3://no-such-bucket-here/in"
    begun = time.monotonic()
    done = scene_batch("run", source, "--out", tmp_path / "p.parquet", "--model", colour_model)
    assert time.monotonic() - begun < 15
    text = done.stderr.decode()
    assert (done.returncode, text.count("\n")) == (1, 1), text
    assert re.search(message, text), text
    assert SECRET not in text
    assert "AKIA" not in text
    assert not (tmp_path / "p.parquet").exists()


def test_no_credentials_and_no_endpoint(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    begun = time.monotonic()
    done = scene_batch("run", "s3://bucket/in", "--out", tmp_path / "p.parquet")
    assert done.returncode == 1
    assert time.monotonic() - begun < 15
    assert done.stderr.count(b"\n") == 1
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"no sound answer.*connection refused"):
        Listing(["s3://bucket/in"])


def test_requests_are_signed_or_not_as_the_environment_says(
    bucket: Bucket, aws: pytest.MonkeyPatch
) -> None:
    bucket.put("in/a.jpg", b"x")
    Reader().read(next(iter(Listing([f"{bucket.url}/in"]))))
    assert all("authorization" in {h.lower() for h in r.headers} for r in bucket.front.requests)
    assert "/eu-central-1/s3/" in str(bucket.front.requests[-1].headers)
    assert bucket.front.requests[-1].path == f"/{bucket.name}/in/a.jpg"  # path style
    aws.setenv("AWS_REQUESTER_PAYS", "true")
    _paths(f"{bucket.url}/in")
    assert bucket.front.requests[-1].headers.get("x-amz-request-payer") == "requester"
    aws.setenv("AWS_SKIP_SIGNATURE", "true")
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    bucket.client.put_bucket_acl(Bucket=bucket.name, ACL="public-read")
    _paths(f"{bucket.url}/in")
    assert "authorization" not in {h.lower() for h in bucket.front.requests[-1].headers}


def test_a_profile_is_read_with_boto3_and_asks_for_it(
    bucket: Bucket, aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket.put("in/a.jpg", b"x")
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_REGION")
    (tmp_path / "credentials").write_text(
        f"[work]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = {SECRET}\n"
    )
    (tmp_path / "config").write_text("[profile work]\nregion = ap-south-1\n")
    aws.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    aws.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    aws.setenv("AWS_PROFILE", "work")
    assert len(_paths(f"{bucket.url}/in")) == 1
    assert "AKIAPROFILE/" in str(bucket.front.requests[-1].headers)
    assert "/ap-south-1/s3/" in str(bucket.front.requests[-1].headers)
    aws.setenv("AWS_PROFILE", "play")
    with pytest.raises(StoreError, match="AWS_PROFILE=play"):
        Listing([f"{bucket.url}/in"])
    aws.setitem(sys.modules, "boto3", None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"pip install 'scene-batch\[aws\]'"):
        Listing([f"{bucket.url}/in"])


def test_the_first_row_is_there_before_a_long_listing_ends(
    bucket: Bucket, colours: Predictor, tmp_path: Path
) -> None:
    """200,000 keys, made up page by page; a shard of them is read."""
    total, page = 200_000, 1000
    photo = save_shade(tmp_path / "photo.png", 1).read_bytes()
    headers = (("ETag", '"1"'), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"))
    pages = itertools.count()

    def listing(query: str) -> bytes:
        next(pages)
        begin = int(dict(part.split("=") for part in query.split("&")).get("continuation-token", 0))
        contents = "".join(
            f"<Contents><Key>p/{number:06}.png</Key><Size>{len(photo)}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for number in range(begin, begin + page)
        )
        end = begin + page
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < total else ""
        truncated = "true" if more else "false"
        return (
            f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{contents}"
            "</ListBucketResult>"
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

    job = Job((f"{bucket.url}/p",), str(tmp_path / "p.parquet"), shard=Shard(0, 500))
    tracemalloc.start()
    record = run(job, colours, watch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 300 < record.photos < 500
    assert next(pages) >= total // page
    assert pages_at_first_row is not None
    assert pages_at_first_row < total // page // 2
    assert peak < 24 << 20


@pytest.fixture
def roles(aws: pytest.MonkeyPatch) -> Iterator[Front]:
    """A server that gives a task's role its keys, as ECS and EKS do."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    answer = {
        "AccessKeyId": "ASIAROLE",
        "SecretAccessKey": SECRET,
        "Token": "session-token-of-the-role",
        "Expiration": "2036-01-01T00:00:00Z",
    }
    content = json.dumps(answer).encode()
    with Front("http://127.0.0.1:9", lambda _: Fault(200, content=content)) as server:
        yield server


def test_a_tasks_role_is_asked_for_its_keys(
    bucket: Bucket, roles: Front, aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket.put("in/a.jpg", b"x")
    (tmp_path / "token").write_text("pod-token")
    aws.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{roles.url}/v1/credentials")
    aws.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    (ref,) = Listing([f"{bucket.url}/in"])
    assert Reader().read(ref).data == b"x"
    headers = bucket.front.requests[-1].headers
    assert headers["x-amz-security-token"] == "session-token-of-the-role"
    assert "Credential=ASIAROLE/" in headers["authorization"]
    assert roles.requests[0].path == "/v1/credentials"


def test_a_role_whose_server_is_down_for_a_moment_is_borne(
    bucket: Bucket, roles: Front, aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket.put("in/a.jpg", b"x")
    (tmp_path / "token").write_text("pod-token")
    aws.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{roles.url}/v1/credentials")
    aws.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    well = roles.decide
    roles.decide = lambda request: Fault(503) if request.total < 2 else well(request)
    fetched = Reader().read(ImageRef(f"{bucket.url}/in/a.jpg"))
    assert fetched.data == b"x"
