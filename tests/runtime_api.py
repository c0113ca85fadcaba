"""AWS Lambda's Runtime API, for a function in a process of its own: events in, answers out."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support import process_environment, started

_VERSION = "/2018-06-01/runtime/"


@dataclass
class RuntimeApi:
    """The side of Lambda."""

    events: queue.Queue[bytes] = field(default_factory=queue.Queue)
    told: queue.Queue[tuple[str, Any]] = field(default_factory=queue.Queue)
    """``response`` or ``error`` or ``init``, and what came with it."""
    pid: int = 0
    """The function's process."""

    def invoke(self, event: object) -> tuple[str, Any]:
        """Hand an event to the function, and wait for what it tells."""
        self.events.put(event if isinstance(event, bytes) else json.dumps(event).encode())
        return self.told.get(timeout=30)

    def answer(self, event: object) -> Any:
        """The answer to an event."""
        kind, values = self.invoke(event)
        assert kind == "response", values
        return values


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: RuntimeApi

    def do_GET(self) -> None:
        event = self.api.events.get()
        deadline = str(int((time.time() + 60) * 1000))
        self._answer(
            200,
            event,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": "1",
                "Lambda-Runtime-Deadline-Ms": deadline,
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:f",
            },
        )

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length) if length else self._chunks()
        kind = "init" if "/init/" in self.path else self.path.rpartition("/")[2]
        self._answer(202, b"{}", {})
        self.api.told.put((kind, json.loads(data)))

    def _chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def lambda_function(**variables: str) -> Iterator[RuntimeApi]:
    """The function, run by AWS' own runtime client."""
    api = RuntimeApi()
    handler = type("Handler", (_Handler,), {"api": api})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        environment = process_environment(
            {
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_address[1]}",
                "AWS_LAMBDA_FUNCTION_NAME": "f",
                **variables,
            }
        )
        words = [sys.executable, "-m", "awslambdaric", "scene_batch_serve.lambda_handler.handler"]
        with started(words, environment=environment) as process:
            api.pid = process.pid
            yield api
            process.kill()
            process.wait()
        server.shutdown()
        thread.join()
