"""Retraining: a finished run learns new photos, and gives way only to a model that is no worse."""

from __future__ import annotations

import dataclasses
import math
import shutil
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

import keras

from scene_batch.errors import TrainingError
from scene_batch.model.model_file import sha256
from scene_batch_train.batches import Batches
from scene_batch_train.figures import accuracy
from scene_batch_train.new_photos import Extended, extend
from scene_batch_train.photos import PhotoSet
from scene_batch_train.recipe import Distillation, FineTune, Head, Recipe
from scene_batch_train.run_folder import Origin, RunFolder, config_of
from scene_batch_train.training import fill

LEAST_PHOTOS = 100
"""New photos, unless told otherwise: fewer say little about the next ones."""
WORSE = 0.005
"""What the new model may lose on the old validation photos, in accuracy."""
LEAST_DECIDING = 0.1
"""Photos that decide, of the new photos that there must be: 10 where 100 must."""
_PER_EPOCHS = 3
"""One epoch of fine-tuning for as many of the recipe's: the network knows the task."""


Stage = TypeVar("Stage", Head, FineTune)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accuracies of the old model and the new one on validation photos.

    None was trained on, but that the old model may have learned a corrected one by its old label.
    """

    old_photos: int
    new_photos: int
    old_before: float
    old_after: float
    new_before: float
    new_after: float

    @property
    def objection(self) -> str | None:
        """Why the new model may not take the old one's place; None if it may."""
        if self.old_after < self.old_before - WORSE:
            return "it is worse on the old validation photos"
        if self.new_after <= self.new_before:
            return "it is no better on the new photos"
        if self.new_after < self.old_after / 2:
            return "it does not learn the new photos' labels: check them"
        return None

    def __str__(self) -> str:
        """One line for a person."""
        return (
            f"old photos {self.old_before:.4f} -> {self.old_after:.4f} ({self.old_photos}),"
            f" new photos {self.new_before:.4f} -> {self.new_after:.4f} ({self.new_photos})"
        )


def retrain(
    folder: Path, added: Path, recipe: Recipe | None = None, least: int = LEAST_PHOTOS
) -> Verdict:
    """Train a finished run's model on new photos too, and put the better one in its place.

    The new run is made in ``FOLDER.next`` (and goes on there after an interruption). If it is
    taken, the old run becomes ``FOLDER.v<its version>``, the new one ``FOLDER``; else it is kept
    as ``FOLDER.refused``.

    Args:
        folder: The run folder.
        added: Labelled photos: a folder with one folder for each class, or a CSV table with the
            columns path and class, whose photos may be the run's own with other classes.
        recipe: The config; None: the run's own with fewer epochs, at half the rate.
        least: How many new photos there must be.

    Returns:
        Why the new model was taken.

    Raises:
        TrainingError: The photos cannot be used, or the new model is refused.
    """
    folder = folder.resolve()
    candidate = RunFolder(_beside(folder, "next"))
    if not candidate.is_finished:
        _train_candidate(RunFolder.open(folder), candidate.path, added, recipe, least)
    return _conclude(folder, candidate)


def _train_candidate(
    run: RunFolder, path: Path, added: Path, recipe: Recipe | None, least: int
) -> None:
    """Train in the folder ``path``, and write down how the models compare."""
    if recipe is not None and recipe.distillation != Distillation():
        raise TrainingError(
            "a retrained model learns what no teacher knows; take [train.distillation] out of the"
            " config"
        )
    recipe = dataclasses.replace(recipe or _gentler(run), weights=str(run.model))
    if recipe.preprocess != run.read_preprocess():
        raise TrainingError(
            f"the config's preprocessing is not that of {str(run.path)!r}: the models could not be"
            " compared; keep height, width, filter, fit and decoding"
        )
    extended = extend(run, added, recipe, least)
    old, new = extended.old_validation, extended.new_validation
    deciding = max(1, round(LEAST_DECIDING * least))
    if len(new.pixels) < deciding or not len(old.pixels):
        raise TrainingError(
            f"{len(new.pixels)} new and {len(old.pixels)} old photos are left to decide by, fewer"
            f" than {deciding} and 1: the new ones are copies of a few, or of what is trained on;"
            " add other photos"
        )
    origin = Origin(run.read_version(), sha256(run.model))
    candidate = RunFolder(path)
    if candidate.differs(config_of(recipe, extended.data.description, origin)):
        shutil.rmtree(path)  # a candidate of other photos, broken off
    with RunFolder.begin(path).held():
        _compare(run, candidate, extended, fill(candidate, extended.data, recipe, origin))


def _compare(
    run: RunFolder, candidate: RunFolder, extended: Extended, metrics: dict[str, Any]
) -> None:
    """Finish the candidate with both models' accuracies."""
    old, new = extended.old_validation, extended.new_validation
    before, after = (keras.models.load_model(r.model, compile=False) for r in (run, candidate))
    verdict = Verdict(
        old_photos=len(old.pixels),
        new_photos=len(new.pixels),
        old_before=_accuracy(before, old),
        old_after=_accuracy(after, old),
        new_before=_accuracy(before, new),
        new_after=_accuracy(after, new),
    )
    candidate.finish(metrics | {"retraining": dataclasses.asdict(verdict)})


def _conclude(folder: Path, candidate: RunFolder) -> Verdict:
    """Exchange the models, or not; a kill at any moment leaves the rest to the same command."""
    verdict = Verdict(**candidate.read_metrics()["retraining"])
    if verdict.objection:
        refused = _beside(folder, "refused")
        shutil.rmtree(refused, ignore_errors=True)
        candidate.path.rename(refused)
        raise TrainingError(
            f"the new model is refused, {verdict.objection}: {verdict};"
            f" {str(folder)!r} stays as it is, the new one is in {str(refused)!r}"
        )
    if folder.exists():
        folder.rename(_free(_beside(folder, f"v{RunFolder(folder).read_version()}")))
    candidate.path.rename(folder)
    return verdict


def _gentler(run: RunFolder) -> Recipe:
    """A run's recipe with fewer epochs at half the rate: the network knows the task.

    That of a retrained run is gentle already. Where only the top is trained, it stays as it is. A
    teacher would speak for the old labels, so there is none.
    """
    recipe = dataclasses.replace(run.read_recipe(), distillation=Distillation())
    if run.read_config()["from"] or not recipe.fine_tune.epochs:
        return recipe
    return dataclasses.replace(
        recipe,
        head=_gentler_stage(recipe.head),
        fine_tune=_gentler_stage(recipe.fine_tune),
    )


def _gentler_stage(stage: Stage) -> Stage:
    return dataclasses.replace(
        stage,
        epochs=math.ceil(stage.epochs / _PER_EPOCHS),
        learning_rate=stage.learning_rate / 2,
    )


def _accuracy(model: keras.Model, photos: PhotoSet) -> float:
    batches = Batches(photos.pixels, photos.class_indices, model.output_shape[-1], batch_size=32)
    return round(accuracy(model.predict(batches, verbose=0), photos.class_indices), 4)


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


def _free(folder: Path) -> Path:
    """The name, or the first one with a number behind it that is free."""
    names = chain([folder], (_beside(folder, str(number)) for number in count(2)))
    return next(name for name in names if not name.exists())
