"""A server in a process of its own, and what speaks to it: whole requests, or bytes as they are."""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

from support import command, started

HERE = "127.0.0.1"
BOUNDARY = "--of-the-test"


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.data)

    @property
    def code(self) -> str:
        """Of an error."""
        return str(self.json["error"]["code"])


@dataclass
class Served:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HERE}:{self.port}"

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        kind: str = "image/png",
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> Answer:
        """Ask over a connection of its own."""
        connection = HTTPConnection(HERE, self.port, timeout=seconds)
        try:
            sent = {**({} if body is None else {"Content-Type": kind}), **(headers or {})}
            connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    def predict(self, body: bytes, kind: str = "image/png", **more: Any) -> Answer:
        """Ask for a photo's class."""
        return self.ask("/predict", body, kind, **more)

    @contextmanager
    def connection(self, sent: bytes = b"") -> Iterator[socket.socket]:
        """A connection by which bytes were sent."""
        with socket.create_connection((HERE, self.port), timeout=30) as raw:
            raw.sendall(sent)
            yield raw

    def told(self, data: bytes, *, seconds: float = 30.0) -> bytes:
        """What comes back for bytes until the connection is closed."""
        with self.connection() as raw:
            raw.settimeout(seconds)
            got = b""
            try:
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR) if not data else None
                while part := raw.recv(1 << 16):
                    got += part
            except ConnectionError:
                pass
            return got


def form(*photos: bytes, **fields: str) -> tuple[bytes, str]:
    """A form with photos and other fields, and its Content-Type."""
    parts = [('name="file"; filename="a.png"\r\nContent-Type: image/png', p) for p in photos]
    parts += [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    return body + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


@contextmanager
def serving(*options: str, **environment: Any) -> Iterator[Served]:
    """A server of ``scene-batch serve``, at a port that was free."""
    words = command("serve", "--port", "0", *options)
    with started(words, stderr=subprocess.PIPE, **environment) as process:
        lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        server = Served(process, 0)

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                try:
                    values = json.loads(line)
                except ValueError:
                    values = {"event": "text", "text": line.decode()}
                server.logs.append(values)
                lines.put(values)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        first = lines.get(timeout=60)
        assert first["event"] == "serving", first
        server.port = int(first["url"].rpartition(":")[2])
        yield server
        process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()
