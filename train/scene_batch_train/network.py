"""The network: uint8 photos in, an Xception, softmax out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from scene_batch_train.recipe import XCEPTION_MIDDLE_BLOCKS
from scene_batch_train.xception import RESIDUALS, convolutions, middle_names

Frozen = Literal["block13", "block14"]
"""The last block of the base, which the first stage leaves as it is; the top is what follows."""

LOGITS = "logits"
"""The last layer with weights."""
INNER = "inner"
"""The ReLU layer before it, if there is one."""
_TOP, _POOL = "block14_sepconv1", "pool"


def build(  # noqa: PLR0913
    height: int,
    width: int,
    classes: int,
    dropout: float,
    inner: int = 0,
    *,
    width_multiplier: float = 1.0,
    middle_blocks: int = XCEPTION_MIDDLE_BLOCKS,
) -> keras.Model:
    """Build the untrained network.

    Input ``image``: uint8 ``(N, height, width, 3)``, RGB. Output ``probabilities``: float32
    ``(N, classes)``. Scaling to [-1, 1] is inside.

    Args:
        height: Of the photos, in pixels.
        width: Of the photos, in pixels.
        classes: How many.
        dropout: Share of the features that each training step leaves out.
        inner: Units of a ReLU layer before the classes; 0 leaves it out.
        width_multiplier: Of the convolutions' filters.
        middle_blocks: Of the Xception, 0 to 8.
    """
    image = keras.Input((height, width, 3), dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image)
    seen = convolutions(scaled, width_multiplier, middle_blocks)
    features = keras.layers.GlobalAveragePooling2D(name=_POOL)(seen)
    if inner:
        features = keras.layers.Dense(inner, activation="relu", name=INNER)(features)
    dropped = keras.layers.Dropout(dropout, name="dropout")(features)
    logits = keras.layers.Dense(classes, name=LOGITS)(dropped)
    # float32 whatever the policy: a bfloat16 softmax would lose what the loss needs
    probabilities = keras.layers.Activation("softmax", dtype="float32", name="probabilities")
    return keras.Model(image, probabilities(logits), name="xception")


def base_of(model: keras.Model, frozen: Frozen) -> keras.Model:
    """The base as a model of its own, sharing its layers: photos in, features out."""
    return keras.Model(model.input, _cut(model, frozen)[1])


def top_of(model: keras.Model, frozen: Frozen) -> keras.Model:
    """The top as a model of its own, sharing its layers: features in, classes out."""
    begin, cut = _cut(model, frozen)
    features = keras.Input(cut.shape[1:], name="features")
    output = features
    for layer in model.layers[begin:]:
        output = layer(output)
    return keras.Model(features, output, name="top")


def _cut(model: keras.Model, frozen: Frozen) -> tuple[int, Any]:
    """Where the top begins: its first layer's index, and the tensor that enters it."""
    names = [layer.name for layer in model.layers]
    begin = names.index(_TOP) if frozen == "block13" else names.index(_POOL) + 1
    return begin, model.layers[begin].input


def named_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers that have weights, by the names of ``xception``.

    Keras' own Xception, which models of before are, only numbers its residuals.
    """
    with_weights = [layer for layer in model.layers if layer.weights]
    names = own_names(layer.name for layer in with_weights)
    return dict(zip(names, with_weights, strict=True))


def own_names(keras_names: Iterable[str]) -> list[str]:
    """The names of ``xception`` for those that Keras gave the layers of its own one, in order."""
    residuals, norms = iter(RESIDUALS), iter(f"{name}_bn" for name in RESIDUALS)
    names = []
    for name in keras_names:
        if name.startswith("conv2d"):
            names.append(next(residuals, name))
        elif name.startswith("batch_normalization"):
            names.append(next(norms, name))
        else:
            names.append(name)
    return names


def looked_at(model: keras.Model) -> list[str]:
    """Layers from the first convolutions to the last whose features are worth a look."""
    entry = ["block1_conv2_act", "block3_sepconv2_bn", "block4_sepconv2_bn"]
    built = {layer.name for layer in model.layers}
    blocks = [f"{name}_sepconv3_bn" for name in middle_names(XCEPTION_MIDDLE_BLOCKS)]
    middle = [name for name in blocks if name in built]
    one_of_them = middle[(len(middle) - 1) // 2 :][:1]
    return [*entry, *one_of_them, "block13_sepconv2_bn", "block14_sepconv2_act"]


def features_and_slopes(
    model: keras.Model, pixels: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """What the last convolution sees, and what it is worth to the most probable class.

    Args:
        model: The network.
        pixels: uint8 ``(photos, height, width, 3)``.

    Returns:
        The features, float32 ``(photos, h, w, channels)``; the gradients of the most probable
        class' logit by each channel, at any place, float32 ``(photos, channels)``; and these
        classes, int64 ``(photos,)``.
    """
    pool = model.get_layer(_POOL)
    features = np.asarray(keras.Model(model.input, pool.input).predict_on_batch(pixels))
    kernel, bias = (np.asarray(w) for w in model.get_layer(LOGITS).get_weights())
    pooled, inner = features.mean(axis=(1, 2)), None
    if any(layer.name == INNER for layer in model.layers):
        inner = model.get_layer(INNER).get_weights()
        hidden = np.maximum(pooled @ inner[0] + inner[1], 0)
    else:
        hidden = pooled
    classes = (hidden @ kernel + bias).argmax(axis=1)
    slopes = kernel.T[classes]
    if inner is not None:
        slopes = (slopes * (hidden > 0)) @ inner[0].T
    return features, slopes / (features.shape[1] * features.shape[2]), classes
