"""One try at decoding a photo, which may be given up while it goes on."""

from __future__ import annotations

import time
from typing import IO, NamedTuple

from scene_batch.memory import Budget


class Attempt:
    """What a thread that decodes a photo shares with the one that watches the time."""

    __slots__ = ("given_up", "since")

    def __init__(self) -> None:
        self.since: float | None = None
        """When it began, by the monotonic clock; None while it waits for memory."""
        self.given_up = False
        """Whether nobody waits for it any more; it should end soon."""

    def begin(self) -> None:
        """Start the clock."""
        self.since = time.monotonic()

    def go_on(self) -> None:
        """Raise OSError if it was given up."""
        if self.given_up:
            raise OSError("given up")


class Limits(NamedTuple):
    """What a try at a photo may take."""

    budget: Budget
    """Where its memory comes from."""
    attempt: Attempt

    def take(self, need: int) -> None:
        """Take memory; the time until then does not count."""
        self.attempt.since = None
        self.budget.take(need)
        self.attempt.begin()


class StoppableFile:
    """A file whose reads end a decoder that was given up: most get 64 KiB at a time."""

    def __init__(self, file: IO[bytes], attempt: Attempt) -> None:
        self._file, self._attempt = file, attempt
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        """Read on.

        Raises:
            OSError: The attempt was given up.
        """
        self._attempt.go_on()
        return self._file.read(size)
