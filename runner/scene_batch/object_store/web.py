"""A reader of the web that looks where it is led: obstore follows every redirect itself.

A redirect must not lead from the web to servers that only this machine can reach: the keys of a
cloud machine's role are one request away from it.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from email.message import Message
from functools import cached_property
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from scene_batch.object_store.causes import NoPhotoError, StatusError, UnansweredError
from scene_batch.object_store.connection import Connection, Stream
from scene_batch.object_store.networks import Place, find

_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_OK, _MISSING = 200, 404
_ERROR_BYTES = 4096
"""Of an error's text that are looked at for its code."""
_MOST_KEPT = 64
"""Connections, and addresses of servers, that are kept: lists may name any number of servers."""
_REMEMBERED_SECONDS = 60.0
_SAFE = "!#$%&'()*+,/:;=?@[]~"


class Answer(NamedTuple):
    """What a server sent."""

    headers: Message
    size: int | None
    """Bytes that it says to have; None where it does not say."""
    data: bytes | None
    """None where those are more than were asked for."""


class Web:
    """Reads by ``http`` and ``https``, keeping connections for the next; safe for threads.

    Args:
        connect: Seconds for a connection.
        idle: Seconds in which a server may be silent.
        whole: Seconds for one answer.
    """

    def __init__(self, *, connect: float, idle: float, whole: float) -> None:
        self._connect, self._idle, self._whole = connect, idle, whole
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
            ValueError: It is no URL.
            TimeoutError: Too slow.
            StatusError: The server has refused; FileNotFoundError where it has no such thing.
            NoPhotoError: It gives no length, redirects without end, or to where it must not.
            UnansweredError: No sound answer.
        """
        until = time.monotonic() + self._whole
        inside = None
        for _ in range(_MOST_REDIRECTS + 1):
            parts = _split(url)
            place = self._find(parts)
            inside = place.is_inside if inside is None else inside
            if place.is_inside and not inside:
                raise NoPhotoError("a redirect to an address that is not of the public Internet")
            with closing(self._ask(place, parts, until)) as exchange:
                answer = exchange.answer
                location = answer.headers.get("Location")
                if answer.status in _REDIRECTS and location:
                    url = urljoin(url, location)
                    continue
                return _received(exchange, most, length)
        raise NoPhotoError("a redirect without end")

    def _find(self, parts: SplitResult) -> Place:
        """Look up a server, or remember what was found a moment ago."""
        key = parts.scheme, parts.hostname or "", parts.port
        place, until = self._places.get(key, (None, 0.0))
        if place is None or until < time.monotonic():
            place = find(parts)
            if len(self._places) >= _MOST_KEPT:
                self._places = {}
            self._places[key] = place, time.monotonic() + _REMEMBERED_SECONDS
        return place

    def _ask(self, place: Place, parts: SplitResult, until: float) -> _Exchange:
        """Ask a server, again where it has closed a connection that was kept."""
        while True:
            kept = self._take(place)
            connection = kept or self._open(place)
            connection.stream.until = until
            try:
                answer = connection.ask(parts, place)
            except TimeoutError:
                connection.close()
                raise
            except (OSError, HTTPException) as error:
                connection.close()
                if kept is None:
                    raise UnansweredError(_reason(error)) from None
                continue
            return _Exchange(self, place, connection, answer)

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

    def give_back(self, place: Place, connection: Connection) -> None:
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


class _Exchange(NamedTuple):
    """A request and its answer, whose body is not read yet."""

    web: Web
    place: Place
    connection: Connection
    answer: HTTPResponse

    def close(self) -> None:
        """Keep the connection if all was read, else close it."""
        done = self.answer.isclosed() and not self.answer.will_close
        self.web.give_back(self.place, self.connection) if done else self.connection.close()


def _split(url: str) -> SplitResult:
    """The parts of a URL, percent-encoded where they must be; ValueError if it is none."""
    parts = urlsplit(quote(url, safe=_SAFE))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is no URL of the web")
    parts.port  # noqa: B018 - raises ValueError where it is none
    return parts


def _received(exchange: _Exchange, most: int, length: bool) -> Answer:
    answer = exchange.answer
    try:
        if answer.status != _OK:
            text = answer.read(_ERROR_BYTES).decode(errors="replace")
            raise StatusError.of(answer.status, text)
        size = answer.length
        if length and size is None:
            raise NoPhotoError("no length")
        if size is not None and size > most:
            return Answer(answer.headers, size, None)
        data = answer.read(most + 1 if size is None else size)
        answer.read(1)  # the end, after which the connection can be used again
    except TimeoutError:
        raise
    except (OSError, HTTPException) as error:
        if isinstance(error, StatusError | NoPhotoError):
            raise
        raise UnansweredError("the connection broke") from None
    if size is not None and len(data) < size:
        raise UnansweredError("the connection broke")
    return Answer(answer.headers, size, data if len(data) <= most else None)


def _reason(error: Exception) -> str:
    """What the network said, in a word or two."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return "unknown host"
    if "certificate" in str(error).lower():
        return "bad certificate"
    return "the connection broke" if isinstance(error, ConnectionError) else ""
