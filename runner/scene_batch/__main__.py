"""``python -m scene_batch``: the command ``scene-batch``."""

from __future__ import annotations

from scene_batch.cli import program

if __name__ == "__main__":
    program()
