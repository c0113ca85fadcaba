"""Labelled photos: found in one folder for each class, split, and decoded as a run decodes them."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scene_batch.decode import decode
from scene_batch.errors import TrainingError
from scene_batch.prefetch import prefetch
from scene_batch.preprocess import Preprocess
from scene_batch.records import Decoded, ImageRef, Unreadable
from scene_batch.sources import Listing, read
from scene_batch_train.progress import progress_bar

TRAIN, VALIDATION, UNREADABLE = "train", "validation", "unreadable"


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """One photo of a training set."""

    ref: ImageRef
    class_index: int


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """Decoded photos with their classes."""

    pixels: npt.NDArray[np.uint8]
    """``uint8 (photos, height, width, 3)``; on disk, so that a large set needs no memory."""
    class_indices: npt.NDArray[np.int64]
    """``int64 (photos,)``."""


def find_photos(data: Path) -> tuple[list[LabelledPhoto], list[str]]:
    """Find the photos of each class: every folder directly in ``data`` is a class.

    Returns:
        The photos, sorted by path, and the class names, sorted.

    Raises:
        TrainingError: There are fewer than two classes, or a class without photos.
    """
    if not data.is_dir():
        raise TrainingError(f"no such directory: {str(data)!r}; it holds one folder for each class")
    folders = sorted(d for d in data.iterdir() if d.is_dir() and not d.name.startswith("."))
    if len(folders) < 2:  # noqa: PLR2004 - one class is nothing to learn
        raise TrainingError(f"{str(data)!r} needs one folder for each of at least two classes")
    photos = []
    for index, folder in enumerate(folders):
        of_class = [LabelledPhoto(ref, index) for ref in Listing([os.path.join(os.curdir, folder)])]  # noqa: PTH118
        if not of_class:
            raise TrainingError(f"the class folder {str(folder)!r} holds no photo")
        photos += of_class
    return photos, [folder.name for folder in folders]


def split(photos: Sequence[LabelledPhoto], share: float, seed: int) -> list[str]:
    """Choose ``train`` or ``validation`` for each photo: the same share of every class.

    Each class with at least two photos has at least one in each part.
    """
    parts = [TRAIN] * len(photos)
    generator = np.random.default_rng(seed)
    of_class = np.array([photo.class_index for photo in photos])
    for class_index in np.unique(of_class):
        members = generator.permutation(np.flatnonzero(of_class == class_index))
        held = min(max(1, round(share * len(members))), len(members) - 1)
        for member in members[:held]:
            parts[member] = VALIDATION
    return parts


def load(
    photos: Sequence[LabelledPhoto], preprocess: Preprocess, title: str
) -> tuple[PhotoSet, dict[str, Unreadable]]:
    """Decode photos with the runner's own ``decode`` and ``preprocess``.

    Returns:
        The readable ones, and the others by path.
    """
    unreadable: dict[str, Unreadable] = {}
    classes = []
    with tempfile.TemporaryFile() as file:  # unlinked: the pixels go with the process
        for photo, outcome in zip(photos, _decoded(photos, preprocess, title), strict=True):
            if isinstance(outcome, Unreadable):
                unreadable[photo.ref.path] = outcome
            else:
                file.write(outcome.pixels.tobytes())
                classes.append(photo.class_index)
        file.flush()
        shape = (len(classes), preprocess.height, preprocess.width, 3)
        pixels = np.memmap(file, np.uint8, "r", shape=shape) if classes else np.empty(shape, "u1")
    return PhotoSet(pixels, np.array(classes, np.int64)), unreadable


def _decoded(
    photos: Sequence[LabelledPhoto], preprocess: Preprocess, title: str
) -> Iterator[Decoded | Unreadable]:
    def load_one(photo: LabelledPhoto) -> Decoded | Unreadable:
        data = read(photo.ref)
        return data if isinstance(data, Unreadable) else decode(photo.ref, data, preprocess)

    workers = os.cpu_count() or 1
    outcome: Decoded | Unreadable
    with progress_bar(len(photos), title, "photo") as bar:
        for outcome in prefetch(load_one, photos, workers=workers, depth=8 * workers):
            yield outcome
            bar.update()


def write_split(
    path: Path, photos: Sequence[LabelledPhoto], parts: Sequence[str], classes: Sequence[str]
) -> None:
    """Write which photo was in which part: columns path, class, part."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "class", "part"])
        for photo, part in zip(photos, parts, strict=True):
            rows.writerow([photo.ref.path, classes[photo.class_index], part])


def read_split(path: Path, part: str) -> list[tuple[ImageRef, str]]:
    """Read the photos of one part, each with its class name."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [
            (ImageRef(row["path"]), row["class"])
            for row in csv.DictReader(file)
            if row["part"] == part
        ]
