"""The proof that a wrapped graph answers as its original, for one photo and for several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from scene_batch.errors import ModelError, ParityError
from scene_batch.model.card import ModelCard
from scene_batch.records import Pixels
from scene_batch_export.adopted.original import INPUTS, Computed
from scene_batch_export.adopted.signature import Signature
from scene_batch_export.measuring import outputs
from scene_batch_export.parity import Difference, compare
from scene_batch_train.figures import Probabilities

TOLERANCE = {np.float32: 1e-5, np.float16: 1e-3}
"""Largest difference of a probability, by the type that the original computes in."""
_AT_ONCE = 3


class Original:
    """A foreign model, computed as its makers do it: on numbers, not on pixels."""

    def __init__(self, model: onnx.ModelProto, signature: Signature, path: Path) -> None:
        self._computed = Computed(model, repr(str(path)))
        self.signature = signature

    def answers(self, numbers: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """What it gives for ``(photos, height, width, 3)`` numbers: ``(photos, classes)``.

        Raises:
            ModelError: It fails, or gives another shape.
        """
        signature, size = self.signature, self.signature.batch or 1
        values: npt.NDArray[Any] = numbers.astype(INPUTS[signature.input.type])
        if signature.layout == "nchw":
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        # Photo by photo: a graph may be wrong for several.
        found = [
            self._computed(
                signature.input.name, np.repeat(values[i : i + 1], size, 0), [signature.output.name]
            )[0][:1]
            for i in range(len(values))
        ]
        answers = np.concatenate([each.reshape(1, -1) for each in found])
        if not np.isfinite(answers).all():
            raise ModelError("its answers are not all numbers: some are NaN or infinite")
        return answers


def softmax(logits: npt.NDArray[Any]) -> Probabilities:
    """Probabilities of logits, ``(photos, classes)``."""
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def prove(  # noqa: PLR0913, PLR0917 - what is compared, and where
    wrapped: onnx.ModelProto,
    card: ModelCard,
    pixels: Sequence[Pixels],
    expected: Probabilities,
    workshop: Path,
    tolerance: float,
) -> Difference:
    """Compare the wrapped graph with what its original gave for the same pixels.

    Raises:
        ParityError: It answers otherwise, or several photos at once otherwise than one by one.
    """
    _prove_batches(wrapped, pixels, tolerance)
    found = outputs(wrapped, card, pixels, workshop)
    difference = compare(found, expected)
    if not difference.largest <= tolerance:
        raise ParityError(
            f"not written: the wrapped graph differs from the original beyond {tolerance:g};"
            f" {difference}"
        )
    return difference


def _prove_batches(wrapped: onnx.ModelProto, pixels: Sequence[Pixels], tolerance: float) -> None:
    """Refuse a graph that is wrong, without a word, for more than one photo at a time."""
    some = np.stack(pixels[:_AT_ONCE])
    remedy = "export it again with a free batch (dynamic axes)"
    try:
        computed = Computed(wrapped, "the wrapped graph")
        (together,) = computed("image", some, ["probabilities"])
        each = [computed("image", some[i : i + 1], ["probabilities"])[0] for i in range(len(some))]
    except ModelError as error:
        raise ParityError(
            f"not written: the graph does not take one photo and {_AT_ONCE} at once ({error});"
            f" {remedy}"
        ) from None
    alone = np.concatenate(each)
    if together.shape != alone.shape or not np.abs(together - alone).max() <= tolerance:
        raise ParityError(
            f"not written: the graph is wrong for batches: {_AT_ONCE} photos at once have other"
            f" probabilities than one by one; {remedy}"
        )
