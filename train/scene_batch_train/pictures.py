"""Plots of data and figures, as PNG files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from scene_batch.records import printable
from scene_batch_train.figures import BINS, Probabilities, Reliability, confusion
from scene_batch_train.photos import PhotoSet

_MISTAKES = 24
_MOST_LETTERS = 24
"""Of a file's name below a photo."""
_PAIRS = 15
_NUMBERS = ("learning_rate", "dropout")
_DPI = 110
mpl.rcParams["text.parse_math"] = False  # a class may be called $_$
_MOST_NAMED = 200
"""Classes whose names fit beside a matrix."""
_LARGE = 30
"""Classes up to which a matrix has room for numbers; more have small names."""


def learning_curves(rows: Sequence[Mapping[str, str]], out: Path) -> None:
    """Loss and accuracy of each epoch of every stage; ``rows`` are the lines of history.csv."""
    epochs = range(1, len(rows) + 1)
    with picture(out, 1, 2, width=10, height=4) as axes:
        for panel, figure in zip(axes, ("loss", "accuracy"), strict=True):
            for column in (figure, f"val_{figure}"):
                panel.plot(epochs, [float(row[column]) for row in rows], "o-", label=column)
            begins = next((i for i, r in enumerate(rows) if r["stage"] != rows[0]["stage"]), None)
            if begins is not None:
                stage = rows[begins]["stage"].replace("_", "-")
                panel.axvline(begins + 0.5, color="grey", linestyle=":", label=f"{stage} begins")
            panel.set(xlabel="epoch", title=figure)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.legend()


def confusion_matrix(
    probabilities: Probabilities,
    class_indices: npt.NDArray[np.int64],
    classes: Sequence[str],
    out: Path,
) -> None:
    """Labelled classes (rows) against the most probable ones (columns), in shares of a row."""
    counts = confusion(probabilities, class_indices)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(classes) <= _LARGE
    side = 2 + 0.6 * len(classes) if few else max(12, 2 + 0.13 * min(len(classes), _MOST_NAMED))
    with picture(out, 1, 1, width=side, height=side) as (panel,):
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        panel.set(xlabel="most probable class", ylabel="labelled class")
        if len(classes) <= _MOST_NAMED:
            size = None if few else 6
            panel.set_xticks(range(len(classes)), classes, rotation=90, fontsize=size)
            panel.set_yticks(range(len(classes)), classes, fontsize=size)
        if few:
            for (row, column), count in np.ndenumerate(counts):
                colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004
                panel.text(column, row, str(count), ha="center", va="center", color=colour)


def reliability_diagram(found: Reliability, out: Path) -> None:
    """How often a class is right, by its probability: on the diagonal it means what it says."""
    width = 1 / BINS
    left = np.arange(BINS) * width
    with picture(out, 2, 1, width=5, height=7) as (upper, lower):
        upper.bar(left, found.accuracy, width, align="edge", edgecolor="white")
        upper.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as it should be")
        upper.legend()
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        upper.set_title(f"calibration error {found.error:.4f}")
        lower.bar(left, found.photos, width, align="edge", edgecolor="white")
        lower.set(xlim=(0, 1), xlabel="probability", ylabel="photos")


def worst_mistakes(
    photos: PhotoSet,
    names: Sequence[str],
    probabilities: Probabilities,
    classes: Sequence[str],
    out: Path,
) -> None:
    """The wrong answers that the model was most sure of: hard photos, and wrong labels.

    Args:
        photos: The photos.
        names: Of their files; predictions.csv has the whole paths.
        probabilities: What the model says.
        classes: Their names.
        out: The file.
    """
    said = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != photos.class_indices)
    worst = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:_MISTAKES]
    columns = 6
    rows = max(1, math.ceil(len(worst) / columns))
    with picture(out, rows, columns, width=2 * columns, height=2.6 * rows, frames=False) as axes:
        for panel, photo in zip(axes, worst, strict=False):
            panel.imshow(photos.pixels[photo])
            name = printable(names[photo])
            short = name if len(name) <= _MOST_LETTERS else f"…{name[1 - _MOST_LETTERS :]}"
            where = panel.transAxes
            panel.text(0.5, -0.02, short, fontsize=7, transform=where, ha="center", va="top")
            label, answer = classes[photos.class_indices[photo]], classes[said[photo]]
            panel.set_title(
                f"{answer} {probabilities[photo].max():.2f}\nlabelled {label}", fontsize=8
            )


def class_counts(
    classes: Sequence[str], data: Mapping[str, int], test: Mapping[str, int], out: Path
) -> None:
    """Photos of each class, those for testing beside them."""
    places = np.arange(len(classes))
    with picture(out, 1, 1, width=8, height=1.5 + 0.3 * len(classes)) as (panel,):
        panel.barh(places, [data.get(name, 0) for name in classes], 0.4, label="data")
        if test:
            panel.barh(places + 0.4, [test.get(name, 0) for name in classes], 0.4, label="test")
            panel.legend()
        panel.set_yticks(places, classes)
        panel.invert_yaxis()
        panel.set(xlabel="photos")


def photo_sizes(sizes: Sequence[tuple[int, int]], out: Path) -> None:
    """Widths against heights, in pixels."""
    widths, heights = zip(*sizes, strict=True) if sizes else ((), ())
    with picture(out, 1, 1, width=6, height=6) as (panel,):
        panel.scatter(widths, heights, s=8, alpha=0.3)
        panel.set(xlabel="width", ylabel="height", xlim=(0, None), ylim=(0, None))


def trials(
    found: Sequence[tuple[Mapping[str, Any], float]], parameters: Sequence[str], out: Path
) -> None:
    """The validation loss of each trial by each parameter, and the best one so far."""
    losses = [loss for _, loss in found]
    with picture(out, 1, len(parameters) + 1, width=16, height=3.5) as axes:
        axes[0].plot(np.minimum.accumulate(losses), label="best so far")
        axes[0].plot(losses, "o", alpha=0.5, label="trial")
        axes[0].set(xlabel="trial", ylabel="validation loss")
        axes[0].legend()
        for panel, name in zip(axes[1:], parameters, strict=True):
            values = [parameters_of[name] for parameters_of, _ in found]
            panel.scatter(values if name in _NUMBERS else list(map(str, values)), losses)
            panel.set(xlabel=name)
            if name == "learning_rate":
                panel.set_xscale("log")


def pairs(found: Sequence[tuple[Path, Path, str]], out: Path) -> None:
    """The first pairs of photos, side by side."""
    shown = found[:_PAIRS]
    columns = 6
    rows = max(1, math.ceil(2 * len(shown) / columns))
    with picture(out, rows, columns, width=2 * columns, height=2.2 * rows, frames=False) as axes:
        for index, (first, second, title) in enumerate(shown):
            for panel, path in zip(axes[2 * index :], (first, second), strict=False):
                with Image.open(path) as image:
                    image.thumbnail((200, 200))
                    panel.imshow(image.convert("RGB"))
            axes[2 * index].set_title(title, fontsize=8)


@contextmanager
def picture(  # noqa: PLR0913
    out: Path, rows: int, columns: int, *, width: float, height: float, frames: bool = True
) -> Iterator[Sequence[Axes]]:
    """Panels, row by row, saved at the end; photos need no frames with numbers."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    yield panels
    for panel in panels:
        if not frames:
            panel.axis("off")
    with warnings.catch_warnings():  # a class may have a name that no font here can write
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(out, dpi=_DPI)
