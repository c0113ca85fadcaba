"""Check that a model file computes on this device what it computed when it was exported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from scene_batch.errors import ModelError
from scene_batch.model.card import PROBABILITY_TOLERANCE, GoldenVector
from scene_batch.model.digest import with_digest
from scene_batch.model.predictor import Predictor
from scene_batch.processors import has_avx2
from scene_batch.records import Decoded, ImageRef, Pixels

ROUNDED_ELSEWHERE = 0.1
"""Largest difference allowed for an int8 file on a provider of which it holds no answers: OpenVINO
and CUDA round between other layers, which changes those of the golden photos by 0.04."""
OLDER_PROCESSOR = 0.02
"""The same where the file holds the provider's answers, and the processor has no AVX2: OpenVINO's
code for SSE4.1 changed them by 0.012, that for AVX2, AVX-512 and VNNI not by a bit."""


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
    photo, answer = _now(predictor, vector)
    now = np.array(answer, np.float32)
    then = np.array(_then(predictor, vector), np.float32)
    return GoldenResult(
        same_class=bool(now.argmax() == then.argmax()),
        difference=float(np.abs(now - then).max()),
        same_pixels=pixels_sha256(photo.pixels) == vector.pixels_sha256,
        tolerance=_tolerance(predictor),
    )


def _now(predictor: Predictor, vector: GoldenVector) -> tuple[Decoded, tuple[float, ...]]:
    photo = predictor.decode(ImageRef("<golden>"), vector.image)
    if not isinstance(photo, Decoded):
        raise ModelError(f"a golden photo cannot be decoded: {photo.message}")
    return photo, tuple(predictor.session.probabilities([photo.pixels])[0].tolist())


def _then(predictor: Predictor, vector: GoldenVector) -> tuple[float, ...]:
    """What this provider gave when its answers were put into the file, else what ``cpu`` gave."""
    return vector.by_provider.get(predictor.session.provider, vector.exported)


def has_answers(predictor: Predictor) -> bool:
    """Whether the file holds this provider's own answers, or needs none: only int8 does."""
    provider = predictor.session.provider
    return (
        provider == "cpu"
        or predictor.card.precision != "int8"
        or all(provider in vector.by_provider for vector in predictor.card.golden)
    )


def _tolerance(predictor: Predictor) -> float:
    if not has_answers(predictor):
        return ROUNDED_ELSEWHERE
    precision = predictor.card.precision
    rounds = precision == "int8" and predictor.session.provider != "cpu"
    return OLDER_PROCESSOR if rounds and not has_avx2() else PROBABILITY_TOLERANCE[precision]


def with_answers(predictor: Predictor) -> bytes:
    """The model file's bytes with the answers of the provider that runs here.

    Raises:
        ModelError: The file has no digest, its golden photos are not as exported here, or the
            provider is ``cpu``, whose answers it has.
    """
    if predictor.session.provider == "cpu":
        raise ModelError("the file has the answers of cpu since its export; name another provider")
    if not predictor.session.has_digest:
        raise ModelError(f"{str(predictor.session.path)!r} has no digest; export it again")
    if not all(result.passed for result in check(predictor)):
        raise ModelError("the golden photos are not as exported here, so nothing is saved")
    provider = predictor.session.provider
    golden = tuple(
        replace(vector, by_provider={**vector.by_provider, provider: _now(predictor, vector)[1]})
        for vector in predictor.card.golden
    )
    card = replace(predictor.card, golden=golden)
    return with_digest(predictor.session.path.read_bytes(), card.to_metadata())
