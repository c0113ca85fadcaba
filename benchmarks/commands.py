"""The command line under measurement, in a process of its own."""

from __future__ import annotations

import sys


def ours(*words: object) -> list[str]:
    """A command of scene-batch."""
    return [sys.executable, "-m", "scene_batch", *map(str, words)]
