"""Photos and features, dealt out to Keras in batches."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from scene_batch.processors import usable_cpus
from scene_batch_train.augment import augment, mix
from scene_batch_train.photos import PhotoSet
from scene_batch_train.recipe import Augment
from scene_batch_train.teaching import Lesson, View

FEATURE_BATCH = 64


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Arrays of any size on disk, in batches with one-hot classes.

    With a seed they come in a new order each epoch, and with ``change`` each photo is augmented;
    both depend on the seed, the epoch and the photo alone, not on threads.
    """

    def __init__(  # noqa: PLR0913
        self,
        inputs: npt.NDArray[Any],
        class_indices: npt.NDArray[np.int64],
        classes: int,
        *,
        batch_size: int,
        seed: int | None = None,
        change: Augment | None = None,
        class_weights: npt.NDArray[np.float32] | None = None,
        lesson: Lesson | None = None,
    ) -> None:
        """Deal out inputs.

        Args:
            inputs: Photos or features, the first dimension counts them.
            class_indices: int64 ``(inputs,)``.
            classes: How many.
            batch_size: Inputs at a time; the last batch may be smaller.
            seed: Of order and augmentation; None keeps the order.
            change: How photos are augmented.
            class_weights: How much an input of each class counts, float32 ``(classes,)``.
            lesson: What a teacher says of the inputs, which is learned beside the classes.
        """
        # Threads for what takes time: Keras waits 0.1 s for them at the end of each epoch.
        super().__init__(workers=1 if change is None else usable_cpus(), max_queue_size=8)
        self._inputs, self._class_indices, self._classes = inputs, class_indices, classes
        self._batch_size, self._seed, self._change = batch_size, seed, change
        self._class_weights, self._lesson = class_weights, lesson
        self.epoch = 0
        """The number of the epoch that is dealt out; a continued run begins at a later one."""

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return math.ceil(len(self._inputs) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], ...]:
        """One batch: inputs, what is learned of them, and their weights, if they have any.

        What is learned is float32 ``(batch, classes)``: one-hot classes, perhaps mixed, perhaps
        with a teacher's answers.
        """
        members = self._order()[index * self._batch_size : (index + 1) * self._batch_size]
        inputs, one_hot = self._deal(self._inputs, members, index)
        targets = one_hot
        if self._lesson is not None:
            seen = inputs
            if self._lesson.inputs is not self._inputs:
                seen, _ = self._deal(self._lesson.inputs, members, index)
            targets = self._lesson.targets(seen, one_hot)
        if inputs.dtype == np.float16:
            inputs = inputs.astype(np.float32)
        if self._class_weights is None:
            return inputs, targets
        return inputs, targets, one_hot @ self._class_weights

    def _deal(
        self, source: npt.NDArray[Any], members: npt.NDArray[np.int64], index: int
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """A batch of a source, changed and mixed, and its classes: the same for any source."""
        one_hot = np.eye(self._classes, dtype=np.float32)[self._class_indices[members]]
        inputs = np.stack([self._input(source, member) for member in members])
        if self._change is not None:
            generator = np.random.default_rng([self._seed or 0, self.epoch, len(self), index])
            inputs, one_hot = mix(inputs, one_hot, self._change, generator)
        return inputs, one_hot

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's order."""
        self.epoch += 1

    def _order(self) -> npt.NDArray[np.int64]:
        if self._seed is None:
            return np.arange(len(self._inputs))
        return np.random.default_rng([self._seed, self.epoch]).permutation(len(self._inputs))

    def _input(self, source: npt.NDArray[Any], member: int) -> npt.NDArray[Any]:
        if self._change is None:
            return np.asarray(source[member])
        generator = np.random.default_rng([self._seed or 0, self.epoch, member])
        return augment(source[member], self._change, generator)


@dataclass(frozen=True, slots=True)
class Features:
    """What the frozen base makes of photos, with their classes."""

    values: npt.NDArray[np.float16]
    """``float16 (photos, height, width, channels)``, on disk."""
    class_indices: npt.NDArray[np.int64]
    """``int64 (photos,)``."""


def plain(pixels: npt.NDArray[np.uint8], _: int) -> npt.NDArray[np.uint8]:
    """Photos as they are."""
    return pixels


def mirrored(pixels: npt.NDArray[np.uint8], _: int) -> npt.NDArray[np.uint8]:
    """Photos with left and right exchanged."""
    return pixels[:, :, ::-1]


def changed(change: Augment, seed: int) -> View:
    """Each photo augmented once."""

    def view(pixels: npt.NDArray[np.uint8], first: int) -> npt.NDArray[np.uint8]:
        generators = (np.random.default_rng([seed, first + i]) for i in range(len(pixels)))
        return np.stack([augment(p, change, g) for p, g in zip(pixels, generators, strict=True)])

    return view


def features_of(
    base: keras.Model,
    photos: PhotoSet,
    views: Sequence[View],
    progress: Callable[[int], object],
) -> Features:
    """Compute the frozen base's features once.

    Args:
        base: Photos in, features out.
        photos: The photos.
        views: What is made of the photos: all of them by the first view, then by the next.
        progress: Takes the number of photos done since it was last called.
    """
    with tempfile.TemporaryFile() as file:
        for view in views:
            for start in range(0, len(photos.pixels), FEATURE_BATCH):
                pixels = view(photos.pixels[start : start + FEATURE_BATCH], start)
                features = keras.ops.convert_to_numpy(base.predict_on_batch(pixels))
                file.write(features.astype(np.float16).tobytes())
                progress(len(pixels))
        file.flush()
        count = len(photos.pixels) * len(views)
        values = np.memmap(file, np.float16, "r", shape=(count, *base.output_shape[1:]))
    return Features(values, np.tile(photos.class_indices, len(views)))
