"""What a training run computes with: a GPU where Keras' backend has one."""

from __future__ import annotations

import keras


def has_gpu() -> bool:
    """Whether Keras' backend has a GPU; TensorFlow is told to take its memory bit by bit."""
    if keras.backend.backend() == "torch":
        import torch

        return bool(torch.cuda.is_available())
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() == "gpu")
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        if not tf.config.experimental.get_memory_growth(gpu):  # a GPU in use cannot be told
            tf.config.experimental.set_memory_growth(gpu, enable=True)
    return bool(gpus)


def policy(precision: str, gpu: bool) -> str:
    """Keras' dtype policy for a recipe's precision."""
    if precision != "auto":
        return precision
    return "mixed_float16" if gpu else "float32"
