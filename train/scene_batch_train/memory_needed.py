"""Whether a training fits into the memory, seen before the hours that would end by being killed."""

from __future__ import annotations

import math

import keras

from scene_batch.errors import TrainingError
from scene_batch.memory import usable_memory
from scene_batch_train.recipe import Recipe

_BASE = 1_000_000_000
"""Bytes of the process without a network: TensorFlow's libraries, mostly."""
_OF_A_WEIGHT = 16
"""Bytes: the weight, its gradient, and the optimizer's two means, float32."""
_OF_A_NUMBER = {"float32": 4}
"""Bytes of a number between two layers; two by the mixed policies."""


def check_memory(model: keras.Model, recipe: Recipe) -> int:
    """Refuse a fine-tuning that cannot fit into this machine's or container's memory.

    What is counted must be there at least: each layer's output is kept for the gradients. Measured
    (192x192, batches of 32): 4.6 GB counted and 5.6 GB taken in float32, 3.0 and 4.0 GB in
    bfloat16.

    Args:
        model: The whole network.
        recipe: The config.

    Returns:
        Bytes that are needed at least; 0 where nothing is fine-tuned.

    Raises:
        TrainingError: They are more than there are.
    """
    if not recipe.fine_tune.epochs:
        return 0
    numbers: int = sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    size = _OF_A_NUMBER.get(keras.config.dtype_policy().name, 2)
    kept = numbers * size * recipe.fine_tune.batch_size
    needed, usable = _BASE + int(model.count_params()) * _OF_A_WEIGHT + kept, usable_memory()
    if needed > usable:
        raise TrainingError(
            f"fine-tuning at {recipe.width}x{recipe.height} pixels with batch_size ="
            f" {recipe.fine_tune.batch_size} needs at least {needed / 1e9:.1f} GB of memory, and"
            f" {usable / 1e9:.1f} GB are there; make batch_size, height and width smaller"
        )
    return needed
