"""What a file computes, by the runner's own session, and how good that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from scene_batch.model.card import ModelCard
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.session import Session
from scene_batch.records import Pixels
from scene_batch_export.photos import LabelledPixels
from scene_batch_export.writing import save
from scene_batch_train.figures import Probabilities, accuracy, figures, reliability


def outputs(
    model: onnx.ModelProto, card: ModelCard, pixels: Sequence[Pixels], workshop: Path
) -> Probabilities:
    """What the runner's own session computes with the file, saved as ``workshop``."""
    save(model, card, workshop)
    session = Session.open(workshop, ComputeOptions("cpu"))
    size = session.batch_size
    return np.concatenate(
        [
            session.probabilities(list(pixels[start : start + size]))
            for start in range(0, len(pixels), size)
        ]
    )


def short_figures(
    probabilities: Probabilities, class_indices: npt.NDArray[np.int64]
) -> dict[str, float]:
    """The figures by which precisions are compared."""
    return {
        "accuracy": round(accuracy(probabilities, class_indices), 4),
        "calibration_error": round(reliability(probabilities, class_indices).error, 4),
    }


def figures_on_test(
    model: onnx.ModelProto,
    card: ModelCard,
    test: LabelledPixels,
    top_k: int,
    workshop: Path,
) -> dict[str, Any]:
    """The file's own figures on photos that had no part in making it."""
    probabilities = outputs(model, card, test.pixels, workshop)
    found = figures(probabilities, test.class_indices, card.classes, top_k)
    about: dict[str, Any] = {"data": test.name, "date": datetime.now(UTC).date().isoformat()}
    if test.near_copies:
        about["near_copies_left_out"] = test.near_copies
    return about | found


def in_words(found: Mapping[str, Any]) -> str:
    """What ``figures_on_test`` found, as one line."""
    low, high = found["accuracy_interval"]
    near = found.get("near_copies_left_out")
    without = f" (without {near} near copies of the run's photos)" if near else ""
    return (
        f"{found['data']}, {found['photos']} photos{without}: accuracy {found['accuracy']:.4f}"
        f" (95 %: {low:.4f} to {high:.4f}), calibration error {found['calibration_error']:.4f}"
    )


def side_by_side(found: Mapping[str, Mapping[str, float]]) -> str:
    """The accuracy of each precision, the lowered one's first."""
    ordered = reversed(list(found.items()))
    return "accuracy " + " against ".join(f"{f['accuracy']:.4f} ({name})" for name, f in ordered)
