"""The server: from a socket to its end, which a signal brings about in peace."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from scene_batch.errors import UsageError
from scene_batch_serve.bounds import Bounds
from scene_batch_serve.connections import Connections
from scene_batch_serve.intake import Intake
from scene_batch_serve.logs import log, request_id, take_over_logging
from scene_batch_serve.problems import Problem
from scene_batch_serve.service import Service

_NOTICE_SECONDS = 1.0
"""After SIGTERM requests are taken for so long: who sends them must notice that we end."""
_LAST_SECONDS = 6
"""Then what is in hand has so long to be answered."""
_LONGEST_HEAD = 16 << 10
_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if sys.platform == "win32":
    _SIGNALS.append(signal.SIGBREAK)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket of a server.

    Raises:
        UsageError: Nothing can listen there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address, family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"cannot listen at {host} port {port}: {error}; name another --host or --port"
        ) from None


class Server(uvicorn.Server):
    """Runs an application until a signal comes."""

    def __init__(self, app: ASGIApp, service: Service, intake: Intake, bounds: Bounds) -> None:
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        logging.getLogger("uvicorn").propagate = False
        take_over_logging()
        self._figures = service.figures
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=Connections(bounds, self._refused),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=bounds.keep_alive,
                timeout_graceful_shutdown=_LAST_SECONDS,
                h11_max_incomplete_event_size=_LONGEST_HEAD,
            )
        )
        self._service, self._intake = service, intake
        self._end_at: float | None = None
        self.begun: Callable[[], None] = lambda: None
        """Is called when requests are taken, and signals, too."""

    def _refused(self, status: int, problem: Problem) -> None:
        """Count and log what is refused before it is a request."""
        self._figures.request("other", status)
        log("request", id=request_id(None), status=status, code=problem.code)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the end."""
        asyncio.run(self.serve(sockets))

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take signals over; what is ignored stays so."""
        taken = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal ends the process at once."""
        if self._end_at is not None:
            os._exit(128 + sig)
        self._service.stopping = True
        notice = 0.0 if sig == signal.SIGINT else _NOTICE_SECONDS
        self._end_at = time.monotonic() + notice

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests."""
        await super().startup(sockets)
        self.begun()

    async def on_tick(self, counter: int) -> bool:
        """Look whether it is time to end."""
        if self._end_at is not None and time.monotonic() >= self._end_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is in hand."""
        log("stopping", in_hand=len(self.server_state.tasks))
        self._intake.end()
        await super().shutdown(sockets)
