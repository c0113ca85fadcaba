"""Photos of the web: whole or not at all, and never from inside by a stranger's redirect."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest

from faults import Fault, Request
from front import Front
from scene_batch.object_store import networks, web
from scene_batch.object_store.networks import is_public
from scene_batch.object_store.stores import Stores
from scene_batch.records import ImageRef, Unreadable
from scene_batch.sources.reading import Reader

_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        *[
            (address, False)
            for address in (
                "127.0.0.1",
                "10.1.2.3",
                "169.254.169.254",
                "100.64.0.1",
                "192.0.0.8",
                "224.0.0.1",
                "0.0.0.0",
                "::1",
                "fe80::1%eth0",
                "fd00:ec2::254",
                "::ffff:127.0.0.1",
                "::127.0.0.1",
                "64:ff9b::7f00:1",
                "64:ff9b:1::1",
                "2002:7f00:1::",
                "2001::1",
                "ff02::1",
            )
        ],
    ],
)
def test_addresses_of_the_public_internet(address: str, public: bool) -> None:
    assert is_public(address) == public


def _photo(request: Request) -> Fault:
    return Fault(200, content=b"photo", headers=(("Last-Modified", _DATE),))


def test_a_redirect_from_the_web_into_a_private_network_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """127.0.0.2 stands for the web, which tests must do without."""
    with Front(decide=_photo) as inside, Front(host="127.0.0.2") as outside:
        to = {
            "/in.png": f"{inside.url}/keys.png",
            "/name.png": f"http://localhost:{inside.url.rpartition(':')[2]}/keys.png",
            "/hop.png": "/in.png",
            "/away.png": "/there.png",
        }

        def decide(request: Request) -> Fault:
            if request.path not in to:
                return _photo(request)
            return Fault(302, headers=(("Location", to[request.path]),))

        outside.decide = decide
        reader = Reader(Stores(2.0))
        for name in to:  # from inside to inside
            assert reader.read(ImageRef(f"{outside.url}{name}")).data == b"photo"
        asked = len(inside.requests)
        monkeypatch.setattr(networks, "is_public", lambda address: address == "127.0.0.2")
        for name in ("/in.png", "/name.png", "/hop.png"):
            fetched = Reader(Stores(2.0)).read(ImageRef(f"{outside.url}{name}"))
            assert isinstance(fetched.data, Unreadable)
            assert (fetched.data.code, fetched.retries) == ("fetch_failed", 0)
            assert "not of the public Internet" in fetched.data.message
            assert not fetched.data.by_storage
        assert Reader(Stores(2.0)).read(ImageRef(f"{outside.url}/away.png")).data == b"photo"
        assert len(inside.requests) == asked


def test_a_redirect_without_end_is_a_row_at_once() -> None:
    with Front(decide=lambda r: Fault(302, headers=(("Location", r.path),))) as front:
        fetched = Reader(Stores(2.0)).read(ImageRef(f"{front.url}/x.png"))
    assert isinstance(fetched.data, Unreadable)
    assert "redirect without end" in fetched.data.message
    assert (fetched.retries, len(front.requests)) == (0, 11)


FAULTS = {
    "404": (Fault(404), "missing: not found on the server", False),
    "403": (Fault(403), "permission: access denied by the server", False),
    "503": (Fault(503), "fetch_failed: no sound answer", True),
    "cut": (Fault(200, content=b"photo", declared=3), "fetch_failed: .*the connection broke", True),
    "dropped": (Fault(drop=True), "fetch_failed: .*the connection broke", True),
    "silent": (Fault(delay=5), "timeout: no answer in time", True),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_photo_of_the_web_that_cannot_be_had_says_why(name: str) -> None:
    fault, message, passes = FAULTS[name]
    with Front(decide=lambda request: fault) as front:
        fetched = Reader(Stores(1.0)).read(ImageRef(f"{front.url}/x.png"))
        assert isinstance(fetched.data, Unreadable)
        text = f"{fetched.data.code}: {fetched.data.message}"
        assert re.match(message, text), text
        assert (fetched.retries > 0, fetched.data.by_storage) == (passes, passes)


def test_connections_are_kept_and_one_that_was_closed_is_replaced() -> None:
    with Front(decide=_photo) as front:
        reader = Reader(Stores(2.0))
        fetched = [reader.read(ImageRef(f"{front.url}/{n} é.png?sig=a%2Fb")) for n in range(3)]
        assert [f.data for f in fetched] == [b"photo"] * 3
        assert [f.ref.modified_at for f in fetched] == [1_767_225_600_000_000] * 3
        assert {r.query for r in front.requests} == {"sig=a%2Fb"}
        ((_, kept),) = reader._stores.web._free
        kept.stream._raw.shutdown(2)
        last = reader.read(ImageRef(f"{front.url}/x.png"))
        assert (last.data, last.retries) == (b"photo", 0)


def test_connections_to_many_servers_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_MOST_KEPT", 2)
    reader = Reader(Stores(2.0))
    with ExitStack() as stack:
        for _ in range(5):
            front = stack.enter_context(Front(decide=_photo))
            assert reader.read(ImageRef(f"{front.url}/x.png")).data == b"photo"
            assert len(reader._stores.web._free) <= 2
            assert len(reader._stores.web._places) <= 2
