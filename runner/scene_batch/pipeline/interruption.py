"""SIGINT and SIGTERM, taken where they do no harm."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from scene_batch.errors import Interrupted


def _signals() -> dict[int, int]:
    """The signals that end a command, each with the one that it counts as.

    Windows says SIGBREAK for Ctrl-Break, a window that is closed and a shutdown: its SIGTERM.
    """
    counts_as: dict[int, int] = {signal.SIGINT: signal.SIGINT, signal.SIGTERM: signal.SIGTERM}
    if sys.platform == "win32":
        counts_as[signal.SIGBREAK] = signal.SIGTERM
    return counts_as


class Interruption:
    """While entered, the first signal raises ``Interrupted``, but never inside ``held_off``.

    A second signal ends the process at once, with the same exit code: as safe as SIGKILL, since
    what is saved is saved.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._held_off = self._too_late = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals over."""
        # What is ignored stays so: a job in the background of a script, or under nohup.
        taken = [n for n in _signals() if signal.getsignal(n) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._take) for number in taken}
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """Finish what is inside before a signal counts."""
        self._held_off = True
        try:
            yield
        finally:
            self._held_off = False
        if self._number is not None and not self._too_late:
            raise Interrupted(self._number)

    def end(self) -> None:
        """Let no signal count any more: what is left takes a moment, and then all is done."""
        self._too_late = True

    def _take(self, number: int, _: FrameType | None) -> None:
        number = _signals()[number]
        if self._too_late:
            return
        if self._number is not None:
            os._exit(128 + number)
        self._number = number
        if not self._held_off:
            raise Interrupted(number)
