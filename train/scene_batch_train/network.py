"""The network: uint8 photos in, Keras' Xception, softmax out; and where its weights start."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from scene_batch.errors import TrainingError

TOP = "block14_sepconv1"
"""The top begins here: the first stage trains it, on features of the frozen base below."""

_RESIDUALS = ("block2_residual", "block3_residual", "block4_residual", "block13_residual")
"""The names, in order, of the four convolutions (and ``_bn``) that Keras only numbers."""


def build(height: int, width: int, classes: int, dropout: float) -> keras.Model:
    """Build the untrained network.

    Input ``image``: uint8 ``(N, height, width, 3)``, RGB. Output ``probabilities``: float32
    ``(N, classes)``. Scaling to [-1, 1] is inside.
    """
    image = keras.Input((height, width, 3), dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image)
    base = keras.applications.Xception(
        include_top=False, weights=None, input_tensor=scaled, pooling="avg"
    )
    dropped = keras.layers.Dropout(dropout, name="dropout")(base.output)
    logits = keras.layers.Dense(classes, name="logits")(dropped)
    # float32 whatever the policy: a bfloat16 softmax would lose what the loss needs
    probabilities = keras.layers.Activation("softmax", dtype="float32", name="probabilities")
    return keras.Model(image, probabilities(logits), name="xception")


def cut_output(model: keras.Model) -> Any:  # noqa: ANN401 - a Keras tensor
    """The tensor between the base and the top: the residual sum of block 13."""
    return model.get_layer(TOP).input


def top_of(model: keras.Model) -> keras.Model:
    """The top as a model of its own, sharing its layers: features of the cut in, classes out."""
    names = [layer.name for layer in model.layers]
    features = keras.Input(cut_output(model).shape[1:], name="features")
    output = features
    for name in names[names.index(TOP) :]:
        output = model.get_layer(name)(output)
    return keras.Model(features, output, name="top")


def named_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers that have weights, by stable names: the numbered residuals get their own."""
    convolutions, norms = iter(_RESIDUALS), iter(f"{name}_bn" for name in _RESIDUALS)
    names = {}
    for layer in model.layers:
        name = layer.name
        if name.startswith("conv2d"):
            name = next(convolutions, name)
        elif name.startswith("batch_normalization"):
            name = next(norms, name)
        if layer.weights:
            names[name] = layer
    return names


def start_weights(model: keras.Model, weights: str) -> int:
    """Give the network its starting weights.

    Args:
        model: The network of ``build``.
        weights: ``imagenet`` (Keras downloads them), ``none``, a Keras file, or an ``.npz`` with
            keys ``layer/weight`` by the names of ``named_layers``, in the layer's own order.

    Returns:
        The number of arrays that were set; the rest keep their initial values.

    Raises:
        TrainingError: They cannot be had, or fit nothing.
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
