"""The photos that export needs: to compare on, to calibrate on, and to put in the file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from scene_batch.errors import TrainingError
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import Decoded, ImageRef, Pixels
from scene_batch.sources.listing import Listing
from scene_batch_train.photos import find_photos, load_photo
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.splitting import TRAIN, VALIDATION, read_split

CALIBRATION_PHOTOS = 256
COMPARED_PHOTOS = 2000
GOLDEN_PHOTOS = 8
_GOLDEN_QUALITY = 90

_SEED = 20

Item = TypeVar("Item")


def labelled(run: RunFolder) -> tuple[list[Pixels], npt.NDArray[np.int64]]:
    """Photos of the run's validation part and their class indices, int64 ``(photos,)``.

    Raises:
        TrainingError: None of them can be read.
    """
    classes = run.read_classes()
    chosen = _choose(read_split(run.split, VALIDATION), COMPARED_PHOTOS)
    pixels, indices = [], []
    for ref, name in chosen:
        if name not in classes:
            raise TrainingError(f"{str(run.path)!r}: class {name!r} of split.csv is no class")
        photo = _load(ref, run.read_preprocess())
        if photo is not None:
            pixels.append(photo)
            indices.append(classes.index(name))
    if not pixels:
        raise TrainingError(
            f"no validation photo of {str(run.path)!r} can be read (first: {chosen[0][0].path!r});"
            " export where split.csv's paths lead to them"
        )
    return pixels, np.array(indices, np.int64)


def labelled_folder(run: RunFolder, folder: Path) -> tuple[list[Pixels], npt.NDArray[np.int64]]:
    """The photos of a folder of class folders and their class indices, int64 ``(photos,)``.

    Raises:
        TrainingError: A photo cannot be read or is the run's own, or a class is not the run's.
    """
    members, names = find_photos(folder)
    own = {
        os.path.realpath(ref.path)
        for part in (TRAIN, VALIDATION)
        for ref, _ in read_split(run.split, part)
    }
    known = next((m.ref.path for m in members if os.path.realpath(m.ref.path) in own), None)
    if known is not None:
        raise TrainingError(f"{known!r} is one of the run's own photos, and tests nothing")
    classes, preprocess = run.read_classes(), run.read_preprocess()
    pixels, indices = [], []
    for member in members:
        name = names[member.class_index]
        if name not in classes:
            raise TrainingError(f"{str(folder)!r}: {name!r} is no class of {str(run.path)!r}")
        photo = _load(member.ref, preprocess)
        if photo is None:
            raise TrainingError(f"{member.ref.path!r} cannot be read; take it out of the test")
        pixels.append(photo)
        indices.append(classes.index(name))
    return pixels, np.array(indices, np.int64)


def for_calibration(run: RunFolder, folder: Path | None) -> list[Pixels]:
    """Photos to calibrate on: from ``folder``, else of the run's training part.

    Raises:
        TrainingError: None of them can be read.
    """
    pixels = list(_loaded(run, folder, TRAIN, CALIBRATION_PHOTOS))
    if not pixels:
        raise TrainingError("no photo to calibrate on can be read; name a folder: --calibrate DIR")
    return pixels


def for_golden(run: RunFolder, folder: Path | None) -> list[bytes]:
    """Small encoded photos for the file: from ``folder``, else of the run's validation part.

    They are as large as the model's input, so that they weigh some kilobytes each.
    """
    images = [_encode(photo) for photo in _loaded(run, folder, VALIDATION, GOLDEN_PHOTOS)]
    if not images:
        raise TrainingError("no golden photo can be read; name a folder of photos: --golden DIR")
    return images


def _loaded(run: RunFolder, folder: Path | None, part: str, count: int) -> Iterator[Pixels]:
    """The readable ones of ``count`` photos of a folder, or else of a part of the run."""
    if folder is None:
        refs = [ref for ref, _ in read_split(run.split, part)]
    else:
        refs = list(Listing([str(folder)]))
    preprocess = run.read_preprocess()
    for ref in _choose(refs, count):
        photo = _load(ref, preprocess)
        if photo is not None:
            yield photo


def _choose(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` items, the same each time, in their order."""
    if len(items) <= count:
        return list(items)
    chosen = np.random.default_rng(_SEED).choice(len(items), count, replace=False)
    return [items[index] for index in sorted(chosen)]


def _load(ref: ImageRef, preprocess: Preprocess) -> Pixels | None:
    photo = load_photo(ref, preprocess)
    return photo.pixels if isinstance(photo, Decoded) else None


def _encode(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_GOLDEN_QUALITY)
    return buffer.getvalue()
