"""Where the network's weights start: ImageNet's, a file's, or nothing."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from scene_batch.errors import TrainingError
from scene_batch_train.network import INNER, LOGITS, named_layers, own_names

Weights = Mapping[str, Sequence[npt.NDArray[np.float32]]]
"""The arrays of each layer, in the layer's own order."""

_LEAST = 0.5
"""Share of the network's arrays that a file must have: else it is of something else."""


class Started(NamedTuple):
    """How many of the network's arrays were set; the rest keep their initial values."""

    arrays: int
    of: int


def start_weights(model: keras.Model, weights: str) -> Started:
    """Give the network its starting weights.

    Args:
        model: The network of ``build``.
        weights: ``imagenet`` (Keras downloads them), ``none``, a Keras file (``.keras``, or an
            ``.h5`` of a model or of its weights alone), or an ``.npz`` with keys ``layer/weight``
            by the names of ``named_layers``, in the layer's own order.

    Raises:
        TrainingError: They cannot be had, fit too little, are of a network of another width, or are
            not all numbers.
    """
    layers = named_layers(model)
    total = sum(len(layer.weights) for layer in layers.values())
    if weights == "none":
        return Started(0, total)
    found = _read_imagenet() if weights == "imagenet" else _read_file(Path(weights))
    fitting: dict[str, Sequence[npt.NDArray[np.float32]]] = {}
    for name, layer in layers.items():
        arrays = found.get(name, [])
        if arrays and _shapes(arrays) == _shapes(layer.weights):
            fitting[name] = arrays
        elif arrays and name not in (INNER, LOGITS):  # whose shapes the classes decide
            raise TrainingError(
                f"{name} has other shapes in {weights!r}: weights fit networks of their own"
                " width_multiplier alone"
            )
    count = sum(map(len, fitting.values()))
    if count < _LEAST * total:
        raise TrainingError(
            f"{weights!r} has only {count} of the {total} arrays of this Xception: it is of another"
            " network; take a file of an Xception, or --weights none"
        )
    for name, arrays in fitting.items():
        if not all(np.isfinite(array).all() for array in arrays):
            raise TrainingError(
                f"{name} in {weights!r} is not all numbers (NaN or infinite): that training went"
                " wrong; take other weights"
            )
        layers[name].set_weights(arrays)
    return Started(count, total)


def _shapes(arrays: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in arrays]


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
        if path.suffix == ".npz":
            return _read_arrays(path)
        if path.suffix in (".h5", ".hdf5"):
            return _read_h5(path)
        return _weights_of(keras.models.load_model(path, compile=False))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise TrainingError(f"cannot read the weights {str(path)!r}: {reason}") from error


def _read_h5(path: Path) -> Weights:
    """Read an ``.h5`` of a model, of its weights as Keras downloads them, or as it saves them now.

    The older kind lists its layers and their arrays by name; a whole model has them in a group.
    """
    import h5py

    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        if "layer_names" in group.attrs:
            return _read_layers(group)
    model = keras.applications.Xception(include_top=False, weights=None)
    model.load_weights(path)
    return _weights_of(model)


def _read_layers(group: Any) -> Weights:  # noqa: ANN401 - h5py's
    layers = [group[name] for name in group.attrs["layer_names"]]
    arrays = [[np.asarray(layer[name], np.float32) for name in layer.attrs["weight_names"]]
              for layer in layers]  # fmt: skip
    there = [(layer.name.rpartition("/")[2], its) for layer, its in zip(layers, arrays, strict=True)
             if its]  # fmt: skip
    return dict(zip(own_names(name for name, _ in there), (its for _, its in there), strict=True))


def _weights_of(model: keras.Model) -> Weights:
    return {name: layer.get_weights() for name, layer in named_layers(model).items()}


def _read_arrays(path: Path) -> Weights:
    """Read ``layer/weight`` arrays of any float type, grouped by layer in the file's order."""
    layers: dict[str, list[npt.NDArray[np.float32]]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            layers.setdefault(key.rpartition("/")[0], []).append(arrays[key].astype(np.float32))
    return layers
