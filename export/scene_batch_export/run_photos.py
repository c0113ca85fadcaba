"""The photos of a training run that export needs, by its split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scene_batch.errors import TrainingError
from scene_batch.records import ImageRef, Pixels
from scene_batch_export.photos import (
    CALIBRATION_PHOTOS,
    COMPARED_PHOTOS,
    GOLDEN_PHOTOS,
    LabelledPixels,
    choose,
    golden_photos,
    labelled_folder,
    load,
    loaded,
    of_folder,
)
from scene_batch_export.unseen import near_copies
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.splitting import TRAIN, VALIDATION, read_split


def labelled(run: RunFolder) -> LabelledPixels:
    """Photos of the run's validation part.

    Raises:
        TrainingError: None of them can be read.
    """
    classes = run.read_classes()
    chosen = choose(read_split(run.split, VALIDATION), COMPARED_PHOTOS)
    pixels, indices = [], []
    for ref, name in chosen:
        if name not in classes:
            raise TrainingError(f"{str(run.path)!r}: class {name!r} of split.csv is no class")
        photo = load(ref, run.read_preprocess())
        if photo is not None:
            pixels.append(photo)
            indices.append(classes.index(name))
    if not pixels:
        raise TrainingError(
            f"no validation photo of {str(run.path)!r} can be read (first: {chosen[0][0].path!r});"
            " export where split.csv's paths lead to them"
        )
    return LabelledPixels(run.path.name, pixels, np.array(indices, np.int64))


def for_test(run: RunFolder, folder: Path) -> LabelledPixels:
    """The photos of a folder of class folders, without near copies of the run's own.

    Raises:
        TrainingError: Some are the run's own or copies of these, or near copies are many.
    """
    without = near_copies(run, folder)
    return labelled_folder(folder, run.read_classes(), run.read_preprocess(), without)


def for_calibration(run: RunFolder, folder: Path | None) -> list[Pixels]:
    """Photos to calibrate on: from ``folder``, else of the run's training part.

    Raises:
        TrainingError: None of them can be read.
    """
    refs = _refs(run, folder, TRAIN)
    pixels = list(loaded(refs, run.read_preprocess(), CALIBRATION_PHOTOS))
    if not pixels:
        raise TrainingError("no photo to calibrate on can be read; name a folder: --calibrate DIR")
    return pixels


def for_golden(run: RunFolder, folder: Path | None) -> list[bytes]:
    """Small encoded photos for the file: from ``folder``, else of the run's validation part."""
    refs = _refs(run, folder, VALIDATION)
    images = golden_photos(list(loaded(refs, run.read_preprocess(), GOLDEN_PHOTOS)))
    if not images:
        raise TrainingError("no golden photo can be read; name a folder of photos: --golden DIR")
    return images


def _refs(run: RunFolder, folder: Path | None, part: str) -> Sequence[ImageRef]:
    """The photos of a folder, or else of a part of the run."""
    return [ref for ref, _ in read_split(run.split, part)] if folder is None else of_folder(folder)
