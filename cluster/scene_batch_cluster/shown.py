"""What the command shows of a job: a bar or a line now and then, and what went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable

from scene_batch.cli.progress import LINE_SECONDS, Progress
from scene_batch_cluster.going import Going


class Shown(Progress):
    """A run's progress and summary, of many machines."""

    _at = 0.0

    def show(self, going: Going) -> None:
        """Show how far the job is, not too often."""
        if self._bar is not None:
            self._bar.total = max(going.photos, going.photos_so_far)
            self._bar.set_postfix_str(str(going).partition(", ")[2], refresh=False)
            self._bar.n = going.photos_so_far
            self._bar.refresh()
            return
        if time.monotonic() - self._at < LINE_SECONDS:
            return
        self._at = time.monotonic()
        self._say(
            str(going),
            event="progress",
            photos=going.photos_so_far,
            photos_per_second=round(going.rate, 1),
            shares=going.shares_done,
            machines=going.machines,
        )

    def show_lines(self, share: int, lines: Iterable[str]) -> None:
        """Show what the process of a failed share has said."""
        for line in lines:
            if line.strip():
                self._say(f"share {share}: {line.rstrip()}", event="log", share=share)
