"""The faults that networks and stores make, and the requests that they are decided by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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


def some(share: float, fault: Fault, seed: int = 0) -> Decide:
    """That fault for a share of the photos' requests, spread by their number."""
    every = round(1 / share)

    def decide(request: Request) -> Fault | None:
        return fault if request.is_photo and (request.total + seed) % every == 0 else None

    return decide


class Kill:
    """Lets so many writes and removals pass; nothing after them is done."""

    def __init__(self, writes: int) -> None:
        self._left = writes

    @property
    def struck(self) -> bool:
        """Whether there were more of them."""
        return self._left < 0

    def __call__(self, request: Request) -> Fault | None:
        """Decide."""
        self._left -= request.method in ("PUT", "POST", "DELETE")
        return Fault(400, "Killed") if self.struck else None
