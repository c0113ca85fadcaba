"""The photos of a training run: surveyed, split, decoded."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from scene_batch.errors import TrainingError
from scene_batch.model.card import is_class_name
from scene_batch.records import ImageRef
from scene_batch_train import inventory, photos
from scene_batch_train.photos import LabelledPhoto, PhotoSet
from scene_batch_train.recipe import Recipe
from scene_batch_train.splitting import TRAIN, UNREADABLE, VALIDATION, split
from scene_batch_train.survey import Survey, survey

_SHOWN = 20
"""Unreadable photos that are named one by one."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """The decoded photos of a run, and where they came from."""

    classes: list[str]
    train: PhotoSet
    validation: PhotoSet
    rows: list[tuple[ImageRef, str, str]]
    """Of split.csv: each photo, its class name and its part."""
    description: dict[str, Any]
    """For config.json and the model's card."""

    @property
    def validation_paths(self) -> list[str]:
        """Of the validation photos, in their order."""
        return [ref.path for ref, _, part in self.rows if part == VALIDATION]

    @property
    def class_counts(self) -> npt.NDArray[np.int64]:
        """Training photos of each class, int64 ``(classes,)``."""
        return np.bincount(self.train.class_indices, minlength=len(self.classes))

    def class_weights(self, recipe: Recipe) -> npt.NDArray[np.float32] | None:
        """How much a photo of each class counts; None where all count the same.

        ``balanced``: photos / (classes * photos of the class), so that the mean over photos is 1
        (King and Zeng 2001, Logistic regression in rare events data, section 4.2).
        """
        if recipe.class_weights == "none":
            return None
        counts = self.class_counts
        weights: npt.NDArray[np.float32] = (counts.sum() / (len(counts) * counts)).astype("f4")
        return weights


def prepare(folder: Path, recipe: Recipe) -> DataSet:
    """Find, survey, split and decode the photos of a folder.

    Raises:
        TrainingError: There are too few, or too many that are unreadable.
    """
    inventory.refuse_nested(folder)
    found, classes = photos.find_photos(folder)
    for line in inventory.found_in_words(folder, found, classes):
        say(line)
    seen = survey(found)
    check_readable(seen, len(found), recipe.max_unreadable, classes)
    parts = split(seen.photos, seen.groups, recipe.validation, recipe.seed)
    for line in inventory.judged_in_words(seen.photos, parts, classes):
        say(line)
    train, validation = (
        decode([p for p, its in zip(seen.photos, parts, strict=True) if its == part], recipe, part)
        for part in (TRAIN, VALIDATION)
    )
    _check_classes(train, classes)
    part_of = {photo.ref.path: part for photo, part in zip(seen.photos, parts, strict=True)}
    return DataSet(
        classes=classes,
        train=train,
        validation=validation,
        rows=[(p.ref, classes[p.class_index], part_of.get(p.ref.path, UNREADABLE)) for p in found],
        description={
            "folder": folder.name,
            "sha256": fingerprint(train),
            "validation_sha256": fingerprint(validation),
        },
    )


def _check_classes(train: PhotoSet, classes: Sequence[str]) -> None:
    """Refuse a class that has nothing to learn from, or a name that no model file takes."""
    for name in classes:
        if not is_class_name(name):
            raise TrainingError(
                f"the folder {name!r} cannot be a class: its name is blank, or has control"
                " characters; rename it"
            )
    missing = set(range(len(classes))) - set(train.class_indices.tolist())
    if missing:
        raise TrainingError(
            f"the class {classes[min(missing)]!r} has no readable photo to train on; add photos,"
            " or take the folder away"
        )


def check_readable(seen: Survey, found: int, most: float, classes: Sequence[str]) -> None:
    """Name the unreadable photos, which are left out, and say which show the same.

    Raises:
        TrainingError: They are more than a share ``most`` of those ``found``.
    """
    for photo in seen.unreadable[:_SHOWN]:
        say(f"left out, unreadable: {photo.ref.path}: {photo.message}")
    if len(seen.unreadable) > _SHOWN:
        say(f"left out, unreadable: {len(seen.unreadable) - _SHOWN} more; see split.csv")
    if len(seen.unreadable) > most * found:
        raise TrainingError(
            f"{len(seen.unreadable)} of {found} photos are unreadable, more than"
            f" max_unreadable = {most:g}; mend the data (scene-batch explore lists them)"
        )
    for line in inventory.seen_in_words(seen, classes):
        say(line)


def say(line: str) -> None:
    """Write a line to standard error, past a progress bar."""
    tqdm.write(line, file=sys.stderr)


def decode(members: Sequence[LabelledPhoto], recipe: Recipe, part: str) -> PhotoSet:
    """Decode the photos of a part.

    Raises:
        TrainingError: It has no photo, or one that was readable before is no longer.
    """
    if not members:
        raise TrainingError(f"no readable photo is left for the {part} part; add photos")
    loaded, unreadable = photos.load(members, recipe.preprocess, f"decode {part}")
    if unreadable:
        lost = unreadable[0]
        raise TrainingError(f"{lost.ref.path!r} changed while it was read: {lost.message}")
    return loaded


def fingerprint(photos: PhotoSet) -> str:
    """A sha256 of decoded photos and their classes, in order: equal only for equal data."""
    digest = hashlib.sha256(photos.class_indices.tobytes())
    for pixels in photos.pixels:
        digest.update(pixels.tobytes())
    return digest.hexdigest()
