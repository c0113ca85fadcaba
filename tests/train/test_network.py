"""The network: Keras' own Xception at full size, the same by its parts when smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from scene_batch_train import network
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


@pytest.mark.nightly
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
