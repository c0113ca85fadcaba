"""Which share is tried when, how often, and where not; plain counting, without Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from scene_batch.errors import SceneBatchError

STORM_SECONDS = (30.0, 300.0)
"""How long no share is begun after a storm: the first time, and at most."""
BUSY_SECONDS = (1.0, 30.0)
"""How long a share waits whose old attempt is still alive: the first time, and at most."""


class ShareFailedError(SceneBatchError):
    """A share was tried as often as allowed; what the others did is kept."""


@dataclass(slots=True)
class Share:
    """A share that is not done yet."""

    number: int
    attempts: int = 0
    """Begun and ended by a fault of their own."""
    busy: int = 0
    """How often in a row an old attempt was in the way."""
    not_before: float = 0.0
    failed_on: set[str] = field(default_factory=set)
    """Machines that it failed on."""


class Attempts:
    """The shares that are left: in order, those that failed behind the others."""

    def __init__(
        self, left: Iterable[int], most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._waiting = deque(Share(number) for number in left)
        self._most, self._clock = most, clock
        self._storms = 0
        self._calm_at = 0.0

    def __len__(self) -> int:
        """Shares that wait."""
        return len(self._waiting)

    @property
    def pause(self) -> float:
        """Seconds until shares may begin again after a storm."""
        return max(0.0, self._calm_at - self._clock())

    def take(self) -> Share | None:
        """The next share that may begin now."""
        if self.pause:
            return None
        now = self._clock()
        for _ in range(len(self._waiting)):
            share = self._waiting.popleft()
            if share.not_before <= now:
                return share
            self._waiting.append(share)
        return None

    def put_back(self, share: Share) -> None:
        """Let a share that has not begun be the next one."""
        self._waiting.appendleft(share)

    def done(self) -> None:
        """A share is done: if there was a storm, it is over."""
        self._storms = 0

    def lost(self, share: Share, machine: str | None, cause: str) -> None:
        """A share has failed: it is tried again, elsewhere.

        Raises:
            ShareFailedError: It was tried as often as allowed.
        """
        share.attempts += 1
        share.busy = 0
        if machine is not None:
            share.failed_on.add(machine)
        if share.attempts >= self._most:
            times = f"{share.attempts} time{'s'[: share.attempts != 1]}"
            raise ShareFailedError(
                f"share {share.number} has failed {times}: {cause}; what is done is kept: mend"
                " that, and the same command continues"
            )
        self._waiting.append(share)

    def storm(self, share: Share, machine: str | None, cause: str) -> None:
        """Storage fails the reads of a share: no share begins for a while; raises like ``lost``."""
        self.lost(share, machine, cause)
        first, longest = STORM_SECONDS
        self._calm_at = self._clock() + min(first * 2**self._storms, longest)
        self._storms += 1

    def in_the_way(self, share: Share) -> None:
        """An old attempt of a share is still alive: wait for its end."""
        first, longest = BUSY_SECONDS
        share.not_before = self._clock() + min(first * 2**share.busy, longest)
        share.busy += 1
        self._waiting.append(share)
