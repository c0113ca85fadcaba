"""Starting weights: all that fit are set, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from scene_batch.errors import TrainingError
from scene_batch_train import network
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.stages import build_for
from scene_batch_train.starting_weights import start_weights
from small import SIDE, small_network


def _arrays(model: keras.Model) -> dict[str, np.ndarray]:
    return {
        f"{name}/{index}": array
        for name, layer in network.named_layers(model).items()
        for index, array in enumerate(layer.get_weights())
    }


def test_partial_weights_set_the_layers_that_they_hold(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    giver, taker = small_network(2), small_network(2)
    given = {
        key: array.astype(np.float16)
        for key, array in _arrays(giver).items()
        if not key.startswith(("block14", "logits"))
    }
    np.savez(tmp_path / "w.npz", **given)
    before = _arrays(taker)
    assert start_weights(taker, str(tmp_path / "w.npz")) == (len(given), len(before))
    for key, array in _arrays(taker).items():
        want = given[key].astype(np.float32) if key in given else before[key]
        assert np.array_equal(array, want), key


def test_weights_of_a_deeper_network_set_the_blocks_that_are_there(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    giver, taker = small_network(2, middle_blocks=3), small_network(2, middle_blocks=2)
    np.savez(tmp_path / "w.npz", **_arrays(giver))
    count = start_weights(taker, str(tmp_path / "w.npz"))
    assert count == (len(taker.weights), len(taker.weights))
    given = _arrays(giver)
    assert all(np.array_equal(array, given[key]) for key, array in _arrays(taker).items())


def test_the_weights_of_imagenet_set_every_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.set_random_seed(1)
    shape = (SIDE, SIDE, 3)
    downloaded = keras.applications.Xception(include_top=False, weights=None, input_shape=shape)
    asked: list[dict[str, Any]] = []

    def xception(**options: Any) -> keras.Model:
        asked.append(options)
        return downloaded

    monkeypatch.setattr(keras.applications, "Xception", xception)
    model = network.build(SIDE, SIDE, 2, 0.0, middle_blocks=1)
    assert start_weights(model, "imagenet").arrays == len(model.weights) - 2
    assert asked == [{"include_top": False, "weights": "imagenet"}]
    given = _arrays(downloaded)
    for key, array in _arrays(model).items():
        assert key.startswith(network.LOGITS) or np.array_equal(array, given[key]), key


def test_a_keras_file_sets_all_but_the_classes(tiny_run: RunFolder) -> None:
    model = build_for(tiny_run.read_recipe(), 5)  # other classes: its last layer stays as it is
    count = start_weights(model, str(tiny_run.model))
    assert count == (len(model.weights) - 2, len(model.weights))


@pytest.mark.parametrize("content", [None, b"no arrays"])
@pytest.mark.parametrize("name", ["w.npz", "w.keras", "w.h5"])
def test_weights_that_cannot_be_read_are_refused(
    name: str, content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(TrainingError, match="weights"):
        start_weights(model, str(tmp_path / name))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"conv1/kernel": np.zeros(3)})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(TrainingError, match="has only 0 of the 2 arrays of this Xception"):
        start_weights(model, str(tmp_path / "w.npz"))


@pytest.mark.parametrize("width_multiplier", [1 / 4, 1])
def test_weights_of_another_width_are_refused(width_multiplier: float, tmp_path: Path) -> None:
    giver = small_network(2, width_multiplier=width_multiplier)
    np.savez(tmp_path / "w.npz", **_arrays(giver))
    taker = small_network(2)
    with pytest.raises(TrainingError, match=r"has other shapes in .* own width_multiplier alone"):
        start_weights(taker, str(tmp_path / "w.npz"))


def _write_h5(path: Path, model: keras.Model, names: dict[str, str]) -> None:
    """Weights alone as Keras' downloads have them: layers by Keras' own names."""
    with h5py.File(path, "w") as file:
        layers = network.named_layers(model)
        file.attrs["layer_names"] = [names.get(name, name) for name in layers]
        for name, layer in layers.items():
            group = file.create_group(names.get(name, name))
            keys = [f"{names.get(name, name)}/{index}:0" for index, _ in enumerate(layer.weights)]
            group.attrs["weight_names"] = keys
            for key, array in zip(keys, layer.get_weights(), strict=True):
                group.create_dataset(key, data=array)


def test_the_weights_that_keras_downloads_are_taken_from_a_file(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    giver, taker = small_network(2), small_network(2)
    numbered = {f"block{n}_residual": f"conv2d_{i}" for i, n in enumerate((2, 3, 4, 13), 1)}
    numbered |= {
        f"block{n}_residual_bn": f"batch_normalization_{i}" for i, n in enumerate((2, 3, 4, 13), 1)
    }
    _write_h5(tmp_path / "w.h5", giver, numbered)
    assert start_weights(taker, str(tmp_path / "w.h5")).arrays == len(taker.weights)
    given = _arrays(giver)
    assert all(np.array_equal(array, given[key]) for key, array in _arrays(taker).items())
    giver.save(tmp_path / "whole.h5")
    other = small_network(2)
    assert start_weights(other, str(tmp_path / "whole.h5")).arrays == len(taker.weights)


def test_a_file_that_fits_too_little_is_refused(tmp_path: Path) -> None:
    given = {k: v for k, v in _arrays(small_network(2)).items() if k.startswith("block1_")}
    np.savez(tmp_path / "w.npz", **given)
    with pytest.raises(TrainingError, match=r"has only \d+ of the \d+ arrays"):
        start_weights(small_network(2), str(tmp_path / "w.npz"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_named_as_such(value: float, tmp_path: Path) -> None:
    given = _arrays(small_network(2))
    given["block3_sepconv1/0"] = np.full_like(given["block3_sepconv1/0"], value)
    np.savez(tmp_path / "w.npz", **given)
    with pytest.raises(TrainingError, match=r"block3_sepconv1 in .* is not all numbers"):
        start_weights(small_network(2), str(tmp_path / "w.npz"))
