"""How far an exported file's outputs are from those that it must equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scene_batch.errors import ParityError
from scene_batch_train.figures import Probabilities


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sets of probabilities for the same photos, compared."""

    photos: int
    agreement: float
    """Share of photos with the same most probable class."""
    largest: float
    """The largest difference of a probability."""

    def __str__(self) -> str:
        """One line for a person."""
        return (
            f"{self.photos} photos: top-1 agreement {self.agreement:.4f},"
            f" probabilities within {self.largest:.1e}"
        )


def compare(ours: Probabilities, theirs: Probabilities) -> Difference:
    """Compare probabilities of the same photos in the same order."""
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    return Difference(len(ours), float(same.mean()), float(np.abs(ours - theirs).max()))


def refuse_lowered(precision: str, difference: Difference, min_agreement: float) -> None:
    """Raise ParityError where int8 or fp16 keeps too few of fp32's classes."""
    if difference.agreement < min_agreement:
        remedy = "calibrate on other photos (--calibrate) or " if precision == "int8" else ""
        raise ParityError(
            f"not written: {precision} differs from fp32 beyond an agreement of {min_agreement:g};"
            f" {difference}; {remedy}keep fp32"
        )
