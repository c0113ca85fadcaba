"""A training run: photos and a recipe in, a folder with the model and how it came about out."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from scene_batch.errors import TrainingError
from scene_batch_train import network, photos
from scene_batch_train.batches import Batches, features_of
from scene_batch_train.photos import PhotoSet
from scene_batch_train.progress import progress_bar
from scene_batch_train.recipe import Recipe
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.watching import Watch


@dataclass(frozen=True, slots=True)
class Data:
    """The decoded photos of a run."""

    classes: list[str]
    train: PhotoSet
    validation: PhotoSet


def train(data_folder: Path, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Train on labelled folders of photos and fill a run folder.

    Args:
        data_folder: One folder of photos for each class.
        recipe: The config.
        out: The run folder to make.

    Returns:
        The metrics on the validation part, as written to metrics.json.

    Raises:
        TrainingError: The data or the weights cannot be used, or the loss is not finite.
        OutputExistsError: ``out`` is already there.
    """
    run = RunFolder.create(out)
    try:
        return _train(data_folder, recipe, run)
    except BaseException:
        run.remove_if_untrained()  # the same command shall not find its own failure in its way
        raise


def _train(data_folder: Path, recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    begun = time.monotonic()
    data = _prepare(data_folder, recipe, run)
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(recipe.precision)
    try:
        model = _build(recipe, data)
        network.start_weights(model, recipe.weights)
        _train_head(model, data, recipe, run)
        epochs = _fine_tune(model, data, recipe, run) if recipe.fine_tune.epochs else 0
    finally:
        keras.config.set_dtype_policy("float32")
    final = _build(recipe, data)
    final.set_weights(model.get_weights())
    final.save(run.model)
    metrics = _metrics(final, data) | {
        "fine_tuned_epochs": epochs,
        "seconds": round(time.monotonic() - begun),
    }
    run.metrics.write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def _prepare(data_folder: Path, recipe: Recipe, run: RunFolder) -> Data:
    found, classes = photos.find_photos(data_folder)
    parts = photos.split(found, recipe.validation, recipe.seed)
    loaded = {}
    for part in (photos.TRAIN, photos.VALIDATION):
        members = [p for p, its in zip(found, parts, strict=True) if its == part]
        loaded[part], unreadable = photos.load(members, recipe.preprocess, f"decode {part}")
        for path, reason in unreadable.items():
            tqdm.write(f"left out, unreadable: {path}: {reason.message}")
        parts = [
            photos.UNREADABLE if photo.ref.path in unreadable else its
            for photo, its in zip(found, parts, strict=True)
        ]
        if not len(loaded[part].pixels):
            raise TrainingError(f"no readable photo for the {part} part in {str(data_folder)!r}")
    photos.write_split(run.split, found, parts, classes)
    run.write_classes(classes)
    run.write_config(recipe, data_folder, fingerprint(loaded[photos.TRAIN]))
    return Data(classes, loaded[photos.TRAIN], loaded[photos.VALIDATION])


def fingerprint(photos: PhotoSet) -> str:
    """A sha256 of decoded photos and their classes, in order: equal only for equal data."""
    digest = hashlib.sha256(photos.class_indices.tobytes())
    for pixels in photos.pixels:
        digest.update(pixels.tobytes())
    return digest.hexdigest()


def _build(recipe: Recipe, data: Data) -> keras.Model:
    return network.build(recipe.height, recipe.width, len(data.classes), recipe.dropout)


def _train_head(model: keras.Model, data: Data, recipe: Recipe, run: RunFolder) -> None:
    """Stage one: the top, on cached features of the frozen base, mirror images too."""
    base = keras.Model(model.input, network.cut_output(model))
    total = len(data.train.pixels) * (2 if recipe.augment.flip else 1) + len(data.validation.pixels)
    with progress_bar(total, "features", "photo") as bar:
        train_features = features_of(
            base, data.train, mirrored=recipe.augment.flip, progress=bar.update
        )
        val_features = features_of(base, data.validation, mirrored=False, progress=bar.update)
    classes = len(data.classes)
    size = recipe.head.batch_size
    top = network.top_of(model)
    top.compile(
        optimizer=keras.optimizers.Adam(recipe.head.learning_rate),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    best = run.checkpoint("head")
    top.fit(
        Batches(
            train_features.values,
            train_features.class_indices,
            classes,
            batch_size=size,
            seed=recipe.seed,
        ),
        validation_data=Batches(
            val_features.values, val_features.class_indices, classes, batch_size=size
        ),
        epochs=recipe.head.epochs,
        callbacks=[Watch("head", run.history), _keep_best(best)],
        verbose=0,
    )
    top.load_weights(best)


def _fine_tune(model: keras.Model, data: Data, recipe: Recipe, run: RunFolder) -> int:
    """Stage two: every layer, batch norms as they stand; returns the epochs that it took."""
    stage = recipe.fine_tune
    for layer in model.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    classes = len(data.classes)
    batches = Batches(
        data.train.pixels,
        data.train.class_indices,
        classes,
        batch_size=stage.batch_size,
        seed=recipe.seed,
        change=recipe.augment,
    )
    steps = stage.epochs * len(batches)
    warmup = int(stage.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=stage.learning_rate, warmup_steps=warmup
    )
    average = {"use_ema": True, "ema_momentum": stage.average} if stage.average else {}
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=stage.weight_decay, **average),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    best = run.checkpoint("fine_tune")
    # The averaged weights are what is validated and kept, so they are swapped in first.
    averaging = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if average else []
    history = model.fit(
        batches,
        validation_data=_validation(data, stage.batch_size),
        epochs=stage.epochs,
        callbacks=[
            *averaging,
            Watch("fine_tune", run.history),
            _keep_best(best),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=stage.patience),
        ],
        verbose=0,
    )
    model.load_weights(best)
    return len(history.history["loss"])


def _keep_best(path: Path) -> keras.callbacks.Callback:
    return keras.callbacks.ModelCheckpoint(
        os.fspath(path), monitor="val_loss", save_best_only=True, save_weights_only=True
    )


def _validation(data: Data, batch_size: int) -> Batches:
    photos = data.validation
    return Batches(photos.pixels, photos.class_indices, len(data.classes), batch_size=batch_size)


def _metrics(model: keras.Model, data: Data) -> dict[str, Any]:
    model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    figures = model.evaluate(_validation(data, 32), verbose=0, return_dict=True)
    return {
        "validation_accuracy": round(float(figures["accuracy"]), 4),
        "validation_loss": round(float(figures["loss"]), 4),
        "validation_photos": len(data.validation.pixels),
        "train_photos": len(data.train.pixels),
    }
