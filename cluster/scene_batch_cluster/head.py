"""Whether a cluster's head is there: a minute after it is gone, Ray itself ends the process."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

PATIENCE_SECONDS = 40.0
"""Before Ray's own minute is over: a head that is restarted comes back within it."""
_ANSWER_SECONDS = 3.0


class Head:
    """The head's address, looked at now and then.

    Args:
        address: ``host:port``; empty where it is not known, and the head is taken for alive.
        clock: Seconds.
    """

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._address, self._clock = address, clock
        self._answered_at = clock()

    def answers(self) -> bool:
        """Whether it takes connections now."""
        host, _, port = self._address.rpartition(":")
        if not port.isdigit():
            return True
        try:
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
        except OSError:
            return False
        self._answered_at = self._clock()
        return True

    @property
    def is_gone(self) -> bool:
        """Whether it has not answered for too long."""
        return self._clock() - self._answered_at > PATIENCE_SECONDS
