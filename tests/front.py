"""An HTTP front before a server, which makes the faults that networks and stores make."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from werkzeug.test import run_wsgi_app

from faults import Decide, Fault, Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server", "content-length"}


class Front:
    """A server on loopback that lets ``server`` answer, in this process, but for the faults."""

    def __init__(
        self,
        server: WSGIApplication | None = None,
        decide: Decide = lambda request: None,
        host: str = "127.0.0.1",
    ) -> None:
        self.decide = decide
        self.requests: list[Request] = []
        self.at_once = self.most_at_once = 0
        self._asked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._answers = server
        self._server = _Server((host, 0), self._handler())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._server.server_address[0]!s}:{self._server.server_address[1]}"

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

    def _ask(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The server's status, headers and body."""
        assert self._answers is not None, "it was to answer everything by faults"
        path, _, query = handler.path.partition("?")
        host, port = self._server.server_address[:2]
        environ = {
            "REQUEST_METHOD": handler.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path).encode().decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": handler.path,
            "REQUEST_URI": handler.path,
            "SERVER_NAME": str(host),
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in handler.headers.items():
            environ.setdefault(f"HTTP_{name.upper().replace('-', '_')}", value)
        content, status, headers = run_wsgi_app(self._answers, environ)
        return int(status.split()[0]), headers.to_wsgi_list(), b"".join(content)

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
        status, given, content = self._ask(handler, body)
        if fault.lose:
            handler.close_connection = True
            return
        if fault.body:
            content = fault.body(content)
        over = {name.lower() for name, _ in fault.headers}
        headers = [(name, value) for name, value in given if name.lower() not in _HOP | over]
        lengths = [value for name, value in given if name.lower() == "content-length"]
        length = lengths[0] if handler.command == "HEAD" and lengths else None
        self._send(handler, status, headers + list(fault.headers), content, fault, length)

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
