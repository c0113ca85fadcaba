"""A cache of fetched files, and patience that ends soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from scene_batch.object_store import download


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of things in an empty cache."""
    monkeypatch.setenv("SCENE_BATCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "things"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is down is given up soon."""
    monkeypatch.setattr(download, "FIRST_SECONDS", 0.3)
    monkeypatch.setattr(download, "RETRY_SECONDS", 0.3)
    monkeypatch.setattr(download, "TRIES", 2)
