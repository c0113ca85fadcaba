"""One connection to a server of the web, whose time is bounded as a whole."""

from __future__ import annotations

import io
import socket
import time
import weakref
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import SplitResult

from scene_batch.object_store.networks import Place


class Connection:
    """A connection that speaks HTTP."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def ask(self, parts: SplitResult, place: Place, headers: Mapping[str, str]) -> HTTPResponse:
        """Send a request, and read the head of the answer."""
        name = f"[{place.host}]" if ":" in place.host else place.host
        port = "" if parts.port is None else f":{parts.port}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if place.is_proxied and not place.is_encrypted:
            target = f"http://{name}{port}{target}"
        speaker = HTTPConnection(place.host)
        speaker.sock = self.stream
        speaker.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        speaker.putheader("Host", f"{name}{port}")
        speaker.putheader("User-Agent", "scene-batch")
        speaker.putheader("Accept", "*/*")
        for header, value in headers.items():
            speaker.putheader(header, value)
        speaker.endheaders()
        answer = HTTPResponse(self.stream, method="GET")  # type: ignore[arg-type]
        answer.begin()
        return answer

    def close(self) -> None:
        """Hang up."""
        self.stream.close()


class Stream:
    """A socket whose reads end when the time of the whole request is over."""

    def __init__(self, raw: socket.socket, idle: float) -> None:
        self._raw, self._idle, self.until = raw, idle, 0.0
        weakref.finalize(self, raw.close)  # with the reader that kept it

    def _begin(self) -> None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._raw.settimeout(min(self._idle, left))

    def sendall(self, data: bytes) -> None:
        """Send."""
        self._begin()
        self._raw.sendall(data)

    def recv_into(self, buffer: memoryview) -> int:
        """Receive."""
        self._begin()
        return self._raw.recv_into(buffer)

    def makefile(self, *_: object) -> io.BufferedReader:
        """What HTTPResponse reads from."""
        return io.BufferedReader(_Received(self), 1 << 16)

    def close(self) -> None:
        """Close the socket."""
        self._raw.close()


class _Received(io.RawIOBase):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._stream.recv_into(buffer)
