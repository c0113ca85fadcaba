"""Photos by URL: from where they may come, and from nowhere that a stranger must not reach."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from buckets import Bucket
from scene_batch.errors import UsageError
from scene_batch.object_store import networks
from scene_batch.records import ImageRef, Unreadable
from scene_batch_serve.urls import Urls
from served import HERE, Answer, Served, serving
from support import encode

PHOTO = encode(Image.new("RGB", (24, 24), "lime"), "PNG")


@dataclass
class Canary:
    """A server that only this machine can reach, and what was asked of it."""

    port: int
    asked: list[str] = field(default_factory=list)
    leads: dict[str, str] = field(default_factory=dict)
    """Where a path redirects to."""


@contextmanager
def _canary(host: str = HERE) -> Iterator[Canary]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            canary.asked.append(self.path)
            to = canary.leads.get(self.path)
            if self.path == "/slow":
                threading.Event().wait(3)
            self.send_response(302 if to else 200)
            if to:
                self.send_header("Location", to)
            body = b"" if to else b"x" * 3_000_000 if self.path == "/large" else PHOTO
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        canary = Canary(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield canary
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    with _canary() as canary:
        yield canary


@pytest.fixture(scope="module")
def strict(colour_model: Path) -> Iterator[Served]:
    """A server that fetches from the public Internet alone."""
    with serving("--model", str(colour_model), "--allow-urls", "--read-timeout", "2s") as server:
        yield server


def _by_url(server: Served, url: str) -> Answer:
    return server.predict(json.dumps({"url": url}).encode(), "application/json")


# {p} is the port of a server that must not be reached.
HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "0",
    "0.0.0.0",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "\uff11\uff12\uff17.0.0.1",
    "%31%32%37.0.0.1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
]
URLS = [
    "http://user@{h}:{p}/",
    "http://user:password@{h}:{p}/",
    "http://example.com@{h}:{p}/",
    "http://{h}:{p}#@example.com/",
    "http://{h}:{p}?@example.com/",
    "http://{h}:{p}\\@example.com/",
    "http://example.com\\@{h}:{p}/",
    "http:{h}:{p}/",
    "http:/{h}:{p}/",
    "http:///{h}:{p}/",
    "//{h}:{p}/",
    "{h}:{p}/",
    "http://{h}:{p}%00.example.com/",
    "http://{h}:{p}\r\nX: y/",
    "http://{h}\t:{p}/",
    " http://{h}:{p}/",
    "HTTP://{h}:{p}/",
    "ftp://{h}:{p}/",
    "gopher://{h}:{p}/_GET",
    "file:///etc/passwd",
    "file://{h}/etc/passwd",
    "/etc/passwd",
    "etc/passwd",
    "@/etc/passwd",
    "data:image/png;base64,aaaa",
    "jar:http://{h}:{p}/!/",
    "s3://somebodys-bucket/a.jpg",
    "gs://somebodys-bucket/a.jpg",
    "az://somebodys-bucket/a.jpg",
    "s3://",
    "",
    "http://",
    "http://" + "a" * 9000,
]


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_that_are_not_public_are_refused(strict: Served, canary: Canary, host: str) -> None:
    answer = _by_url(strict, f"http://{host}:{canary.port}/a.png")
    assert answer.status in (400, 422), answer.data
    assert canary.asked == []


@pytest.mark.parametrize("url", URLS)
def test_what_is_no_url_of_a_photo_is_refused(strict: Served, canary: Canary, url: str) -> None:
    answer = _by_url(strict, url.format(h=HERE, p=canary.port) if "{" in url else url)
    assert answer.status in (400, 403), answer.data
    assert canary.asked == []


def test_a_name_whose_address_changes_is_asked_where_it_was_looked_at(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look gives a public address, every later one ours."""
    looks: list[str] = []

    def look_up(host: str, port: int, **_: Any) -> Any:
        looks.append(host)
        address = "192.0.2.9" if len(looks) == 1 else HERE
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(networks.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(networks, "is_public", lambda address: address != HERE)
    urls = Urls()
    fetched = urls.reader(0.5, 1 << 20).read(urls.item(f"http://rebinds.example:{canary.port}/"))
    assert isinstance(fetched.data, Unreadable)
    assert canary.asked == []


def test_no_proxy_is_asked_that_would_look_it_up_anew(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{HERE}:{canary.port}")
    urls = Urls()
    assert isinstance(urls.reader(0.5, 1 << 20).read(ImageRef("http://10.0.0.1/")).data, Unreadable)
    assert canary.asked == []


@pytest.fixture
def open_to_here(colour_model: Path) -> Iterator[Served]:
    """A server that may ask one address that is not public."""
    options = ("--allow-urls", "--allow-host", HERE, "--read-timeout", "1s", "--max-body", "1MiB")
    with serving("--model", str(colour_model), *options) as server:
        yield server


def test_a_host_that_is_allowed_is_asked_and_leads_nowhere_else(open_to_here: Served) -> None:
    with _canary() as allowed, _canary("127.0.0.2") as inside:
        at = f"http://{HERE}:{allowed.port}"
        allowed.leads = {
            "/inside": f"http://127.0.0.2:{inside.port}/",
            "/name": f"http://localhost:{inside.port}/",
            "/file": "file:///etc/passwd",
            "/round": "/round",
            "/back": "/a.png",
        }
        answer = _by_url(open_to_here, f"{at}/a.png?signature=secret")
        assert answer.json["class"] == "green"
        assert _by_url(open_to_here, f"{at}/back").json["class"] == "green"
        for path in ("/inside", "/name", "/file", "/round"):
            answer = _by_url(open_to_here, at + path)
            assert answer.status in (400, 422), (path, answer.data)
        answer = _by_url(open_to_here, f"{at}/large")
        assert (answer.status, answer.code) == (413, "too_large")
        answer = _by_url(open_to_here, f"{at}/slow")
        assert (answer.status, answer.code) == (503, "timeout")
        assert inside.asked == []
        assert "secret" not in json.dumps(open_to_here.logs)


def test_a_bucket_that_is_named_is_read_and_no_other(bucket: Bucket, colour_model: Path) -> None:
    bucket.put("a.png", PHOTO)
    with serving(
        "--model", str(colour_model), "--allow-urls", "--allow-bucket", bucket.url
    ) as server:
        assert _by_url(server, f"{bucket.url}/a.png").json["class"] == "green"
        answer = _by_url(server, f"{bucket.url}/gone.png")
        assert (answer.status, answer.code) == (422, "missing")
        answer = _by_url(server, f"{bucket.url}x/a.png")
        assert (answer.status, answer.code) == (403, "url_forbidden")


@pytest.mark.parametrize("bad", [{"hosts": ["http://x"]}, {"buckets": ["s3://a/b"]}])
def test_what_is_allowed_must_be_hosts_and_buckets(bad: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError, match="--allow-"):
        Urls(**bad)
