"""An export, from a run folder to a model file; nothing is written that is not as trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import keras
import numpy as np
import onnx

from scene_batch.errors import ParityError, TrainingError
from scene_batch.model.card import PROBABILITY_TOLERANCE, GoldenVector, ModelCard, Precision
from scene_batch.model.golden import pixels_sha256
from scene_batch_export import run_photos
from scene_batch_export.conversion import outputs_of_keras, to_onnx
from scene_batch_export.lowering import lowered
from scene_batch_export.measuring import (
    figures_on_test,
    in_words,
    outputs,
    short_figures,
    side_by_side,
)
from scene_batch_export.parity import Difference, compare, refuse_lowered
from scene_batch_export.photos import golden_pixels
from scene_batch_export.writing import check_place, publish, save, workshop
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.xception import in_words as network_in_words

_CALIBRATION = ("temperature", "calibration_error_before")
"""Figures of the run that the card has of their own."""

KERAS_PHOTOS = 200
"""Photos on which Keras itself is asked; int8 and fp16 are compared with fp32 on all of them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    run: Path
    out: Path
    precision: Precision = "fp32"
    name: str | None = None
    """The model's name; None: the run folder's."""
    version: str | None = None
    """The model's version; None: the run's own."""
    calibrate: Path | None = None
    """A folder of photos to calibrate int8 on; None: the run's training photos."""
    test: Path | None = None
    """Labelled photos, a folder for each class, for figures of the exported file on its card."""
    golden: Path | None = None
    """A folder of photos to put in the file; None: some of the run's validation photos."""
    min_agreement: float = 0.98
    """int8 and fp16 are refused where a smaller share of photos keeps fp32's class."""
    overwrite: bool = False


def export(wish: Wish, say: Callable[[str], None]) -> None:
    """Convert, compare and write.

    Args:
        wish: What is asked for.
        say: Takes each finding as a line.

    Raises:
        ParityError: The file would not compute what was trained; nothing is written.
        TrainingError: The run folder or its photos cannot be used.
        OutputError: The file cannot be written.
    """
    check_place(wish.out, overwrite=wish.overwrite)
    run = RunFolder.open(wish.run)
    model = _load(run)
    compared = run_photos.labelled(run)
    pixels, class_indices = compared.pixels, compared.class_indices
    card = _card(run, wish)
    with workshop() as folder:
        file = folder / "model.onnx"
        fp32_model = to_onnx(model)
        fp32 = outputs(fp32_model, replace(card, precision="fp32"), pixels, file)
        sample = _spread(len(pixels), KERAS_PHOTOS)
        against_keras = compare(fp32[sample], outputs_of_keras(model, [pixels[i] for i in sample]))
        say(f"fp32 against Keras, {against_keras}")
        _refuse_fp32(against_keras)
        figures = {"fp32": short_figures(fp32, class_indices)}
        exported = fp32_model
        if wish.precision != "fp32":
            calibrating = partial(run_photos.for_calibration, run, wish.calibrate)
            exported = lowered(fp32_model, wish.precision, calibrating)
            found = outputs(exported, card, pixels, file)
            difference = compare(found, fp32)
            figures[wish.precision] = short_figures(found, class_indices) | {
                "agreement": round(difference.agreement, 4)
            }
            say(f"{wish.precision} against fp32, {difference}; {side_by_side(figures)}")
            refuse_lowered(wish.precision, difference, wish.min_agreement)
        metrics = dict(card.metrics) | {"exported": figures}
        if wish.test is not None:
            metrics["test"] = figures_on_test(
                exported,
                card,
                run_photos.for_test(run, wish.test),
                run.read_recipe().top_k,
                file,
            )
            say(in_words(metrics["test"]))
        card = replace(card, metrics=metrics)
        golden = _golden(exported, card, model, run_photos.for_golden(run, wish.golden), file)
        save(exported, replace(card, golden=golden), file)
        publish(file, wish.out)


def _load(run: RunFolder) -> keras.Model:
    try:
        return keras.models.load_model(run.model, compile=False)
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise TrainingError(f"{str(run.model)!r} cannot be loaded: {reason}") from error


def _card(run: RunFolder, wish: Wish) -> ModelCard:
    config, metrics = run.read_config(), run.read_figures()
    if not {"from", "version"} <= set(config) or not set(_CALIBRATION) <= set(metrics):
        raise TrainingError(f"{str(run.path)!r} is of an earlier version; train it again")
    recipe = config["recipe"]
    distillation = recipe["distillation"]
    training = {
        "network": network_in_words(recipe["width_multiplier"], recipe["middle_blocks"]),
        # Files' names, not where they lay.
        "config": recipe
        | {
            "weights": Path(recipe["weights"]).name,
            "distillation": distillation | {"teacher": Path(distillation["teacher"]).name},
        },
        "data": config["data"],
        "epochs": metrics["head_epochs"] + metrics["fine_tuned_epochs"],
        "seed": recipe["seed"],
    }
    training |= {key: config[key] for key in ("from", "teacher") if config.get(key)}
    calibration = {key: metrics.pop(key) for key in _CALIBRATION}
    return ModelCard(
        classes=tuple(run.read_classes()),
        preprocess=run.read_preprocess(),
        name=wish.name or run.path.resolve().name,
        version=wish.version or config["version"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        precision=wish.precision,
        training=training,
        metrics={"data": "validation part of the training data"} | metrics,
        calibration=calibration,
    )


def _spread(total: int, count: int) -> list[int]:
    """At most ``count`` indices, evenly over the whole."""
    return sorted({int(i) for i in np.linspace(0, total - 1, min(total, count))})


def _refuse_fp32(difference: Difference) -> None:
    tolerance = PROBABILITY_TOLERANCE["fp32"]
    if difference.agreement < 1 or difference.largest > tolerance:
        raise ParityError(
            f"not written: the ONNX file differs from Keras beyond {tolerance:g}; {difference}"
        )


def _golden(
    model: onnx.ModelProto,
    card: ModelCard,
    trained: keras.Model,
    images: Sequence[bytes],
    file: Path,
) -> tuple[GoldenVector, ...]:
    pixels = golden_pixels(images, card.preprocess)
    ours, theirs = outputs(model, card, pixels, file), outputs_of_keras(trained, pixels)
    return tuple(
        GoldenVector(image, pixels_sha256(p), tuple(t.tolist()), tuple(o.tolist()))
        for image, p, t, o in zip(images, pixels, theirs, ours, strict=True)
    )
