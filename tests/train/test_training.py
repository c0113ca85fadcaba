"""A whole training run, small: what is in the run folder, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from scene_batch.errors import OutputExistsError, TrainingError
from scene_batch.model.predictor import Predictor
from scene_batch_train import network
from scene_batch_train.batches import Batches
from scene_batch_train.data_set import prepare
from scene_batch_train.photos import PhotoSet
from scene_batch_train.recipe import FineTune, Head, Recipe
from scene_batch_train.robustness import CHANGES
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.splitting import VALIDATION, read_split
from scene_batch_train.stages import build_for
from scene_batch_train.training import train
from small import small_recipe
from support import save_shade


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
    assert [(row["stage"], row["epoch"]) for row in rows] == [
        ("head", "1"),
        ("head", "2"),
        ("fine_tune", "1"),
        ("fine_tune", "2"),
    ]
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
    with tiny_run.predictions.open(newline="") as file:
        said = list(csv.DictReader(file))
    held = read_split(tiny_run.split, VALIDATION)
    assert [(row["path"], row["class"]) for row in said] == [(ref.path, name) for ref, name in held]
    right = sum(row["class"] == row["predicted"] for row in said) / len(said)
    assert round(right, 4) == metrics["validation"]["accuracy"]
    assert all(0.5 <= float(row["probability"]) <= 1 for row in said)
    pairs = {(row["class"], row["predicted"]) for row in said if row["class"] != row["predicted"]}
    assert tiny_run.mistakes.read_text().count(" taken for ") == len(pairs)
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
    start = build_for(tiny_run.read_recipe(), 2)
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
    recipe = small_recipe(max_unreadable=0.039)
    with pytest.raises(TrainingError, match=r"1 of 25 photos are unreadable, more than .*0\.039"):
        train(labelled, recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rare_classes_count_as_much_as_others(labelled: Path) -> None:
    recipe = small_recipe(class_weights="balanced")
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


def test_a_folder_of_something_else_is_not_touched(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("x")
    with pytest.raises(OutputExistsError, match="already there; give --out a new folder"):
        train(labelled, Recipe(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_loss_that_is_not_finite_stops_with_the_remedy(labelled: Path, tmp_path: Path) -> None:
    recipe = small_recipe(
        head=Head(epochs=5, learning_rate=1e38, batch_size=4),
        fine_tune=FineTune(epochs=0),
    )
    with pytest.raises(TrainingError, match=r"not finite at batch .*; lower learning_rate"):
        train(labelled, recipe, tmp_path / "run")


def test_a_failure_before_the_first_epoch_leaves_no_folder_in_the_way(
    labelled: Path, tmp_path: Path
) -> None:
    recipe = small_recipe(weights=str(tmp_path / "gone.npz"))
    for data, words in ((tmp_path / "gone", "no such directory"), (labelled, "no such weights")):
        with pytest.raises(TrainingError, match=words):
            train(data, recipe, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_users_folder_of_checkpoints_is_not_an_unfinished_run(
    labelled: Path, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(OutputExistsError, match="already there"):
        train(labelled, small_recipe(), tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_class_without_a_readable_photo_is_refused(tmp_path: Path) -> None:
    for name, good in (("a", 60), ("b", 60), ("empty", 0)):
        (tmp_path / name).mkdir()
        for number in range(good):
            save_shade(tmp_path / name / f"{number}.png", number)
    (tmp_path / "empty" / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(TrainingError, match="'empty' has no readable photo to train on"):
        prepare(tmp_path, small_recipe())


def test_keras_files_are_not_what_run_takes(tiny_run: RunFolder) -> None:
    with pytest.raises(Exception, match="is not an ONNX file"):
        Predictor.open(tiny_run.model)


def test_a_run_whose_network_or_classes_were_exchanged_is_found_out(
    tiny_run: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(tiny_run.path, tmp_path / "run")))
    run.write_classes(["dark", "bright"])
    with pytest.raises(TrainingError, match=r"classes\.json' is not as training left it"):
        RunFolder.open(run.path)
    run.write_classes(["bright", "dark"])
    RunFolder.open(run.path)
    run.model.write_bytes(run.model.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=r"model\.keras' is not as training left it"):
        RunFolder.open(run.path)
