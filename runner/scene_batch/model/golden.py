"""Check that a model file computes on this device what it computed when it was exported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from scene_batch.errors import ModelError
from scene_batch.model.card import PROBABILITY_TOLERANCE, GoldenVector
from scene_batch.model.predictor import Predictor
from scene_batch.records import Decoded, ImageRef, Pixels

ROUNDED_ELSEWHERE = 0.1
"""Largest difference allowed for an int8 file on another provider than at its export: OpenVINO and
CUDA round between other layers, which changes those of the golden photos by 0.04."""


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """One golden vector, computed again."""

    same_class: bool
    difference: float
    """The largest difference of a probability."""
    same_pixels: bool
    """False: the decoder gives other pixels here than at export."""
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the class is the same and the probabilities are within the tolerance."""
        return self.same_class and self.difference <= self.tolerance


def check(predictor: Predictor) -> list[GoldenResult]:
    """Compute each golden vector of the model file again.

    Raises:
        ModelError: The file has none, or one that cannot be decoded.
    """
    card = predictor.card
    if not card.golden:
        raise ModelError(f"{str(predictor.session.path)!r} has no golden vectors; export it again")
    return [_check_one(predictor, vector) for vector in card.golden]


def pixels_sha256(pixels: Pixels) -> str:
    """The sha256 of preprocessed pixels, ``uint8 (height, width, 3)``, in hex."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def _check_one(predictor: Predictor, vector: GoldenVector) -> GoldenResult:
    photo = predictor.decode(ImageRef("<golden>"), vector.image)
    if not isinstance(photo, Decoded):
        raise ModelError(f"a golden photo cannot be decoded: {photo.message}")
    now = predictor.session.probabilities([photo.pixels])[0]
    then = np.array(vector.exported, np.float32)
    return GoldenResult(
        same_class=bool(now.argmax() == then.argmax()),
        difference=float(np.abs(now - then).max()),
        same_pixels=pixels_sha256(photo.pixels) == vector.pixels_sha256,
        tolerance=_tolerance(predictor),
    )


def _tolerance(predictor: Predictor) -> float:
    if predictor.card.precision == "int8" and predictor.session.provider != "cpu":
        return ROUNDED_ELSEWHERE
    return PROBABILITY_TOLERANCE[predictor.card.precision]
