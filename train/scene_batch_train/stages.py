"""The two stages of a training run: the top on a frozen base, then every layer.

Each goes on from its last whole epoch when the same run is begun again: order and augmentation
depend on the seed and the epoch's number, everything else is in the stage's backup.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras

from scene_batch_train import network
from scene_batch_train.batches import Batches, features_of, mirrored, plain
from scene_batch_train.continuing import Backup, Commit, KeepBest, Patience
from scene_batch_train.data_set import DataSet
from scene_batch_train.progress import progress_bar
from scene_batch_train.recipe import Recipe
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.teaching import Lessons
from scene_batch_train.watching import SeedEpochs, Watch

HEAD, FINE_TUNE = "head", "fine_tune"


def train_head(
    model: keras.Model,
    data: DataSet,
    recipe: Recipe,
    run: RunFolder,
    lessons: Lessons | None = None,
) -> None:
    """Stage one: the top alone."""
    if run.epochs_done(FINE_TUNE):  # whose backup holds all that this stage made
        return
    stage = recipe.head
    if stage.augment:
        for layer in network.base_of(model, stage.frozen).layers:
            layer.trainable = False
        learner = model
    else:
        learner = network.top_of(model, stage.frozen)
    if run.epochs_done(HEAD) < stage.epochs:
        compile_for(learner, keras.optimizers.Adam(stage.learning_rate), recipe)
        if stage.augment:
            train, validation = photo_batches(data, recipe, stage.batch_size, lessons)
        else:
            train, validation = feature_batches(model, data, recipe, lessons)
        _fit(learner, HEAD, run, stage.epochs, recipe.seed, train, validation)
    learner.load_weights(run.checkpoint(HEAD))


def fine_tune(
    model: keras.Model,
    data: DataSet,
    recipe: Recipe,
    run: RunFolder,
    lessons: Lessons | None = None,
) -> None:
    """Stage two: every layer, batch norms as they stand (docs/decisions/003)."""
    stage = recipe.fine_tune
    if not stage.epochs:
        return
    for layer in model.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    train, validation = photo_batches(data, recipe, stage.batch_size, lessons)
    steps = stage.epochs * len(train)
    warmup = int(stage.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=stage.learning_rate, warmup_steps=warmup
    )
    average = {"use_ema": True, "ema_momentum": stage.average} if stage.average else {}
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=stage.weight_decay, **average)
    compile_for(model, optimizer, recipe)
    # The averaged weights are what is validated and kept, so they are swapped in first.
    averaging = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if average else []
    batches = train, validation
    _fit(model, FINE_TUNE, run, stage.epochs, recipe.seed, *batches, stage.patience, averaging)
    model.load_weights(run.checkpoint(FINE_TUNE))


def build_for(recipe: Recipe, classes: int) -> keras.Model:
    """The recipe's network, untrained."""
    return network.build(
        recipe.height,
        recipe.width,
        classes,
        recipe.dropout,
        recipe.inner,
        width_multiplier=recipe.width_multiplier,
        middle_blocks=recipe.middle_blocks,
    )


def compile_for(model: keras.Model, optimizer: keras.Optimizer, recipe: Recipe) -> None:
    """Give a model its optimizer and the recipe's loss."""
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
    # A metric and an optimizer with variables: if the first step had to make them, TensorFlow
    # would trace it twice.
    model.compile(optimizer, loss, metrics=[keras.metrics.CategoricalAccuracy("accuracy")])
    optimizer.build(model.trainable_variables)


def _fit(  # noqa: PLR0913, PLR0917
    model: keras.Model,
    stage: str,
    run: RunFolder,
    epochs: int,
    seed: int,
    train: Batches,
    validation: Batches,
    patience: int | None = None,
    averaging: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Train for a stage's epochs, less those that an earlier process did."""
    train.epoch = run.epochs_done(stage)
    before = [float(row["val_loss"]) for row in run.read_history() if row["stage"] == stage]
    waiting = Patience(epochs if patience is None else patience, before)
    backup = run.backup(stage)
    model.fit(
        train,
        validation_data=validation,
        epochs=train.epoch if waiting.is_out else epochs,
        shuffle=False,  # Batches does, by seed and epoch; Keras would exchange whole batches
        callbacks=[
            Backup(backup),
            *averaging,
            SeedEpochs(seed),
            KeepBest(run.checkpoint(stage), before),
            Watch(stage, run.history),
            keras.callbacks.TensorBoard(os.fspath(run.logs(stage)), write_graph=False),
            waiting,
            Commit(backup),
        ],
        verbose=0,
    )


def photo_batches(
    data: DataSet, recipe: Recipe, batch_size: int, lessons: Lessons | None
) -> tuple[Batches, Batches]:
    """The training photos, changed anew each time they are dealt out, and the validation photos.

    A teacher is heard on the former alone: what is chosen by, the labels decide.
    """
    train, validation, classes = data.train, data.validation, len(data.classes)
    return Batches(
        train.pixels,
        train.class_indices,
        classes,
        batch_size=batch_size,
        seed=recipe.seed,
        change=recipe.augment,
        class_weights=data.class_weights(recipe),
        lesson=lessons.of_photos() if lessons else None,
    ), Batches(validation.pixels, validation.class_indices, classes, batch_size=batch_size)


def feature_batches(
    model: keras.Model, data: DataSet, recipe: Recipe, lessons: Lessons | None
) -> tuple[Batches, Batches]:
    """The base's features of the photos, computed once; of their mirror images, too."""
    base = network.base_of(model, recipe.head.frozen)
    views = (plain, mirrored) if recipe.augment.flip else (plain,)
    total = len(data.train.pixels) * len(views) + len(data.validation.pixels)
    with progress_bar(total, "features", "photo") as bar:
        train = features_of(base, data.train, views, bar.update)
        validation = features_of(base, data.validation, [plain], bar.update)
    size, classes = recipe.head.batch_size, len(data.classes)
    return Batches(
        train.values,
        train.class_indices,
        classes,
        batch_size=size,
        seed=recipe.seed,
        class_weights=data.class_weights(recipe),
        lesson=lessons.of_views(views) if lessons else None,
    ), Batches(validation.values, validation.class_indices, classes, batch_size=size)
