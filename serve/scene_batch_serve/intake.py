"""Receives what requests hold, within bounds of bytes and time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from scene_batch_serve.bodies import Content, ContentReader
from scene_batch_serve.bounds import Bounds, Held
from scene_batch_serve.problems import CLOSE, Problem, malformed, overloaded, stopping, too_large

_DISCARDED, _SILENT_SECONDS = 2, 0.25
"""Of a request that is refused, so many times the largest one's bytes are received at most, while
they come, and thrown away: a client that still sends would not see the answer."""
_DISCARD_SECONDS = 3.0
_LAST_SECONDS = 1.0
"""What a request that is still coming has left when the server ends."""


class Intake:
    """Receives the content of requests."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.held = Held(bounds.held)
        self._coming: set[asyncio.Timeout] = set()
        self._ends = False

    def end(self) -> None:
        """Wait no longer for requests that are still coming."""
        self._ends = True
        soon = asyncio.get_running_loop().time() + _LAST_SECONDS
        for timeout in self._coming:
            timeout.reschedule(soon)

    @contextmanager
    def holding(self, request: Request) -> Iterator[None]:
        """Count what ``content`` receives of a request, until all is done with it."""
        request.state.held = 0
        try:
            yield
        finally:
            self._let_go(request)

    def reserve(self, request: Request) -> None:
        """Count what a photo may have that is fetched for a request.

        Raises:
            Problem: There is no room for it.
        """
        if not self.held.take(self.bounds.body):
            raise overloaded()
        request.state.held += self.bounds.body

    def _let_go(self, request: Request) -> None:
        self.held.give_back(request.state.held)
        request.state.held = 0

    async def content(self, request: Request) -> Content:
        """What a request holds; call it inside ``holding``.

        Raises:
            Problem: It is beyond the bounds, or holds nothing that can be classified.
            ClientDisconnect: The client has gone.
        """
        coming = _Coming(request)
        seconds = _LAST_SECONDS if self._ends else self.bounds.body_seconds
        try:
            async with asyncio.timeout(seconds) as timeout:
                self._coming.add(timeout)
                try:
                    return await self._read(request, coming)
                finally:
                    self._coming.discard(timeout)
        except TimeoutError:
            raise stopping() if self._ends else _too_slow(seconds) from None
        except Problem:
            # At once: where many are too much together, the others have room.
            self._let_go(request)
            await coming.discard(_DISCARDED * self.bounds.body)
            raise

    async def _read(self, request: Request, coming: _Coming) -> Content:
        if _length(request, self.bounds.body) > self.bounds.body:
            raise too_large(self.bounds.body)
        reader = ContentReader(request.headers.get("content-type", ""), self.bounds.files)
        try:
            while coming.more:
                piece = await coming.piece()
                if not self.held.take(len(piece)):
                    raise overloaded()
                request.state.held += len(piece)
                if request.state.held > self.bounds.body:
                    raise too_large(self.bounds.body)
                reader.feed(piece)
            return reader.close()
        finally:
            reader.drop()


class _Coming:
    """The body of a request, piece by piece."""

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self._waits = "expect" in request.headers
        self.more = True
        """Whether some of it is still to come."""

    async def piece(self) -> bytes:
        """The next piece.

        Raises:
            ClientDisconnect: The client has gone.
        """
        self._waits = False
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.more = message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    async def discard(self, most: int) -> None:
        """Receive some of what is left, unless the client waits for leave to send it."""
        try:
            async with asyncio.timeout(_DISCARD_SECONDS):
                while self.more and not self._waits and most > 0:
                    async with asyncio.timeout(_SILENT_SECONDS):
                        most -= len(await self.piece())
        except TimeoutError:
            return


def _too_slow(seconds: float) -> Problem:
    message = f"the request did not come within {seconds:g} s"
    return Problem(HTTPStatus.REQUEST_TIMEOUT, "too_slow", message, CLOSE)


def _length(request: Request, most: int) -> int:
    """The bytes that a request says it has.

    Raises:
        Problem: It does not say, as with ``Transfer-Encoding: chunked``.
    """
    if "transfer-encoding" in request.headers:
        raise Problem(
            HTTPStatus.LENGTH_REQUIRED,
            "length_required",
            "say Content-Length, instead of sending in chunks",
            CLOSE,
        )
    text = request.headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise malformed("Content-Length is no number")
    return most + 1 if len(text) > len(str(most)) + 1 else int(text)
