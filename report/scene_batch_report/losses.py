"""Log loss and Brier score of any number of photos: means of scikit-learn's over some at a time."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, log_loss

_NUMBERS_AT_A_TIME = 1 << 20


class Losses(NamedTuple):
    """Both are means over photos, and need the probability of every class."""

    log_loss: float
    brier: float


class Losing:
    """Takes photos batch by batch, and holds none of them."""

    def __init__(self) -> None:
        self._sums, self._photos = np.zeros(2), 0

    def add(self, truth: npt.NDArray[np.int32], values: npt.NDArray[np.float32]) -> None:
        """Take photos: their classes, and their probabilities ``(photos, classes)``."""
        step = max(1, _NUMBERS_AT_A_TIME // values.shape[1])
        for begin in range(0, len(truth), step):
            part = values[begin : begin + step].astype(np.float64)
            part /= part.sum(axis=1, keepdims=True)
            some = truth[begin : begin + step]
            self._sums += len(some) * np.array(_losses(some, part))
            self._photos += len(some)

    def means(self) -> Losses | None:
        """Of all that was taken; None where there was nothing."""
        return Losses(*(self._sums / self._photos).tolist()) if self._photos else None


def _losses(truth: npt.NDArray[np.int32], values: npt.NDArray[np.float64]) -> tuple[float, float]:
    labels = np.arange(values.shape[1])
    # Of two classes scikit-learn takes the second alone.
    whole = values[:, 1] if len(labels) == 2 else values  # noqa: PLR2004
    brier = brier_score_loss(truth, whole, labels=labels, scale_by_half=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows that do not sum to one by a bit
        return float(log_loss(truth, values, labels=labels)), float(brier)
