"""The network: uint8 photos in, an Xception, softmax out; and where its weights start."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from scene_batch.errors import TrainingError
from scene_batch_train.recipe import XCEPTION_MIDDLE_BLOCKS
from scene_batch_train.xception import RESIDUALS, convolutions, middle_names

Frozen = Literal["block13", "block14"]
"""The last block of the base, which the first stage leaves as it is; the top is what follows."""

LOGITS = "logits"
"""The last layer with weights."""
_TOP, _POOL, _INNER = "block14_sepconv1", "pool", "inner"


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
        features = keras.layers.Dense(inner, activation="relu", name=_INNER)(features)
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
    residuals, norms = iter(RESIDUALS), iter(f"{name}_bn" for name in RESIDUALS)
    names = {}
    for layer in model.layers:
        name = layer.name
        if name.startswith("conv2d"):
            name = next(residuals, name)
        elif name.startswith("batch_normalization"):
            name = next(norms, name)
        if layer.weights:
            names[name] = layer
    return names


def looked_at(model: keras.Model) -> list[str]:
    """Layers from the first convolutions to the last whose features are worth a look."""
    entry = ["block1_conv2_act", "block3_sepconv2_bn", "block4_sepconv2_bn"]
    built = {layer.name for layer in model.layers}
    blocks = [f"{name}_sepconv3_bn" for name in middle_names(XCEPTION_MIDDLE_BLOCKS)]
    middle = [name for name in blocks if name in built]
    one_of_them = middle[(len(middle) - 1) // 2 :][:1]
    return [*entry, *one_of_them, "block13_sepconv2_bn", "block14_sepconv2_act"]


def start_weights(model: keras.Model, weights: str) -> int:
    """Give the network its starting weights.

    Args:
        model: The network of ``build``.
        weights: ``imagenet`` (Keras downloads them), ``none``, a Keras file, or an ``.npz`` with
            keys ``layer/weight`` by the names of ``named_layers``, in the layer's own order.

    Returns:
        The number of arrays that were set; the rest keep their initial values.

    Raises:
        TrainingError: They cannot be had, fit nothing, or are of a network of another width.
    """
    if weights == "none":
        return 0
    found = _read_imagenet() if weights == "imagenet" else _read_file(Path(weights))
    count = 0
    for name, layer in named_layers(model).items():
        arrays = found.get(name, [])
        if [array.shape for array in arrays] == [tuple(w.shape) for w in layer.weights]:
            layer.set_weights(arrays)
            count += len(arrays)
        elif arrays and name not in (_INNER, LOGITS):  # whose shapes the classes decide
            raise TrainingError(
                f"{name} has other shapes in {weights!r}: weights fit networks of their own"
                " width_multiplier alone"
            )
    if not count:
        raise TrainingError(f"no layer in {weights!r} fits an Xception; check the file")
    return count


Weights = Mapping[str, Sequence[npt.NDArray[np.float32]]]


def _read_imagenet() -> Weights:
    try:
        model = keras.applications.Xception(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise TrainingError(
            f"cannot download the ImageNet weights ({error}); give a file with --weights"
        ) from error
    return _weights_of(model)


def _read_file(path: Path) -> Weights:
    if not path.is_file():
        raise TrainingError(
            f"no such weights: {str(path)!r}; --weights takes imagenet, none or a file"
        )
    try:
        return _read_arrays(path) if path.suffix == ".npz" else _weights_of(_load_keras(path))
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise TrainingError(f"cannot read the weights {str(path)!r}: {error}") from error


def _load_keras(path: Path) -> keras.Model:
    return keras.models.load_model(path, compile=False)


def _weights_of(model: keras.Model) -> Weights:
    return {name: layer.get_weights() for name, layer in named_layers(model).items()}


def _read_arrays(path: Path) -> Weights:
    """Read ``layer/weight`` arrays of any float type, grouped by layer in the file's order."""
    layers: dict[str, list[npt.NDArray[np.float32]]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            layers.setdefault(key.rpartition("/")[0], []).append(arrays[key].astype(np.float32))
    return layers


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
    if any(layer.name == _INNER for layer in model.layers):
        inner = model.get_layer(_INNER).get_weights()
        hidden = np.maximum(pooled @ inner[0] + inner[1], 0)
    else:
        hidden = pooled
    classes = (hidden @ kernel + bias).argmax(axis=1)
    slopes = kernel.T[classes]
    if inner is not None:
        slopes = (slopes * (hidden > 0)) @ inner[0].T
    return features, slopes / (features.shape[1] * features.shape[2]), classes
