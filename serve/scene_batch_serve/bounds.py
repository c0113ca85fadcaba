"""What requests may take: bytes, seconds, connections, photos."""

from __future__ import annotations

from dataclasses import dataclass

from scene_batch.memory import photo_memory

_BODIES = 4
"""Of the largest request so many are held at least, whatever memory there is."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What requests may take."""

    body: int = 32 << 20
    """Most bytes of a request."""
    body_seconds: float = 30.0
    """Seconds in which a request must have come."""
    head_seconds: float = 10.0
    """Seconds in which the head of a request must have come, and for an answer to be taken."""
    keep_alive: int = 15
    """Seconds that a connection is kept for a next request."""
    connections: int = 1000
    """Most connections; beyond them the one that has been idle longest is closed."""
    files: int = 32
    """Most photos of a request."""

    @property
    def held(self) -> int:
        """Most bytes of all requests together, from their first byte to their answer."""
        return max(photo_memory().ahead, _BODIES * self.body)


class Held:
    """Counts the bytes of requests that are held; for one thread."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0

    def take(self, size: int) -> bool:
        """Count bytes; False: there is no room for them."""
        if self.bytes + size > self.most:
            return False
        self.bytes += size
        return True

    def give_back(self, size: int) -> None:
        """They are held no more."""
        self.bytes -= size
