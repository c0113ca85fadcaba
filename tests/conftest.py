"""Fixtures that every room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from scene_batch.classifier import Classifier
from support import save_colour_model, save_shade


@pytest.fixture(scope="session")
def colour_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file whose answers are known: the colour of a photo."""
    return save_colour_model(tmp_path_factory.mktemp("model") / "colours.onnx")


@pytest.fixture(scope="session")
def colours(colour_model: Path) -> Classifier:
    """That model, ready."""
    return Classifier.load(colour_model, provider="cpu")


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty photos in three folders, each with probabilities of its own, two of them broken."""
    folder = tmp_path_factory.mktemp("album")
    for number in range(30):
        save_shade(folder / f"day{number % 3}" / f"{number:02}.png", number)
    (folder / "day1" / "07.png").write_bytes(b"")
    (folder / "day2" / "17.png").write_bytes(b"no photo at all")
    return folder
