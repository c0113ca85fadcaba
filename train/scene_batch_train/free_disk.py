"""Whether there is room for what a training is about to write."""

from __future__ import annotations

from pathlib import Path

from scene_batch.errors import OutputError
from scene_batch.outputs.room import free


def refuse_full_disk(folder: Path, needed: int, remedy: str) -> None:
    """Refuse to begin what does not fit.

    Args:
        folder: Where it is to be.
        needed: Bytes.
        remedy: What to do.

    Raises:
        OutputError: There is not so much room.
    """
    room = free(folder)
    if room is not None and needed > room:
        raise OutputError(
            f"no room in {str(folder)!r}: {needed / 1e6:.1f} MB are needed, {room / 1e6:.1f} MB are"
            f" free; {remedy}, and the same command goes on after the last whole epoch"
        )
