"""The smallest Xception that tests train and export: its own blocks, fewer of them, and narrow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scene_batch_train.recipe import XCEPTION_SMALLEST, Recipe

if TYPE_CHECKING:
    import keras

SIDE = XCEPTION_SMALLEST
_SIZE: dict[str, Any] = {"width_multiplier": 1 / 8, "middle_blocks": 0}
SMALL: dict[str, Any] = {"weights": "none", "height": SIDE, "width": SIDE} | _SIZE
"""What makes a config one of the small network, from random weights."""
_WHOLE: dict[str, Any] = {"width_multiplier": 1.0, "middle_blocks": 8}
_SIZE_OF_ALL = _WHOLE if os.environ.get("SCENE_BATCH_TEST_XCEPTION") == "whole" else {}
"""What `make nightly` sets: the size of every config here, whatever the test says."""


def small_recipe(**settings: Any) -> Recipe:
    """Such a config; a quarter of the photos is held back."""
    return Recipe(**(SMALL | {"validation": 0.25} | settings | _SIZE_OF_ALL))


def small_network(classes: int, dropout: float = 0.0, inner: int = 0, **size: Any) -> keras.Model:
    """The small network, untrained; ``size`` replaces its width or its depth."""
    from scene_batch_train import network

    return network.build(SIDE, SIDE, classes, dropout, inner, **(_SIZE | size))


def save_settled_weights(path: Path) -> Path:
    """Save random weights whose batch norms know what goes through them, as trained ones do.

    Keras' initial batch norms take every variance for 1. Behind a frozen base it is far smaller,
    and the top would learn for some hundred steps before what it learns is seen in its answers.
    """
    import keras

    from scene_batch_train import network

    keras.utils.set_random_seed(8)
    model = small_network(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(np.random.default_rng(8).integers(0, 256, (16, SIDE, SIDE, 3), np.uint8), training=True)
    arrays = {
        f"{name}/{index}": array
        for name, layer in network.named_layers(model).items()
        for index, array in enumerate(layer.get_weights())
    }
    np.savez(path, **arrays)
    return path
