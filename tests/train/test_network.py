"""The network: Keras' own Xception at full size, the same by its parts when smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from scene_batch.errors import TrainingError
from scene_batch_train import network
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.stages import build_for
from scene_batch_train.xception import convolutions
from small import SIDE, small_network

_PHOTOS = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


def _of_keras() -> keras.Model:
    return keras.applications.Xception(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))


def _ours(**size: Any) -> keras.Model:
    image = keras.Input((SIDE, SIDE, 3))
    return keras.Model(image, convolutions(image, **size))


def _outputs(model: keras.Model, photos: Any) -> Any:
    return keras.ops.convert_to_numpy(model(photos, training=False))


def _config(layer: keras.Layer) -> dict[str, Any]:
    """All that decides what a layer computes: not its name."""
    return {key: value for key, value in layer.get_config().items() if key != "name"}


def test_at_full_size_it_is_the_xception_of_keras(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    theirs = _of_keras()
    keras.utils.set_random_seed(5)
    ours = _ours()
    assert list(network.named_layers(ours)) == list(network.named_layers(theirs))
    numbered = ("add", "conv2d", "batch_normalization", "input_layer")
    for our, their in zip(ours.layers, theirs.layers, strict=True):
        assert type(our) is type(their)
        assert our.name == their.name or their.name.startswith(numbered)
        if not isinstance(our, keras.layers.InputLayer):
            assert _config(our) == _config(their)
    weights = theirs.get_weights()
    for our, their in zip(ours.get_weights(), weights, strict=True):
        assert np.array_equal(our, their)  # by the seed alone
    photos = (_PHOTOS / 127.5 - 1).astype(np.float32)
    assert np.array_equal(_outputs(ours, photos), _outputs(theirs, photos))
    # What a run of before was broken off with is read by place, not by name.
    theirs.save_weights(tmp_path / "before.weights.h5")
    ours.set_weights([np.zeros_like(array) for array in weights])
    ours.load_weights(tmp_path / "before.weights.h5")
    for our, their in zip(ours.get_weights(), weights, strict=True):
        assert np.array_equal(our, their)


@pytest.mark.parametrize("middle_blocks", [0, 1, 2, 8])
def test_a_shallower_one_has_the_same_layers_by_the_same_names(middle_blocks: int) -> None:
    whole = network.named_layers(_ours(width_multiplier=1 / 8))
    missing = tuple(f"block{number}_" for number in range(5 + middle_blocks, 13))
    found = network.named_layers(_ours(width_multiplier=1 / 8, middle_blocks=middle_blocks))
    assert list(found) == [name for name in whole if not name.startswith(missing)]
    for name, layer in found.items():
        assert [w.shape for w in layer.weights] == [w.shape for w in whole[name].weights]


@pytest.mark.parametrize(
    ("width", "filters"), [(1, [32, 728, 2048]), (1 / 8, [8, 88, 256]), (2, [64, 1456, 4096])]
)
def test_a_narrower_one_has_fewer_filters_by_eights(width: float, filters: list[int]) -> None:
    model = _ours(width_multiplier=width, middle_blocks=1)
    names = ("block1_conv1", "block5_sepconv1", "block14_sepconv2")
    assert [model.get_layer(name).filters for name in names] == filters
    assert {layer.filters % 8 for layer in model.layers if hasattr(layer, "filters")} == {0}


@pytest.mark.parametrize("middle_blocks", [0, 1, 2, 8])
def test_what_is_looked_at_is_there(middle_blocks: int) -> None:
    model = small_network(2, middle_blocks=middle_blocks)
    seen = network.looked_at(model)
    names = [layer.name for layer in model.layers]
    assert [names.index(name) for name in seen] == sorted(names.index(name) for name in seen)
    assert len(seen) == 5 + (middle_blocks > 0)
    assert ("block8_sepconv3_bn" in seen) == (middle_blocks == 8)


@pytest.mark.parametrize("inner", [0, 16])
@pytest.mark.parametrize("frozen", ["block13", "block14"])
def test_base_and_top_make_the_network(frozen: network.Frozen, inner: int) -> None:
    keras.utils.set_random_seed(2)
    model = small_network(3, 0.5, inner)
    base, top = network.base_of(model, frozen), network.top_of(model, frozen)
    names = [layer.name for layer in base.layers] + [layer.name for layer in top.layers[1:]]
    assert names == [layer.name for layer in model.layers]
    assert ("block14_sepconv1" in names[: len(base.layers)]) == (frozen == "block14")
    together = _outputs(top, base(_PHOTOS, training=False))
    assert together == pytest.approx(_outputs(model, _PHOTOS), abs=1e-6)


@pytest.mark.parametrize("inner", [0, 16])
def test_slopes_are_the_gradients_of_the_most_probable_class(inner: int) -> None:
    keras.utils.set_random_seed(3)
    model = small_network(3, 0.0, inner)
    features, slopes, classes = network.features_and_slopes(model, _PHOTOS)
    after = keras.Model(model.get_layer("pool").input, model.get_layer(network.LOGITS).output)
    watched = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        logits = after(watched, training=False)
        most = tf.reduce_sum(tf.gather(logits, classes, axis=1, batch_dims=1))
    assert classes.tolist() == logits.numpy().argmax(axis=1).tolist()
    gradients = tape.gradient(most, watched).numpy()
    assert gradients == pytest.approx(
        np.broadcast_to(slopes[:, None, None, :], gradients.shape), abs=1e-7
    )


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
    assert network.start_weights(taker, str(tmp_path / "w.npz")) == len(given)
    for key, array in _arrays(taker).items():
        want = given[key].astype(np.float32) if key in given else before[key]
        assert np.array_equal(array, want), key


def test_weights_of_a_deeper_network_set_the_blocks_that_are_there(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    giver, taker = small_network(2, middle_blocks=3), small_network(2, middle_blocks=2)
    np.savez(tmp_path / "w.npz", **_arrays(giver))
    count = network.start_weights(taker, str(tmp_path / "w.npz"))
    assert count == len(taker.weights)
    given = _arrays(giver)
    assert all(np.array_equal(array, given[key]) for key, array in _arrays(taker).items())


def test_the_weights_of_imagenet_set_every_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.set_random_seed(1)
    downloaded = _of_keras()
    asked: list[dict[str, Any]] = []

    def xception(**options: Any) -> keras.Model:
        asked.append(options)
        return downloaded

    monkeypatch.setattr(keras.applications, "Xception", xception)
    model = network.build(SIDE, SIDE, 2, 0.0, middle_blocks=1)
    assert network.start_weights(model, "imagenet") == len(model.weights) - 2
    assert asked == [{"include_top": False, "weights": "imagenet"}]
    given = _arrays(downloaded)
    for key, array in _arrays(model).items():
        assert key.startswith(network.LOGITS) or np.array_equal(array, given[key]), key


def test_a_keras_file_sets_all_but_the_classes(tiny_run: RunFolder) -> None:
    model = build_for(tiny_run.read_recipe(), 5)  # other classes: its last layer stays as it is
    count = network.start_weights(model, str(tiny_run.model))
    assert count == len(model.weights) - 2


@pytest.mark.parametrize("content", [None, b"no arrays"])
@pytest.mark.parametrize("name", ["w.npz", "w.keras"])
def test_weights_that_cannot_be_read_are_refused(
    name: str, content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(TrainingError, match="weights"):
        network.start_weights(model, str(tmp_path / name))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"conv1/kernel": np.zeros(3)})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(TrainingError, match=r"no layer .* fits an Xception"):
        network.start_weights(model, str(tmp_path / "w.npz"))


@pytest.mark.parametrize("width_multiplier", [1 / 4, 1])
def test_weights_of_another_width_are_refused(width_multiplier: float, tmp_path: Path) -> None:
    giver = small_network(2, width_multiplier=width_multiplier)
    np.savez(tmp_path / "w.npz", **_arrays(giver))
    taker = small_network(2)
    with pytest.raises(TrainingError, match=r"has other shapes in .* own width_multiplier alone"):
        network.start_weights(taker, str(tmp_path / "w.npz"))
