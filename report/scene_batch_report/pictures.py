"""Pictures of an evaluation: the confusion matrix, reliability, and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

_MOST_CLASSES = 30
"""More classes than these are drawn without their names and numbers."""


def draw(
    found: Mapping[str, Any],
    coverage: Sequence[Mapping[str, float]],
    classes: list[str],
    folder: Path,
) -> list[Path]:
    """Draw the pictures into a folder, and return their paths."""
    mpl.use("agg")
    with mpl.rc_context({"text.parse_math": False}):  # a class may be called $x$
        return [
            _confusion(found, classes, folder / "confusion.png"),
            _reliability(found, folder / "reliability.png"),
            _coverage(coverage, folder / "coverage.png"),
        ]


def _confusion(found: Mapping[str, Any], classes: list[str], path: Path) -> Path:
    from matplotlib import pyplot as plt

    counts = np.array(found["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(classes) <= _MOST_CLASSES
    side = 2.5 + (0.5 * len(classes) if few else 12)
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="class said", ylabel="true class")
    if few:
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        for row, line in enumerate(counts):
            for column, count in enumerate(line):
                if count:
                    colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004
                    axes.text(column, row, str(count), ha="center", va="center", color=colour)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


def _reliability(found: Mapping[str, Any], path: Path) -> Path:
    from matplotlib import pyplot as plt

    bins = found["reliability"]
    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", label="as it should be")
    axes.plot(
        [each["probability"] for each in bins],
        [each["accuracy"] for each in bins],
        marker="o",
        label=f"calibration error {found['calibration_error']:.4f}",
    )
    axes.set(xlabel="probability", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


def _coverage(curve: Sequence[Mapping[str, float]], path: Path) -> Path:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([each["coverage"] for each in curve], [each["accuracy"] for each in curve])
    axes.set(xlabel="share of the photos, surest first", ylabel="share that is right", xlim=(0, 1))
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path
