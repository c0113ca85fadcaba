"""An HTTP front before a server, which makes the faults that networks and stores make."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server", "content-length"}


@dataclass(frozen=True)
class Request:
    """What a fault is decided by."""

    method: str
    path: str
    """Decoded, without the query."""
    query: str
    number: int
    """How often this method and path were asked for before."""
    total: int
    """Requests before this one."""
    headers: dict[str, str]

    @property
    def is_photo(self) -> bool:
        """Whether it asks for a photo's bytes."""
        return self.method == "GET" and self.path.lower().endswith((".jpg", ".png"))


@dataclass(frozen=True)
class Fault:
    """What becomes of a request."""

    status: int | None = None
    """Answered at once with this, and ``code`` as S3 would say it."""
    code: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    """Seconds until the first byte."""
    sent: float = 1.0
    """Share of the body that is sent."""
    stall: float = 0.0
    """Seconds before the connection is closed, with the rest of the body owed."""
    drip: float = 0.0
    """Seconds between the body's bytes."""
    drop: bool = False
    """Closed without an answer."""
    lose: bool = False
    """Done by the server, and then closed without an answer."""
    chunked: bool = False
    """Sent in chunks, without a length."""
    declared: int = 0
    """Added to Content-Length; the body is cut to it where it is less."""
    body: Callable[[bytes], bytes] | None = None
    """Makes another body of the one that the server sends."""
    content: bytes | None = None
    """The body of an answer with ``status``."""


Decide = Callable[[Request], Fault | None]


def slow_down(status: int = 503, code: str = "SlowDown") -> Fault:
    """What S3 says under load."""
    return Fault(status, code)


CUT = Fault(sent=0.5)
"""The connection breaks in the middle of the body."""


class Front:
    """A server on loopback that hands requests on to ``upstream``, but for the faults."""

    def __init__(self, upstream: str, decide: Decide = lambda request: None) -> None:
        self.decide = decide
        self.requests: list[Request] = []
        self.at_once = self.most_at_once = 0
        self._asked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._upstream = urlsplit(upstream).netloc
        self._local = threading.local()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def photos(self) -> list[Request]:
        """The requests for photos' bytes."""
        return [request for request in self.requests if request.is_photo]

    def __enter__(self) -> Front:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._lock:
                self.at_once -= 1

    def _note(self, handler: BaseHTTPRequestHandler) -> Request:
        parts = urlsplit(handler.path)
        path = unquote(parts.path)
        with self._lock:
            request = Request(
                handler.command,
                path,
                parts.query,
                self._asked[handler.command, path],
                len(self.requests),
                dict(handler.headers),
            )
            self._asked[handler.command, path] += 1
            self.requests.append(request)
        return request

    def _ask(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[Any, bytes]:
        """The upstream's answer, over a connection that this thread keeps."""
        headers = {k: v for k, v in handler.headers.items() if k.lower() != "connection"}
        for attempt in range(2):
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = http.client.HTTPConnection(self._upstream)
            try:
                connection.request(handler.command, handler.path, body, headers)
                response = connection.getresponse()
                return response, response.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                self._local.connection = None
                if attempt:
                    raise
        raise AssertionError

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = front._note(self)
                with front._counted(), suppress(ConnectionError):
                    front._answer(self, front.decide(request) or Fault(), body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler, fault: Fault, body: bytes) -> None:
        if fault.delay and self._closing.wait(fault.delay):
            return
        if fault.drop:
            handler.close_connection = True
            return
        if fault.status is not None:
            error = f"<Error><Code>{fault.code}</Code><Message>m</Message></Error>".encode()
            text = error if fault.content is None else fault.content
            headers = list(fault.headers)
            self._send(handler, fault.status, headers, text, replace(fault, sent=1.0))
            return
        response, content = self._ask(handler, body)
        if fault.lose:
            handler.close_connection = True
            return
        if fault.body:
            content = fault.body(content)
        over = {name.lower() for name, _ in fault.headers}
        headers = [
            (name, value)
            for name, value in response.getheaders()
            if name.lower() not in _HOP | over
        ]
        length = response.getheader("Content-Length") if handler.command == "HEAD" else None
        self._send(handler, response.status, headers + list(fault.headers), content, fault, length)

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        fault: Fault,
        length: str | None = None,
    ) -> None:
        declared = max(0, len(content) + fault.declared)
        handler.send_response_only(status)
        for name, value in headers:
            handler.send_header(name, value)
        if fault.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content))
            return
        handler.send_header("Content-Length", length or str(declared))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        content = content[: int(len(content) * fault.sent)][:declared]
        for number in range(len(content) if fault.drip else 0):
            handler.wfile.write(content[number : number + 1])
            handler.wfile.flush()
            if self._closing.wait(fault.drip):
                return
        if not fault.drip:
            handler.wfile.write(content)
        handler.wfile.flush()
        if len(content) < declared:
            if fault.stall:
                self._closing.wait(fault.stall)
            handler.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


def some(share: float, fault: Fault, seed: int = 0) -> Decide:
    """That fault for a share of the photos' requests, spread by their number."""
    every = round(1 / share)

    def decide(request: Request) -> Fault | None:
        return fault if request.is_photo and (request.total + seed) % every == 0 else None

    return decide
