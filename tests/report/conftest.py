"""What the tests of the report room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from sorted_photos import save_album


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with photos, and a place to sort them to."""
    save_album(tmp_path / "photos")
    return tmp_path
