"""Connections whose clients are slow, silent or hostile: each has a time limit, all have a number.

uvicorn itself waits without limit for the head of a request, and for an answer to be taken.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from scene_batch_serve.bounds import Bounds
from scene_batch_serve.problems import Problem, malformed, too_many_connections

_PIECE = 16 << 10
"""Bytes that are read at a time: many chunks of a byte each must not hold up the others."""


class Connections:
    """The connections of a server: makes them, and closes idle ones when there are too many."""

    def __init__(self, bounds: Bounds, refused: Callable[[int, Problem], None]) -> None:
        self.bounds, self.refused = bounds, refused
        self.idle: dict[Connection, None] = {}
        """Those without a request, the one that has been so longest first."""

    def __call__(self, **arguments: Any) -> Connection:  # noqa: ANN401 - uvicorn's
        """A new one."""
        return Connection(self, **arguments)

    def make_room(self) -> bool:
        """Close the one that has been idle longest; False: none is."""
        oldest = next(iter(self.idle), None)
        if oldest is None:
            return False
        oldest.abort()
        return True


class Connection(H11Protocol):
    """A connection with time limits."""

    def __init__(self, others: Connections, **arguments: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(**arguments)
        self._others = others
        self._limit: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, in place of an idle one where there are too many."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = _PIECE
        _give_up_after(transport, self._others.bounds.head_seconds)
        too_many = len(self.connections) > self._others.bounds.connections
        if too_many and not self._others.make_room():
            problem = too_many_connections()
            self._others.refused(problem.status, problem)
            body = json.dumps(problem.to_json()).encode()
            head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            transport.write(head.encode() + body)
            transport.close()
            return
        self._begin_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._end_waiting()
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        if self._is_busy():
            self._end_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self._is_busy() and not self.transport.is_closing():
            self._begin_waiting()

    def timeout_keep_alive_handler(self) -> None:
        """Close it, though what was sent may not have been taken."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self._others.bounds.head_seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent, but not for ever."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._others.bounds.head_seconds, self.abort)

    def resume_writing(self) -> None:
        """Go on."""
        if self._stalled is not None:
            self._stalled.cancel()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.abort()  # the answer would be taken for another request's
            return
        problem = malformed(msg)
        self._others.refused(problem.status, problem)
        body = json.dumps(problem.to_json()).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        try:
            answer = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            self.abort()
        else:
            self.transport.close()

    def abort(self) -> None:
        """Close it at once."""
        self.transport.abort()

    def _is_busy(self) -> bool:
        """Whether there is a request whose answer is owed."""
        return self.cycle is not None and not self.cycle.response_complete

    def _begin_waiting(self) -> None:
        """Begin to wait for the head of a request, which has to come in time."""
        self._end_waiting()
        self._others.idle[self] = None
        bounds = self._others.bounds
        seconds = bounds.head_seconds + (0 if self.cycle is None else bounds.keep_alive)
        self._limit = self.loop.call_later(seconds, self.abort)

    def _end_waiting(self) -> None:
        self._others.idle.pop(self, None)
        if self._limit is not None:
            self._limit.cancel()


def _give_up_after(transport: asyncio.Transport, seconds: float) -> None:
    """Let the system close a connection whose client takes nothing any more, where it can."""
    raw = transport.get_extra_info("socket")
    if raw is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
