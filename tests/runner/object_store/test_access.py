"""Who may read a bucket, and how what is wrong with it is said: one line, before any work."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from buckets import SECRET, Bucket
from faults import Fault, Request, slow_down
from front import Front
from scene_batch.errors import SourceError, StoreError, UsageError
from scene_batch.records import ImageRef
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import Reader
from support import paths_of, scene_batch


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
    "down": (slow_down(), "no sound answer .*503|no sound answer; .*503"),
    "gone": (Fault(drop=True), "no sound answer"),
    "unknown bucket": (None, "no such bucket"),
    "wrong key": (Fault(403, "InvalidAccessKeyId"), "no valid credentials"),
    "wrong secret": (Fault(403, "SignatureDoesNotMatch"), "no valid credentials"),
    "expired": (Fault(400, "ExpiredToken"), "no valid credentials"),
    "forbidden": (Fault(403, "AccessDenied"), "access denied"),
    "wrong region": (Fault(301, "PermanentRedirect"), "set AWS_REGION"),
    "wrong region, signed": (Fault(400, "AuthorizationHeaderMalformed"), "set AWS_REGION"),
}


@dataclass(frozen=True)
class Refused:
    """What a run of which nothing comes said, and what it left."""

    code: int
    text: str
    seconds: float
    left: list[str]


@pytest.fixture(scope="module")
def refused(
    shared_bucket: Bucket, colour_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Refused]:
    """A run from each of these buckets; some at a time, since a run asks for some seconds."""
    buckets = {f"refused-{number}": name for number, name in enumerate(REFUSALS)}

    def refuse(bucket: str) -> Refused:
        folder = tmp_path_factory.mktemp(bucket)
        words = ["--out", folder / "p.parquet", "--model", colour_model]
        begun = time.monotonic()
        done = scene_batch("run", f"s3://{bucket}/in", *words)
        seconds = time.monotonic() - begun
        return Refused(done.returncode, done.stderr.decode(), seconds, os.listdir(folder))

    shared_bucket.front.decide = lambda request: REFUSALS[buckets[request.path.split("/")[1]]][0]
    with ThreadPoolExecutor(4) as threads:
        return dict(zip(REFUSALS, threads.map(refuse, buckets), strict=True))


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_wrong_with_a_bucket_is_one_line_before_any_work(
    name: str, refused: dict[str, Refused]
) -> None:
    run = refused[name]
    assert run.seconds < 15
    assert (run.code, run.text.count("\n")) == (1, 1), run.text
    assert re.search(REFUSALS[name][1], run.text), run.text
    assert SECRET not in run.text
    assert "AKIA" not in run.text
    assert run.left == []


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
    aws.setattr("scene_batch.sources.prefix.FIRST_SECONDS", 0.3)
    with pytest.raises(SourceError, match=r"no sound answer.*connection refused"):
        Listing(["s3://bucket/in"])


def _by_header(bucket: Bucket) -> list[Request]:
    """The requests that are not signed in their URL."""
    return [r for r in bucket.front.requests if "X-Amz-Signature" not in r.query]


def test_requests_are_signed_or_not_as_the_environment_says(
    bucket: Bucket, aws: pytest.MonkeyPatch
) -> None:
    bucket.put("in/a.jpg", b"x")
    Reader().read(next(iter(Listing([f"{bucket.url}/in"]))))
    for request in bucket.front.requests:  # the end of a listing is asked for by a signed URL
        signed = "X-Amz-Signature" in request.query
        assert signed != ("authorization" in {header.lower() for header in request.headers})
    assert "/eu-central-1/s3/" in str(bucket.front.requests[-1].headers)
    assert bucket.front.requests[-1].path == f"/{bucket.name}/in/a.jpg"  # path style
    aws.setenv("AWS_REQUESTER_PAYS", "true")
    paths_of(f"{bucket.url}/in")
    assert _by_header(bucket)[-1].headers.get("x-amz-request-payer") == "requester"
    aws.setenv("AWS_SKIP_SIGNATURE", "true")
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    bucket.publish()
    paths_of(f"{bucket.url}/in")
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
    assert len(paths_of(f"{bucket.url}/in")) == 1
    assert "AKIAPROFILE/" in str(_by_header(bucket)[-1].headers)
    assert "/ap-south-1/s3/" in str(_by_header(bucket)[-1].headers)
    aws.setenv("AWS_PROFILE", "play")
    with pytest.raises(StoreError, match="AWS_PROFILE=play"):
        Listing([f"{bucket.url}/in"])
    aws.setitem(sys.modules, "boto3", None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"pip install 'scene-batch\[aws\]'"):
        Listing([f"{bucket.url}/in"])


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
    with Front(decide=lambda _: Fault(200, content=content)) as server:
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
