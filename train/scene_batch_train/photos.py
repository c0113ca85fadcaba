"""Labelled photos: found in one folder for each class, and decoded as a run decodes them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from scene_batch.errors import TrainingError
from scene_batch.model.decode import decode
from scene_batch.model.preprocess import Preprocess
from scene_batch.processors import usable_cpus
from scene_batch.read_ahead import read_ahead
from scene_batch.records import Decoded, ImageRef, Unreadable, printable
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import read
from scene_batch.threads import Pool
from scene_batch_train.free_disk import refuse_full_disk
from scene_batch_train.progress import progress_bar

Outcome = TypeVar("Outcome")


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
    folders = class_folders(data)
    for folder in folders:
        if not _is_text(folder.name):
            raise TrainingError(
                f"the class folder {printable(folder.name)!r} has a name that is not UTF-8;"
                " rename it"
            )
    if len(folders) < 2:  # noqa: PLR2004 - one class is nothing to learn
        raise TrainingError(f"{str(data)!r} needs one folder for each of at least two classes")
    photos = []
    for index, folder in enumerate(folders):
        of_class = [LabelledPhoto(ref, index) for ref in list_photos(folder)]
        if not of_class:
            raise TrainingError(f"the class folder {str(folder)!r} holds no photo")
        photos += of_class
    return photos, [folder.name for folder in folders]


def _is_text(name: str) -> bool:
    return printable(name) == name


def class_folders(data: Path) -> list[Path]:
    """The folders directly in ``data``, sorted, hidden ones left out."""
    if not data.is_dir():
        raise TrainingError(f"no such directory: {str(data)!r}; it holds one folder for each class")
    return sorted(d for d in data.iterdir() if d.is_dir() and not d.name.startswith("."))


def list_photos(folder: Path) -> list[ImageRef]:
    """The photos below a folder, sorted by path."""
    return list(Listing([os.path.join(os.curdir, folder)]))  # noqa: PTH118


def load(
    photos: Sequence[LabelledPhoto], preprocess: Preprocess, title: str
) -> tuple[PhotoSet, list[Unreadable]]:
    """Decode photos with the runner's own ``decode`` and ``preprocess``.

    Returns:
        The readable ones, and the others.

    Raises:
        OutputError: The pixels do not fit into the temporary folder.
    """

    def load_one(photo: LabelledPhoto) -> Decoded | Unreadable:
        return load_photo(photo.ref, preprocess)

    unreadable = []
    classes = []
    size = preprocess.height * preprocess.width * 3
    refuse_full_disk(
        Path(tempfile.gettempdir()),
        len(photos) * size,
        "make room, or name another folder by TMPDIR",
    )
    with tempfile.TemporaryFile() as file:  # unlinked: the pixels go with the process
        for photo, outcome in zip(photos, each(load_one, photos, title), strict=True):
            if isinstance(outcome, Unreadable):
                unreadable.append(outcome)
            else:
                file.write(outcome.pixels.tobytes())
                classes.append(photo.class_index)
        file.flush()
        shape = (len(classes), preprocess.height, preprocess.width, 3)
        pixels = np.memmap(file, np.uint8, "r", shape=shape) if classes else np.empty(shape, "u1")
    return PhotoSet(pixels, np.array(classes, np.int64)), unreadable


def load_photo(ref: ImageRef, preprocess: Preprocess) -> Decoded | Unreadable:
    """Read and decode one photo."""
    data = read(ref)
    return data if isinstance(data, Unreadable) else decode(ref, data, preprocess)


def each(
    work: Callable[[LabelledPhoto], Outcome], photos: Sequence[LabelledPhoto], title: str
) -> Iterator[Outcome]:
    """What ``work`` makes of each photo, in order, by a thread for each usable core."""
    workers = usable_cpus()
    outcome: Outcome
    with progress_bar(len(photos), title, "photo") as bar, Pool(workers) as pool:
        outcomes = read_ahead(
            lambda photo: pool.submit(lambda: work(photo)), photos, depth=8 * workers
        )
        for outcome in outcomes:
            yield outcome
            bar.update()
