"""A whole training run, small: what is in the run folder, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from scene_batch.errors import OutputBusyError, OutputExistsError, TrainingError
from scene_batch.model.predictor import Predictor
from scene_batch_train import network
from scene_batch_train.batches import Batches
from scene_batch_train.continuing import Backup, Commit, KeepBest, Patience
from scene_batch_train.data_set import prepare
from scene_batch_train.devices import has_gpu, policy
from scene_batch_train.photos import PhotoSet
from scene_batch_train.recipe import FineTune, Head, Recipe
from scene_batch_train.robustness import CHANGES
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.training import train
from scene_batch_train.watching import Watch
from support import save_shade

_EPOCHS = [("head", "1"), ("head", "2"), ("fine_tune", "1"), ("fine_tune", "2")]
"""Of the tiny run."""


def test_the_run_folder_holds_what_was_made_and_how(tiny_run: RunFolder) -> None:
    assert tiny_run.read_classes() == ["bright", "dark"]
    config = tiny_run.read_config()
    assert config["recipe"]["height"] == 71
    assert len(config["data"]["sha256"]) == 64
    with tiny_run.split.open(newline="") as file:
        parts = [(row["class"], row["part"]) for row in csv.DictReader(file)]
    assert len(parts) == 25
    assert parts.count(("bright", "validation")) == 3
    assert parts.count(("dark", "unreadable")) == 1
    with tiny_run.history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["epoch"]) for row in rows] == _EPOCHS
    assert all(float(row["val_loss"]) > 0 for row in rows)
    assert all(float(row["seconds"]) > 0 for row in rows)
    metrics = tiny_run.read_metrics()
    assert metrics["validation"]["photos"] == 6
    assert list(metrics["robustness"]) == list(CHANGES)
    assert metrics["robustness"]["unchanged"] == metrics["validation"]["accuracy"]
    assert metrics["train_photos"] == 18  # with the broken one, 25
    assert (metrics["head_epochs"], metrics["fine_tuned_epochs"]) == (2, 2)
    assert tiny_run.read_version() == "1.0.0"
    pictures = {}
    for path in tiny_run.figures.iterdir():
        with Image.open(path) as picture:
            pictures[path.name] = picture.size
    assert set(pictures) == {
        "activations.png",
        "confusion.png",
        "grad_cam.png",
        "learning.png",
        "mistakes.png",
        "reliability.png",
    }
    assert min(min(size) for size in pictures.values()) > 200
    assert {path.parent.name for path in tiny_run.path.glob("logs/*/train")} == {
        "head",
        "fine_tune",
    }
    assert [p.name for p in (tiny_run.path / "checkpoints").glob("*.backup")] == []


def test_the_saved_network_is_float32_and_takes_photos(tiny_run: RunFolder) -> None:
    model = keras.models.load_model(tiny_run.model, compile=False)
    assert model.input_shape == (None, 71, 71, 3)
    assert model.input.dtype == "uint8"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    pixels = np.random.default_rng(1).integers(0, 256, (2, 71, 71, 3), np.uint8)
    probabilities = keras.ops.convert_to_numpy(model(pixels, training=False))
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_batch_norms_stand_still_and_every_convolution_learns(tiny_run: RunFolder) -> None:
    trained = keras.models.load_model(tiny_run.model, compile=False)
    keras.utils.set_random_seed(tiny_run.read_config()["recipe"]["seed"])
    start = network.build(71, 71, 2, 0.0)
    now, then = network.named_layers(trained), network.named_layers(start)
    for name, layer in now.items():
        moved = [
            not np.array_equal(a, b)
            for a, b in zip(layer.get_weights(), then[name].get_weights(), strict=True)
        ]
        if isinstance(layer, keras.layers.BatchNormalization):
            head = name.startswith("block14")  # the first stage trains the top's
            assert head or not any(moved), name
        else:
            assert moved[0], name


def test_a_folder_that_is_there_is_not_touched(labelled: Path, tiny_run: RunFolder) -> None:
    with pytest.raises(OutputExistsError, match="holds a finished training run; give --out a new"):
        train(labelled, Recipe(), tiny_run.path)


def test_too_many_unreadable_photos_are_refused(labelled: Path, tmp_path: Path) -> None:
    recipe = Recipe(height=71, width=71, validation=0.25, max_unreadable=0.039)
    with pytest.raises(TrainingError, match=r"1 of 25 photos are unreadable, more than .*0\.039"):
        train(labelled, recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rare_classes_count_as_much_as_others(labelled: Path) -> None:
    recipe = Recipe(height=71, width=71, validation=0.25, class_weights="balanced")
    data = prepare(labelled, recipe)
    few = dataclasses.replace(
        data, train=PhotoSet(data.train.pixels[:12], data.train.class_indices[:12])
    )
    weights = few.class_weights(recipe)
    assert weights is not None
    assert few.class_counts.tolist() == [9, 3]
    assert (weights * few.class_counts).tolist() == pytest.approx([6, 6])
    batches = Batches(
        few.train.pixels, few.train.class_indices, 2, batch_size=12, class_weights=weights
    )
    _, one_hot, of_photos = batches[0]
    assert of_photos.tolist() == pytest.approx([weights[c] for c in one_hot.argmax(axis=1)])
    assert data.class_weights(Recipe()) is None


@pytest.mark.parametrize(
    ("precision", "gpu", "wanted"),
    [
        ("auto", True, "mixed_float16"),
        ("auto", False, "float32"),
        ("mixed_bfloat16", False, "mixed_bfloat16"),
        ("float32", True, "float32"),
    ],
)
def test_auto_precision_is_half_on_a_gpu(precision: str, gpu: bool, wanted: str) -> None:
    assert policy(precision, gpu) == wanted


def test_a_gpu_is_told_once_to_grow_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    grown: dict[str, bool] = {}

    def grow(gpu: str, enable: bool) -> None:
        assert gpu not in grown  # TensorFlow raises once the GPU is in use
        grown[gpu] = enable

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["gpu-0", "gpu-1"])
    memory = tf.config.experimental
    monkeypatch.setattr(memory, "get_memory_growth", lambda gpu: grown.get(gpu, False))
    monkeypatch.setattr(memory, "set_memory_growth", grow)
    assert has_gpu()
    assert has_gpu()
    assert grown == {"gpu-0": True, "gpu-1": True}


@pytest.mark.parametrize("inner", [0, 16])
@pytest.mark.parametrize("frozen", ["block13", "block14"])
def test_base_and_top_make_the_network(frozen: network.Frozen, inner: int) -> None:
    keras.utils.set_random_seed(2)
    model = network.build(71, 71, 3, 0.5, inner)
    base, top = network.base_of(model, frozen), network.top_of(model, frozen)
    names = [layer.name for layer in base.layers] + [layer.name for layer in top.layers[1:]]
    assert names == [layer.name for layer in model.layers]
    assert ("block14_sepconv1" in names[: len(base.layers)]) == (frozen == "block14")
    pixels = np.random.default_rng(1).integers(0, 256, (2, 71, 71, 3), np.uint8)
    together = keras.ops.convert_to_numpy(top(base(pixels, training=False), training=False))
    whole = keras.ops.convert_to_numpy(model(pixels, training=False))
    assert together == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("inner", [0, 16])
def test_slopes_are_the_gradients_of_the_most_probable_class(inner: int) -> None:
    keras.utils.set_random_seed(3)
    model = network.build(71, 71, 3, 0.0, inner)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 71, 71, 3), np.uint8)
    features, slopes, classes = network.features_and_slopes(model, pixels)
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


def test_a_folder_of_something_else_is_not_touched(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("x")
    with pytest.raises(OutputExistsError, match="already there; give --out a new folder"):
        train(labelled, Recipe(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_loss_that_is_not_finite_stops_with_the_remedy(labelled: Path, tmp_path: Path) -> None:
    recipe = Recipe(
        weights="none",
        height=71,
        width=71,
        head=Head(epochs=5, learning_rate=1e38, batch_size=4),
        fine_tune=FineTune(epochs=0),
    )
    with pytest.raises(TrainingError, match=r"not finite at batch .*; lower learning_rate"):
        train(labelled, recipe, tmp_path / "run")


def test_a_failure_before_the_first_epoch_leaves_no_folder_in_the_way(
    labelled: Path, tmp_path: Path
) -> None:
    recipe = Recipe(weights=str(tmp_path / "gone.npz"), height=71, width=71, validation=0.25)
    for data, words in ((tmp_path / "gone", "no such directory"), (labelled, "no such weights")):
        with pytest.raises(TrainingError, match=words):
            train(data, recipe, tmp_path / "run")
        assert not (tmp_path / "run").exists()


class _Stop(Exception):
    pass


def test_a_training_that_is_broken_off_goes_on_to_the_same_network(
    labelled: Path,
    tiny_recipe: Recipe,
    tiny_run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = tiny_run.read_metrics()
    real, begun = Watch.on_train_batch_end, 0

    def stop_in_second_epochs(self: Watch, batch: int, logs: dict[str, float]) -> None:
        nonlocal begun
        real(self, batch, logs)
        begun += 1
        if begun in {7, 16}:  # in the second epoch of the head, of 5 batches, and of the rest, of 3
            raise _Stop

    monkeypatch.setattr(Watch, "on_train_batch_end", stop_in_second_epochs)
    for _ in range(2):
        with pytest.raises(_Stop):
            train(labelled, tiny_recipe, tmp_path / "broken")
    other = dataclasses.replace(tiny_recipe, seed=7)
    with pytest.raises(TrainingError, match="unfinished run with another recipe"):
        train(labelled, other, tmp_path / "broken")
    broken = train(labelled, tiny_recipe, tmp_path / "broken")
    assert (broken["head_epochs"], broken["fine_tuned_epochs"]) == (2, 2)
    assert broken["validation"] == whole["validation"]
    ours, theirs = (
        keras.models.load_model(run.model, compile=False).get_weights()
        for run in (RunFolder(tmp_path / "broken"), tiny_run)
    )
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))
    rows = RunFolder.open(tmp_path / "broken").read_history()
    assert [(row["stage"], row["epoch"]) for row in rows] == _EPOCHS


def test_a_kill_while_an_epoch_is_saved_makes_it_be_done_again(tmp_path: Path) -> None:
    """Each of an epoch's callbacks in turn is the process's last."""
    run = RunFolder(tmp_path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    folder, best = run.backup("head"), run.checkpoint("head")
    folder.parent.mkdir(parents=True)

    def callbacks(before: list[float]) -> list[keras.callbacks.Callback]:
        made = [Backup(folder), KeepBest(best, before), Watch("head", run.history), Commit(folder)]
        for callback in made:
            callback.set_params({"epochs": 9, "steps": 1})
            callback.set_model(model)
        return made

    def rows() -> list[float]:
        run.forget_broken_epochs()
        return [float(row["val_loss"]) for row in run.read_history()]

    def live(epoch: int, loss: float, count: int) -> None:
        for callback in callbacks(rows())[:count]:
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, {"loss": loss, "val_loss": loss})

    for killed_after in (1, 2, 3):  # the first epoch
        live(0, 5.0, killed_after)
        assert run.epochs_done("head") == 0
    live(0, 5.0, 4)
    for killed_after in (1, 2, 3):  # a better one
        model.layers[0].bias.assign([float(killed_after)])
        live(1, 4.0, killed_after)
        assert run.epochs_done("head") == 1
        assert rows() == [5.0]
    (folder.with_name("head.backup.partial") / "latest.weights.h5").write_bytes(b"half")
    live(1, 4.0, 4)
    assert run.epochs_done("head") == 2
    assert rows() == [5.0, 4.0]
    folder.rename(folder.with_name("head.backup.old"))  # a kill between the renames
    assert run.epochs_done("head") == 2
    model.layers[0].bias.assign([0.0])
    restored = callbacks(rows())[0]
    restored.on_train_begin()
    assert model.layers[0].bias.numpy().tolist() == [3.0]
    model.layers[0].bias.assign([0.0])
    model.load_weights(best)
    assert model.layers[0].bias.numpy().tolist() == [3.0]
    live(2, 6.0, 4)  # a worse one leaves the best weights
    model.layers[0].bias.assign([0.0])
    model.load_weights(best)
    assert model.layers[0].bias.numpy().tolist() == [3.0]


def test_patience_counts_the_epochs_of_earlier_processes() -> None:
    assert not Patience(2, []).is_out
    assert not Patience(2, [3.0, 1.0, 2.0]).is_out
    assert Patience(2, [3.0, 1.0, 2.0, 1.5]).is_out
    waiting = Patience(2, [1.0, 2.0])
    waiting.set_model(keras.Sequential([keras.layers.Dense(1)]))
    waiting.on_epoch_end(2, {"val_loss": 1.5})
    assert waiting.model.stop_training


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.held():
        with pytest.raises(OutputBusyError, match="another process trains in"), run.held():
            pass
        assert run.path.exists()


def test_a_users_folder_of_checkpoints_is_not_an_unfinished_run(
    labelled: Path, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(OutputExistsError, match="already there"):
        train(labelled, Recipe(height=71, width=71), tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_class_without_a_readable_photo_is_refused(tmp_path: Path) -> None:
    for name, good in (("a", 60), ("b", 60), ("empty", 0)):
        (tmp_path / name).mkdir()
        for number in range(good):
            save_shade(tmp_path / name / f"{number}.png", number)
    (tmp_path / "empty" / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(TrainingError, match="'empty' has no readable photo to train on"):
        prepare(tmp_path, Recipe(height=71, width=71))


def _arrays(model: keras.Model) -> dict[str, np.ndarray]:
    return {
        f"{name}/{index}": array
        for name, layer in network.named_layers(model).items()
        for index, array in enumerate(layer.get_weights())
    }


def test_partial_weights_set_the_layers_that_they_hold(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    giver, taker = network.build(71, 71, 2, 0.0), network.build(71, 71, 2, 0.0)
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


def test_a_keras_file_sets_all_but_the_classes(tiny_run: RunFolder) -> None:
    model = network.build(71, 71, 5, 0.0)  # other classes: its last layer stays as it is
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


def test_keras_files_are_not_what_run_takes(tiny_run: RunFolder) -> None:
    with pytest.raises(Exception, match="is not an ONNX file"):
        Predictor.open(tiny_run.model)
