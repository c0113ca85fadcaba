"""A reader of the web that looks where it is led: obstore follows every redirect itself.

A redirect must not lead from the web to servers that only this machine can reach: the keys of a
cloud machine's role are one request away from it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cached_property, partial
from http.client import HTTPException
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from scene_batch.object_store.causes import NoPhotoError, UnansweredError
from scene_batch.object_store.connection import Connection, Stream
from scene_batch.object_store.exchange import Answer, Body, Exchange, begun, received
from scene_batch.object_store.networks import Place, find

_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_KEPT = 64
"""Connections, and addresses of servers, that are kept: lists may name any number of servers."""
_REMEMBERED_SECONDS = 60.0
_SAFE = "!#$%&'()*+,/:;=?@[]~"


class Web:
    """Reads by ``http`` and ``https``, keeping connections for the next; safe for threads.

    Args:
        connect: Seconds for a connection.
        idle: Seconds in which a server may be silent.
        whole: Seconds for one answer.
        allows: Whether a server may be asked, for URLs that strangers give. Then no proxy is, which
            would look it up for itself, and the address that was looked at is the one asked.
    """

    def __init__(
        self,
        *,
        connect: float,
        idle: float,
        whole: float,
        allows: Callable[[Place], bool] | None = None,
    ) -> None:
        self._connect, self._idle, self._whole = connect, idle, whole
        self._allows = allows
        self._free: list[tuple[Place, Connection]] = []
        self._places: dict[tuple[str, str, int | None], tuple[Place, float]] = {}
        self._lock = threading.Lock()

    def get(self, url: str, most: int, *, length: bool = True) -> Answer:
        """Read what is at a URL, if it is not more than so many bytes.

        Args:
            url: Its query and its encoding are kept.
            most: Bytes that may come.
            length: Whether the server must say how many bytes will come.

        Raises:
            ValueError: It is no URL, or of a server that must not be asked.
            TimeoutError: Too slow.
            StatusError: The server has refused; FileNotFoundError where it has no such thing.
            NoPhotoError: It gives no length, redirects without end, or to where it must not.
            UnansweredError: No sound answer.
        """
        with closing(self._follow(url, {})) as exchange:
            return received(exchange, most, length)

    def open(self, url: str, mark: str = "") -> Body | None:
        """Begin to read what is at a URL, in one request, however much it is.

        Args:
            url: Its query and its encoding are kept.
            mark: Of the bytes that are here already; see ``Body.mark``.

        Returns:
            What must be closed; None where the bytes are still those of the mark.

        Raises:
            Exception: As ``get`` does.
        """
        header = "If-None-Match" if mark.startswith(('"', "W/")) else "If-Modified-Since"
        exchange = self._follow(url, {header: mark} if mark else {})
        try:
            body = begun(exchange, mark)
        except BaseException:
            exchange.close()
            raise
        if body is None:
            exchange.close()
        return body

    def _follow(self, url: str, headers: Mapping[str, str]) -> Exchange:
        """Ask, and go where the answers lead."""
        until = time.monotonic() + self._whole
        inside = None
        for _ in range(_MOST_REDIRECTS + 1):
            parts = _split(url)
            place = self._find(parts)
            if self._allows is not None and not self._allows(place):
                if inside is None:
                    raise ValueError("photos are not fetched from its server")
                raise NoPhotoError("a redirect to a server from which photos are not fetched")
            inside = place.is_inside if inside is None else inside
            if place.is_inside and not inside:
                raise NoPhotoError("a redirect to an address that is not of the public Internet")
            exchange = self._ask(place, parts, headers, until)
            location = exchange.answer.headers.get("Location")
            if exchange.answer.status not in _REDIRECTS or not location:
                return exchange
            exchange.close()
            url = urljoin(url, location)
        raise NoPhotoError("a redirect without end")

    def _find(self, parts: SplitResult) -> Place:
        """Look up a server, or remember what was found a moment ago."""
        key = parts.scheme, parts.hostname or "", parts.port
        place, until = self._places.get(key, (None, 0.0))
        if place is None or until < time.monotonic():
            place = find(parts, proxies=self._allows is None)
            if len(self._places) >= _MOST_KEPT:
                self._places = {}
            self._places[key] = place, time.monotonic() + _REMEMBERED_SECONDS
        return place

    def _ask(
        self, place: Place, parts: SplitResult, headers: Mapping[str, str], until: float
    ) -> Exchange:
        """Ask a server, again where it has closed a connection that was kept."""
        while True:
            kept = self._take(place)
            connection = kept or self._open(place)
            connection.stream.until = until
            try:
                answer = connection.ask(parts, place, headers)
            except TimeoutError:
                connection.close()
                raise
            except (OSError, HTTPException) as error:
                connection.close()
                if kept is None:
                    raise UnansweredError(_reason(error)) from None
                continue
            return Exchange(connection, answer, partial(self._give_back, place, connection))

    def _open(self, place: Place) -> Connection:
        try:
            raw = place.connect(self._connect)
            if place.is_encrypted:
                raw = self._tls.wrap_socket(raw, server_hostname=place.host)
        except TimeoutError:
            raise
        except OSError as error:
            raise UnansweredError(_reason(error)) from None
        return Connection(Stream(raw, self._idle))

    @cached_property
    def _tls(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - ssl is imported where needed
        import ssl

        return ssl.create_default_context()

    def _give_back(self, place: Place, connection: Connection) -> None:
        """Keep a connection for the next request, in place of the one that was kept longest."""
        with self._lock:
            self._free.append((place, connection))
            old = self._free.pop(0)[1] if len(self._free) > _MOST_KEPT else None
        if old is not None:
            old.close()

    def _take(self, place: Place) -> Connection | None:
        with self._lock:
            for index in reversed(range(len(self._free))):
                if self._free[index][0] == place:
                    return self._free.pop(index)[1]
        return None


def _split(url: str) -> SplitResult:
    """The parts of a URL, percent-encoded where they must be; ValueError if it is none."""
    parts = urlsplit(quote(url, safe=_SAFE))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is no URL of the web")
    parts.port  # noqa: B018 - raises ValueError where it is none
    return parts


def _reason(error: Exception) -> str:
    """What the network said, in a word or two."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return "unknown host"
    if "certificate" in str(error).lower():
        return "bad certificate"
    return "the connection broke" if isinstance(error, ConnectionError) else ""
