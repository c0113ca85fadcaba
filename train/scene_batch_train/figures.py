"""Figures of a classifier on labelled photos: how often it is right, and whether it knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 15
"""Of equal width, for the calibration error: as usual since Guo et al. 2017."""

Probabilities = npt.NDArray[np.float32]
"""``float32 (photos, classes)``."""


def accuracy(probabilities: Probabilities, class_indices: npt.NDArray[np.int64]) -> float:
    """The share of photos whose most probable class is the labelled one."""
    return float((probabilities.argmax(axis=1) == class_indices).mean())


def top_k_accuracy(
    probabilities: Probabilities, class_indices: npt.NDArray[np.int64], k: int
) -> float:
    """The share of photos whose labelled class is among the ``k`` most probable ones."""
    own = np.take_along_axis(probabilities, class_indices[:, None], axis=1)
    return float(((probabilities > own).sum(axis=1) < k).mean())


def interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``count`` (Wilson 1927; Brown et al. 2001, equation 4)."""
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = share * (1 - share) / count + z * z / (4 * count * count)
    half = z * math.sqrt(spread) / (1 + z * z / count)
    return middle - half, middle + half


@dataclass(frozen=True, slots=True)
class Reliability:
    """Photos in bins of equal width by the probability of their most probable class."""

    photos: npt.NDArray[np.int64]
    """In each bin, int64 ``(BINS,)``."""
    probability: npt.NDArray[np.float64]
    """The mean in each bin; 0 where there is no photo."""
    accuracy: npt.NDArray[np.float64]
    """The share in each bin whose class is right; 0 where there is no photo."""

    @property
    def error(self) -> float:
        """The expected calibration error (Guo et al. 2017, On calibration, equation 5)."""
        gaps = np.abs(self.probability - self.accuracy)
        return float((self.photos * gaps).sum() / self.photos.sum())


def reliability(probabilities: Probabilities, class_indices: npt.NDArray[np.int64]) -> Reliability:
    """Compare probabilities with how often they come true."""
    most = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == class_indices
    bins = np.minimum((most * BINS).astype(np.int64), BINS - 1)
    photos = np.bincount(bins, minlength=BINS)
    some = np.maximum(photos, 1)
    return Reliability(
        photos,
        np.bincount(bins, weights=most, minlength=BINS) / some,
        np.bincount(bins, weights=right, minlength=BINS) / some,
    )


def confusion(
    probabilities: Probabilities, class_indices: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Count photos by labelled class (rows) and most probable class (columns)."""
    classes = probabilities.shape[1]
    pairs = class_indices * classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def figures(
    probabilities: Probabilities,
    class_indices: npt.NDArray[np.int64],
    classes: Sequence[str],
    top_k: int,
) -> dict[str, Any]:
    """All figures, as they are written to metrics.json.

    Precision, recall and F1 are 0 where they are not defined: a class that was never said, or is
    never there.
    """
    counts = confusion(probabilities, class_indices)
    right, there, said = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    precision, recall = right / np.maximum(said, 1), right / np.maximum(there, 1)
    f1 = 2 * right / np.maximum(there + said, 1)
    own = np.take_along_axis(probabilities, class_indices[:, None], axis=1)
    return {
        "accuracy": _rounded(right.sum() / counts.sum()),
        "accuracy_interval": [
            _rounded(end) for end in interval(right.sum() / counts.sum(), len(class_indices))
        ],
        f"top_{top_k}_accuracy": _rounded(top_k_accuracy(probabilities, class_indices, top_k)),
        "macro_f1": _rounded(f1.mean()),
        "loss": _rounded(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean()),
        "calibration_error": _rounded(reliability(probabilities, class_indices).error),
        "photos": len(class_indices),
        "per_class": {
            name: {
                "precision": _rounded(precision[index]),
                "recall": _rounded(recall[index]),
                "f1": _rounded(f1[index]),
                "photos": int(there[index]),
            }
            for index, name in enumerate(classes)
        },
        "confusion": counts.tolist(),
    }


def _rounded(value: float) -> float:
    return round(float(value), 4)
