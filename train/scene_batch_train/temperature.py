"""Probabilities that mean what they say: one temperature for all logits, and folded into them."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from scene_batch_train.network import LOGITS

_LOWEST, _HIGHEST = 0.05, 20.0


def fit_temperature(
    logits: npt.NDArray[np.floating], class_indices: npt.NDArray[np.int64]
) -> float:
    """Find the temperature with the smallest loss (Guo et al. 2017, On calibration, section 4.2).

    Args:
        logits: Of photos that were not trained on, ``(photos, classes)``.
        class_indices: Their labelled classes, int64 ``(photos,)``.

    Returns:
        The divisor of the logits: above 1 where the network is too sure of itself. At most 20 and
        at least 0.05, where few photos are all right or all wrong.
    """
    exact = logits.astype(np.float64)
    photos = np.arange(len(class_indices))

    def loss(log_temperature: float) -> float:
        own = log_softmax(exact / np.exp(log_temperature), axis=1)[photos, class_indices]
        return -float(own.mean())

    bounds = (np.log(_LOWEST), np.log(_HIGHEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def fold_temperature(model: keras.Model, temperature: float) -> None:
    """Divide the network's logits by a temperature, in its weights: it costs nothing to run."""
    layer = model.get_layer(LOGITS)
    layer.set_weights([weights / temperature for weights in layer.get_weights()])


def logits_of(model: keras.Model) -> keras.Model:
    """The network up to its logits, sharing its layers."""
    return keras.Model(model.input, model.get_layer(LOGITS).output)
