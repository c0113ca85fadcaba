"""What a server of the web answers: read into memory, or piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple

from scene_batch.object_store.causes import NoPhotoError, StatusError, UnansweredError
from scene_batch.object_store.connection import Connection

_OK, _SAME = 200, 304
_ERROR_BYTES = 4096
"""Of an error's text that are looked at for its code."""
_CHUNK = 1 << 20


class Answer(NamedTuple):
    """What a server sent."""

    headers: Message
    size: int | None
    """Bytes that it says to have; None where it does not say."""
    data: bytes | None
    """None where those are more than were asked for."""


class Exchange(NamedTuple):
    """A request and its answer, whose body is not read yet."""

    connection: Connection
    answer: HTTPResponse
    give_back: Callable[[], None]
    """Keeps the connection for the next request."""

    def close(self) -> None:
        """Keep the connection if all was read, else close it."""
        done = self.answer.isclosed() and not self.answer.will_close
        self.give_back() if done else self.connection.close()


class Body(NamedTuple):
    """Bytes that a server is about to send."""

    mark: str
    """Its ETag for them, or else the date of their last change; empty where it says neither."""
    size: int
    exchange: Exchange

    def chunks(self) -> Iterator[bytes]:
        """All of it; raises TimeoutError, and UnansweredError where it is cut off."""
        left = self.size
        while left:
            try:
                chunk = self.exchange.answer.read(min(left, _CHUNK))
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                chunk = b""
            if not chunk:
                raise UnansweredError("the connection broke")
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Take no more of it."""
        self.exchange.close()


def begun(exchange: Exchange, mark: str) -> Body | None:
    """What comes, if it is not what has come before."""
    answer = exchange.answer
    if mark and answer.status == _SAME:
        return None
    if answer.status != _OK:
        try:
            text = answer.read(_ERROR_BYTES).decode(errors="replace")
        except HTTPException:
            text = ""
        raise StatusError.of(answer.status, text)
    if answer.length is None:
        raise NoPhotoError("no length")
    new = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    return None if mark and new == mark else Body(new, answer.length, exchange)


def received(exchange: Exchange, most: int, length: bool) -> Answer:
    """Read an answer whose bytes are not more than so many; raises like ``Web.get``."""
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
