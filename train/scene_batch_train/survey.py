"""A first look at labelled photos, each read once: what is readable, and which show the same."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from scene_batch.model.decode import decode
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import Unreadable
from scene_batch.sources.reading import read
from scene_batch_train.photos import LabelledPhoto, each
from scene_batch_train.similarity import SIDE, Thumbnails, groups_of, similar_pairs

_THUMBNAIL = Preprocess(SIDE, SIDE, "bilinear", "stretch")


@dataclass(frozen=True, slots=True)
class Look:
    """What one readable photo is."""

    photo: LabelledPhoto
    sha256: str
    """Of the file's bytes."""
    size_bytes: int
    width: int
    """As stored, before EXIF orientation, in pixels."""
    height: int
    mode: str
    """Pillow's name of the pixel format: RGB, L, CMYK, P, …"""
    format: str
    thumbnail: bytes


class Survey:
    """All photos of a data set after a first look.

    Attributes:
        looks: The readable photos, in order.
        unreadable: The others.
    """

    def __init__(self, outcomes: Sequence[Look | Unreadable]) -> None:
        self.looks = [outcome for outcome in outcomes if isinstance(outcome, Look)]
        self.unreadable = [outcome for outcome in outcomes if isinstance(outcome, Unreadable)]

    @property
    def photos(self) -> list[LabelledPhoto]:
        """The readable photos, in order."""
        return [look.photo for look in self.looks]

    @cached_property
    def identical(self) -> npt.NDArray[np.int64]:
        """Pairs of photos with the same bytes, each with the first of its kind: ``(pairs, 2)``."""
        first: dict[str, int] = {}
        pairs = [
            (first[look.sha256], index)
            for index, look in enumerate(self.looks)
            if first.setdefault(look.sha256, index) != index
        ]
        return np.array(pairs, np.int64).reshape(-1, 2)

    @cached_property
    def similar(self) -> npt.NDArray[np.int64]:
        """Pairs of near duplicates, identical ones among them: int64 ``(pairs, 2)``."""
        return similar_pairs(self._thumbnails())

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        """Which photos show the same, a number for each group: int64 ``(photos,)``."""
        return groups_of(len(self.looks), np.concatenate([self.identical, self.similar]))

    def conflicting(self, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The pairs whose photos have different classes."""
        classes = np.array([look.photo.class_index for look in self.looks], np.int64)
        differ: npt.NDArray[np.bool_] = classes[pairs[:, 0]] != classes[pairs[:, 1]]
        return pairs[np.flatnonzero(differ)]

    def _thumbnails(self) -> Thumbnails:
        whole = b"".join(look.thumbnail for look in self.looks)
        return np.frombuffer(whole, np.uint8).reshape(len(self.looks), SIDE, SIDE, 3)


def survey(photos: Sequence[LabelledPhoto]) -> Survey:
    """Read each photo once."""
    return Survey(list(each(_look, photos, "look at photos")))


def _look(photo: LabelledPhoto) -> Look | Unreadable:
    data = read(photo.ref)
    if isinstance(data, Unreadable):
        return data
    outcome = decode(photo.ref, data, _THUMBNAIL)
    if isinstance(outcome, Unreadable):
        return outcome
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        return Look(
            photo=photo,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            width=width,
            height=height,
            mode=image.mode,
            format=image.format or "",
            thumbnail=outcome.pixels.tobytes(),
        )
