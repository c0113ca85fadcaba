"""A training run: photos and a recipe in, a folder with the model and how it came about out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras

from scene_batch_train import mistakes
from scene_batch_train.assessment import assess, draw
from scene_batch_train.continuing import check_room
from scene_batch_train.data_set import DataSet, prepare, say
from scene_batch_train.devices import has_gpu, policy
from scene_batch_train.memory_needed import check_memory
from scene_batch_train.recipe import Recipe
from scene_batch_train.run_folder import Origin, RunFolder
from scene_batch_train.splitting import TRAIN, write_split
from scene_batch_train.stages import FINE_TUNE, HEAD, build_for, fine_tune, train_head
from scene_batch_train.starting_weights import start_weights
from scene_batch_train.teaching import Teacher


def train(folder: Path, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Train on labelled folders of photos and fill a run folder.

    A run that was broken off goes on after its last whole epoch when it is begun again.

    Args:
        folder: One folder of photos for each class.
        recipe: The config.
        out: The run folder to make, or that of an unfinished run.

    Returns:
        The metrics on the validation part, as written to metrics.json.

    Raises:
        TrainingError: The data, the weights or the teacher cannot be used, the loss is not finite,
            or ``out`` holds an unfinished run of something else.
        OutputExistsError: ``out`` holds something else, or a finished run.
    """
    run = RunFolder.begin(out)
    data = prepare(folder, recipe)
    teacher = Teacher.open(recipe.distillation, data.classes)
    with run.held():
        metrics = fill(run, data, recipe, teacher=teacher)
        run.finish(metrics)
    return metrics


def fill(
    run: RunFolder,
    data: DataSet,
    recipe: Recipe,
    origin: Origin | None = None,
    teacher: Teacher | None = None,
) -> dict[str, Any]:
    """Train on a data set and fill a run folder with all that ``RunFolder`` names but metrics.json.

    Args:
        run: The folder, new or of the same run, unfinished.
        data: The photos.
        recipe: The config; its weights are where the training starts.
        origin: The model that is retrained, if there is one.
        teacher: The recipe's, if it has one.

    Returns:
        The metrics on the validation part, to ``finish`` the run with.
    """
    run.write_config(recipe, data.description, origin, teacher.identity if teacher else None)
    lessons = teacher.prepare(data) if teacher else None
    run.forget_broken_epochs()
    begun = time.monotonic() - sum(float(row["seconds"]) for row in run.read_history())
    write_split(run.split, data.rows)
    run.write_classes(data.classes)
    keras.utils.set_random_seed(recipe.seed)
    gpu = has_gpu()
    keras.config.set_dtype_policy(policy(recipe.precision, gpu))
    try:
        model = build_for(recipe, len(data.classes))
        if not gpu:  # whose memory is its own
            check_memory(model, recipe)
        started = start_weights(model, recipe.weights)
        say(f"starting weights: {started.arrays} of {started.of} arrays from {recipe.weights}")
        train_head(model, data, recipe, run, lessons)
        fine_tune(model, data, recipe, run, lessons)
    finally:
        keras.config.set_dtype_policy("float32")
    final = build_for(recipe, len(data.classes))
    final.set_weights(model.get_weights())
    figures, probabilities = assess(final, data, recipe)
    check_room(run.path, final.variables)
    final.save(run.model)
    for line in mistakes.write(run, data, probabilities, figures["validation"]):
        say(line)
    draw(final, data, probabilities, run)
    return figures | {
        "backend": keras.backend.backend(),
        "train_photos": sum(part == TRAIN for _, _, part in data.rows),
        "head_epochs": run.epochs_done(HEAD),
        "fine_tuned_epochs": run.epochs_done(FINE_TUNE),
        "seconds": round(time.monotonic() - begun),
    }
