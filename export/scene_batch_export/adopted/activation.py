"""Whether a foreign model gives probabilities or logits, told by what it gives."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scene_batch.errors import ModelError, UsageError
from scene_batch_export.adopted.known import Known

Activation = Literal["softmax", "none"]
_ALLOWED = 0.01
"""How far from one probabilities may sum up."""


def is_logits(answers: npt.NDArray[Any], known: Known) -> bool:
    """Whether a softmax is to be added; how that was told is put.

    Args:
        answers: Of some photos, ``(photos, classes)``.
        known: ``activation`` says it, where it is known: ``softmax`` is to be added, or ``none``.

    Raises:
        ModelError: Each class has a probability of its own: it is no classifier of our kind.
        UsageError: What is known contradicts what it gives, or it gives shares of another whole
            than one, such as percentages.
    """
    answers = answers.astype(np.float64)
    least, most = answers.min(), answers.max()
    sums = answers.sum(axis=1)
    seen = f"on {len(answers)} photos they are {least:.3g} to {most:.3g}"
    are_one = bool((np.abs(sums - 1) <= _ALLOWED).all() and least >= -_ALLOWED)
    if known.get("activation") == "sigmoid":
        raise _multi_label(known.sources["activation"])
    if known.get("activation") == "none" and not are_one:
        raise UsageError(
            f"--activation none: its answers are no probabilities, {seen}, and sum up to"
            f" {sums.min():.3g} to {sums.max():.3g}"
        )
    if known.get("activation") == "softmax":
        return True
    if are_one:
        known.put("activation", "none", f"its answers are probabilities: {seen}, and sum up to one")
        return False
    if least >= 0 and most > 1 and np.ptp(sums) <= _ALLOWED * sums.mean():
        raise UsageError(
            f"its answers are neither probabilities nor, it seems, logits: {seen}, and sum up to"
            f" {sums.mean():.3g} each time; export it without what scales them, or say --activation"
            " softmax if they are logits"
        )
    if least >= 0 and most <= 1:
        raise _multi_label(f"{seen}, and sum up to {sums.min():.3g} to {sums.max():.3g}")
    known.put("activation", "softmax", f"its answers are logits: {seen}")
    return True


def _multi_label(evidence: str) -> ModelError:
    return ModelError(
        f"it gives each class a probability of its own (sigmoid): {evidence}. A photo would have"
        " several classes, which a table of one class cannot say; --activation softmax takes the"
        " numbers as logits all the same"
    )
