"""Scratch folders: those of the dead are removed, those of the living never."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from scene_batch.scratch import Scratch
from support import printed_by


def test_what_a_killed_process_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "scene-batch-not-ours").mkdir()
    code = """
import os, scene_batch.scratch as s
made = s.Scratch()
(made.path / "part").write_text("x")
print(made.path, flush=True)
os._exit(0)
"""
    dead = Path(printed_by(code).strip())
    assert dead.is_dir()
    first = Scratch()
    assert not dead.exists()
    second = Scratch()
    assert first.path.is_dir()
    for made in (first, second):
        made.remove()
    assert os.listdir(tmp_path) == ["scene-batch-not-ours"]
