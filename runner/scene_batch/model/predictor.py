"""A model, ready for photos: encoded bytes to pixels, pixels to rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from scene_batch.errors import UsageError
from scene_batch.model.attempt import Limits
from scene_batch.model.calls import are_probabilities
from scene_batch.model.card import ModelCard
from scene_batch.model.compute_options import AUTO, ComputeOptions
from scene_batch.model.decode import decode, decode_pixels
from scene_batch.model.model_file import ModelFile
from scene_batch.model.session import Session
from scene_batch.records import (
    Batch,
    ClassProbability,
    Decoded,
    ImageRef,
    Pixels,
    Prediction,
    Row,
    Unreadable,
)


@dataclass(frozen=True, slots=True)
class Predictor:
    """A model with its preprocessing, and how many classes a row names."""

    session: Session
    top_k: int

    @classmethod
    def open(
        cls,
        model: Path | ModelFile | None = None,
        options: ComputeOptions = AUTO,
        *,
        top_k: int | None = None,
    ) -> Self:
        """Open a model file; see ``Session.open`` and ``of``."""
        return cls.of(Session.open(model, options), top_k)

    @classmethod
    def of(cls, session: Session, top_k: int | None = None) -> Self:
        """Use an open model; ``top_k`` None keeps 3 classes, or all where there are fewer.

        Raises:
            UsageError: ``top_k`` is more than the model has classes, or less than 1.
            ModelError: The model's answers are no probabilities.
        """
        session.check()
        classes = len(session.card.classes)
        if top_k is not None and not (type(top_k) is int and 1 <= top_k <= classes):
            raise UsageError(f"top-k {top_k}: the model has {classes} classes; take 1 to {classes}")
        return cls(session, top_k or min(3, classes))

    @property
    def card(self) -> ModelCard:
        """What the model file says of itself."""
        return self.session.card

    def decode(
        self, ref: ImageRef, data: bytes | Pixels, limits: Limits | None = None
    ) -> Decoded | Unreadable:
        """Turn an encoded photo, or pixels of any size, into the pixels that this model sees.

        ``limits`` are for an encoded one: see ``decode.decode``.

        Raises:
            ValueError: Pixels are not ``uint8 (height, width, 3)``.
        """
        if isinstance(data, bytes):
            return decode(ref, data, self.card.preprocess, limits)
        return decode_pixels(ref, data, self.card.preprocess)

    def predict(self, batch: Batch) -> list[Row]:
        """Classify one batch: a row for each item, in order."""
        pixels = [item.pixels for item in batch.items if isinstance(item, Decoded)]
        tops = iter(self._tops(self.session.probabilities(pixels)) if pixels else ())
        return [
            _row(item.ref, next(tops)) if isinstance(item, Decoded) else item
            for item in batch.items
        ]

    def _tops(
        self, probabilities: npt.NDArray[np.float32]
    ) -> Iterator[tuple[ClassProbability, ...]]:
        """The ``top_k`` classes of each photo, most probable first, ties in index order.

        None of them where what the model gave is no probabilities.
        """
        sound = are_probabilities(probabilities).tolist()
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : self.top_k]
        highest = probabilities[np.arange(len(order))[:, None], order]
        name = self.card.classes.__getitem__
        for indices, values, is_sound in zip(order.tolist(), highest.tolist(), sound, strict=True):
            yield tuple(map(ClassProbability, map(name, indices), values)) if is_sound else ()


def _row(ref: ImageRef, top: tuple[ClassProbability, ...]) -> Row:
    if top:
        return Prediction(ref, top)
    return Unreadable(ref, "no_answer", "the model's answer is not probabilities that sum to one")
