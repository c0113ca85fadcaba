"""Pictures of many classes, and of classes with odd names."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from scene_batch_train import pictures


@pytest.mark.parametrize("classes", [6, 102])
def test_the_classes_of_a_confusion_are_named(
    classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    names = [f"flower {number}" for number in range(classes)]
    pictures.confusion_matrix(
        np.eye(classes, dtype="f4"), np.arange(classes), names, tmp_path / "c.png"
    )
    (panel,) = drawn[0].axes
    for axis in (panel.xaxis, panel.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == names


def test_names_that_no_font_can_write_are_no_noise(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.confusion_matrix(
            np.eye(2, dtype="f4"), np.arange(2), ["🌊", "山"], tmp_path / "c.png"
        )
