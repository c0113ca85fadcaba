"""The photos that a model file is made with: to compare on, to calibrate on, to put in the file."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from scene_batch.errors import TrainingError
from scene_batch.model.decode import decode
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import Decoded, ImageRef, Pixels
from scene_batch.sources.listing import Listing
from scene_batch_train.photos import find_photos, load_photo

CALIBRATION_PHOTOS = 256
COMPARED_PHOTOS = 2000
GOLDEN_PHOTOS = 8
_GOLDEN_QUALITY = 90

_SEED = 20

Item = TypeVar("Item")


class LabelledPixels(NamedTuple):
    """Photos whose class is known, as the model sees them."""

    name: str
    """Of their folder."""
    pixels: list[Pixels]
    class_indices: npt.NDArray[np.int64]
    """``(photos,)``."""
    near_copies: int = 0
    """Of photos that were trained on, which were left out."""


def labelled_folder(
    folder: Path, classes: Sequence[str], preprocess: Preprocess, without: Collection[str] = ()
) -> LabelledPixels:
    """The photos of a folder with a folder for each class.

    Args:
        folder: Its folders are named as classes.
        classes: The model's, in index order.
        preprocess: The model's.
        without: Paths of photos that are left out.

    Raises:
        TrainingError: A photo cannot be read, or a class is not the model's.
    """
    members, names = find_photos(folder)
    members = [member for member in members if member.ref.path not in without]
    pixels, indices = [], []
    for member in members:
        name = names[member.class_index]
        if name not in classes:
            raise TrainingError(f"{str(folder)!r}: {name!r} is no class of the model")
        photo = load(member.ref, preprocess)
        if photo is None:
            raise TrainingError(f"{member.ref.path!r} cannot be read; take it out of the test")
        pixels.append(photo)
        indices.append(classes.index(name))
    return LabelledPixels(folder.name, pixels, np.array(indices, np.int64), len(without))


def of_folder(folder: Path) -> list[ImageRef]:
    """The photos of a folder, sorted; SourceError where it is missing."""
    return list(Listing([str(folder)]))


def loaded(refs: Sequence[ImageRef], preprocess: Preprocess, count: int) -> Iterator[Pixels]:
    """The readable ones of ``count`` photos, the same each time, in order."""
    for ref in choose(refs, count):
        photo = load(ref, preprocess)
        if photo is not None:
            yield photo


def choose(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` items, the same each time, in their order."""
    if len(items) <= count:
        return list(items)
    chosen = np.random.default_rng(_SEED).choice(len(items), count, replace=False)
    return [items[index] for index in sorted(chosen)]


def load(ref: ImageRef, preprocess: Preprocess) -> Pixels | None:
    """A photo as the model sees it; None where it cannot be read."""
    photo = load_photo(ref, preprocess)
    return photo.pixels if isinstance(photo, Decoded) else None


def golden_photos(pixels: Sequence[Pixels]) -> list[bytes]:
    """Encode photos of the size of the model's input: they weigh some kilobytes each."""
    return [_encode(photo) for photo in pixels]


def golden_pixels(images: Sequence[bytes], preprocess: Preprocess) -> list[Pixels]:
    """What the model sees of golden photos."""
    decoded = [decode(ImageRef("<golden>"), image, preprocess) for image in images]
    return [photo.pixels for photo in decoded if isinstance(photo, Decoded)]


def _encode(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_GOLDEN_QUALITY)
    return buffer.getvalue()
