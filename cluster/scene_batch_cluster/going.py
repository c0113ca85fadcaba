"""How far a job is on all machines, in one line."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from scene_batch_cluster.board import Running

_WINDOW_SECONDS = 30.0
"""The rate is that of so long."""


@dataclass(slots=True)
class Going:
    """What is done of a job, and how fast it goes."""

    photos: int
    """Of the whole job, when the plan was made."""
    shares: int
    shares_done: int = 0
    photos_done: int = 0
    """Of shares that are done."""
    running: list[Running] = field(default_factory=list)
    note: str = ""
    """Why nothing goes on; empty where it does."""
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def photos_so_far(self) -> int:
        """Of all shares."""
        return self.photos_done + sum(running.rows for running in self.running)

    @property
    def machines(self) -> int:
        """Nodes that work."""
        return len({running.node for running in self.running})

    @property
    def rate(self) -> float:
        """Photos a second, in the last half minute."""
        if len(self._seen) < 2:  # noqa: PLR2004 - between two moments
            return 0.0
        (begin, before), (end, after) = self._seen[0], self._seen[-1]
        return max(0.0, (after - before) / (end - begin)) if end > begin else 0.0

    def see(self, running: Iterable[Running]) -> None:
        """Take note of what runs now."""
        self.running = list(running)
        now = time.monotonic()
        self._seen.append((now, self.photos_so_far))
        while now - self._seen[0][0] > _WINDOW_SECONDS:
            self._seen.popleft()

    def __str__(self) -> str:
        """The line."""
        line = (
            f"{self.photos_so_far} of {self.photos} photos, {self.rate:.0f} photos/s,"
            f" {self.shares_done} of {self.shares} shares,"
            f" {self.machines} machine{'s'[: self.machines != 1]}"
        )
        return f"{line}; {self.note}" if self.note else line
