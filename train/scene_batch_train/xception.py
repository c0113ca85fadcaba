"""Xception's convolutions, of any width and depth: Chollet 2017, arXiv:1610.02357, figure 5.

At width 1 and with eight middle blocks it is keras.applications.Xception without its top, layer for
layer; that one takes neither, and only numbers the convolutions beside its blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from scene_batch_train.recipe import XCEPTION_MIDDLE_BLOCKS

RESIDUALS = ("block2_residual", "block3_residual", "block4_residual", "block13_residual")
"""The convolutions beside the blocks that halve height and width; ``_bn`` follows each."""

_FILTERS_STEP = 8


def middle_names(middle_blocks: int) -> list[str]:
    """The names of the blocks between entry (block1 to 4) and exit (block13 and 14).

    Where there are fewer than eight, the last ones are missing.
    """
    return [f"block{5 + index}" for index in range(middle_blocks)]


def convolutions(
    image: keras.KerasTensor,
    width_multiplier: float = 1.0,
    middle_blocks: int = XCEPTION_MIDDLE_BLOCKS,
) -> keras.KerasTensor:
    """Apply the network to photos.

    Args:
        image: ``(N, height, width, 3)``, -1 to 1.
        width_multiplier: What the number of each convolution's filters is multiplied by; the
            product becomes the nearest multiple of 8, which processors like best, and at least 8.
        middle_blocks: How many, 0 to 8.

    Returns:
        The features, ``(N, h, w, filters)``, 2048 filters at width 1.
    """

    def wide(filters: int) -> int:
        return _FILTERS_STEP * max(1, round(width_multiplier * filters / _FILTERS_STEP))

    x = _convolve(image, wide(32), "block1_conv1", strides=2)
    x = _relu(x, "block1_conv1_act")
    x = _convolve(x, wide(64), "block1_conv2")
    x = _relu(x, "block1_conv2_act")
    x = _halving_block(x, (wide(128), wide(128)), "block2", first_relu=False)
    x = _halving_block(x, (wide(256), wide(256)), "block3")
    x = _halving_block(x, (wide(728), wide(728)), "block4")
    for name in middle_names(middle_blocks):
        x = _middle_block(x, wide(728), name)
    x = _halving_block(x, (wide(728), wide(1024)), "block13")
    for number, filters in enumerate((wide(1536), wide(2048)), 1):
        x = _separate(x, filters, f"block14_sepconv{number}")
        x = _relu(x, f"block14_sepconv{number}_act")
    return x


def in_words(width_multiplier: float, middle_blocks: int) -> str:
    """What a model's card says of the network."""
    words = "Xception"
    if middle_blocks < XCEPTION_MIDDLE_BLOCKS:
        words += f" with {middle_blocks} of its {XCEPTION_MIDDLE_BLOCKS} middle blocks"
    if width_multiplier != 1:
        words += f", filters times {width_multiplier:g}"
    return words


def _halving_block(
    x: keras.KerasTensor,
    filters: Sequence[int],
    name: str,
    *,
    first_relu: bool = True,
) -> keras.KerasTensor:
    """Two separable convolutions and a pool, beside one convolution with a stride of 2."""
    # First, as Keras does it: a seed then gives both networks the same weights.
    residual = layers.Conv2D(
        filters[-1], 1, 2, padding="same", use_bias=False, name=f"{name}_residual"
    )(x)
    residual = _normalise(residual, f"{name}_residual")
    for number, count in enumerate(filters, 1):
        if number > 1 or first_relu:
            x = _relu(x, f"{name}_sepconv{number}_act")
        x = _separate(x, count, f"{name}_sepconv{number}")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return layers.Add(name=f"{name}_add")([x, residual])


def _middle_block(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Three separable convolutions, added to what goes in."""
    residual = x
    for number in range(1, 4):
        x = _relu(x, f"{name}_sepconv{number}_act")
        x = _separate(x, filters, f"{name}_sepconv{number}")
    return layers.Add(name=f"{name}_add")([x, residual])


def _convolve(x: keras.KerasTensor, filters: int, name: str, strides: int = 1) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, strides, use_bias=False, name=name)(x)
    return _normalise(x, name)


def _separate(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return _normalise(x, name)


def _normalise(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def _relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.Activation("relu", name=name)(x)
