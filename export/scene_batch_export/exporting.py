"""An export, from a run folder to a model file; nothing is written that is not as trained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import onnx

from scene_batch.decode import decode
from scene_batch.errors import (
    OutputError,
    OutputExistsError,
    ParityError,
    TrainingError,
    UsageError,
)
from scene_batch.golden import pixels_sha256
from scene_batch.model import PROBABILITY_TOLERANCE, GoldenVector, ModelCard
from scene_batch.records import Decoded, ImageRef, Pixels
from scene_batch.session import Session
from scene_batch.storage.local import check_folder
from scene_batch_export import photos
from scene_batch_export.conversion import to_onnx
from scene_batch_export.parity import Difference, Probabilities, accuracy, compare
from scene_batch_train.run_folder import RunFolder

KERAS_PHOTOS = 200
"""Photos on which Keras itself is asked; int8 is compared with the proven fp32 on all of them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    run: Path
    out: Path
    precision: Literal["fp32", "int8"] = "fp32"
    name: str | None = None
    """The model's name; None: the run folder's."""
    version: str = "1.0.0"
    calibrate: Path | None = None
    """A folder of photos to calibrate int8 on; None: the run's training photos."""
    golden: Path | None = None
    """A folder of photos to put in the file; None: some of the run's validation photos."""
    min_agreement: float = 0.98
    """int8 is refused where fewer photos than this share keep fp32's most probable class."""
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
    _check_place(wish)
    run = RunFolder.open(wish.run)
    model = _load(run)
    pixels, class_indices = photos.labelled(run)
    card = _card(run, wish)
    with tempfile.TemporaryDirectory() as folder:
        workshop = Path(folder) / "model.onnx"
        fp32_model = to_onnx(model)
        fp32 = _outputs(fp32_model, replace(card, precision="fp32"), pixels, workshop)
        sample = _spread(len(pixels), KERAS_PHOTOS)
        against_keras = compare(fp32[sample], _of_keras(model, [pixels[i] for i in sample]))
        say(f"fp32 against Keras, {against_keras}")
        _refuse_fp32(against_keras)
        metrics = dict(card.metrics) | {"fp32_accuracy": round(accuracy(fp32, class_indices), 4)}
        exported = fp32_model
        if wish.precision == "int8":
            from scene_batch_export.quantization import to_int8

            exported = to_int8(fp32_model, photos.for_calibration(run, wish.calibrate))
            int8 = _outputs(exported, card, pixels, workshop)
            against_fp32 = compare(int8, fp32)
            metrics["int8_accuracy"] = round(accuracy(int8, class_indices), 4)
            metrics["int8_agreement"] = round(against_fp32.agreement, 4)
            say(
                f"int8 against fp32, {against_fp32};"
                f" accuracy {metrics['int8_accuracy']:.4f} against {metrics['fp32_accuracy']:.4f}"
            )
            _refuse_int8(against_fp32, wish.min_agreement)
        card = replace(card, metrics=metrics)
        golden = _golden(exported, card, model, photos.for_golden(run, wish.golden), workshop)
        _save(exported, replace(card, golden=golden), workshop)
        _publish(workshop, wish.out)


def _load(run: RunFolder) -> keras.Model:
    try:
        return keras.models.load_model(run.model, compile=False)
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise TrainingError(f"{str(run.model)!r} cannot be loaded: {reason}") from error


def _card(run: RunFolder, wish: Wish) -> ModelCard:
    config, metrics = run.read_config(), run.read_metrics()
    recipe = config["recipe"]
    training = {
        # A file's name, not where it lay.
        "config": recipe | {"weights": Path(recipe["weights"]).name},
        "data": config["data"],
        "epochs": recipe["head"]["epochs"] + metrics["fine_tuned_epochs"],
        "seed": recipe["seed"],
    }
    return ModelCard(
        classes=tuple(run.read_classes()),
        preprocess=run.read_preprocess(),
        name=wish.name or run.path.resolve().name,
        version=wish.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        precision=wish.precision,
        training=training,
        metrics={"data": "validation part of the training data"} | metrics,
        calibration={"temperature": 1.0},
    )


def _save(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, card.to_metadata())
    onnx.save(model, path)


def _outputs(
    model: onnx.ModelProto, card: ModelCard, pixels: Sequence[Pixels], workshop: Path
) -> Probabilities:
    """What the runner's own session computes with the file."""
    _save(model, card, workshop)
    session = Session.open(workshop, provider="cpu")
    size = session.batch_size
    return np.concatenate(
        [
            session.probabilities(list(pixels[start : start + size]))
            for start in range(0, len(pixels), size)
        ]
    )


def _of_keras(model: keras.Model, pixels: Sequence[Pixels]) -> Probabilities:
    batches = [np.stack(pixels[start : start + 32]) for start in range(0, len(pixels), 32)]
    return np.concatenate([keras.ops.convert_to_numpy(model(b, training=False)) for b in batches])


def _spread(total: int, count: int) -> list[int]:
    """At most ``count`` indices, evenly over the whole."""
    return sorted({int(i) for i in np.linspace(0, total - 1, min(total, count))})


def _refuse_fp32(difference: Difference) -> None:
    tolerance = PROBABILITY_TOLERANCE["fp32"]
    if difference.agreement < 1 or difference.largest > tolerance:
        raise ParityError(
            f"not written: the ONNX file differs from Keras beyond {tolerance:g}; {difference}"
        )


def _refuse_int8(difference: Difference, min_agreement: float) -> None:
    if difference.agreement < min_agreement:
        raise ParityError(
            f"not written: int8 differs from fp32 beyond an agreement of {min_agreement:g};"
            f" {difference}; calibrate on other photos (--calibrate) or keep fp32"
        )


def _golden(
    model: onnx.ModelProto,
    card: ModelCard,
    trained: keras.Model,
    images: Sequence[bytes],
    workshop: Path,
) -> tuple[GoldenVector, ...]:
    decoded = [decode(ImageRef("<golden>"), image, card.preprocess) for image in images]
    pixels = [photo.pixels for photo in decoded if isinstance(photo, Decoded)]
    ours, theirs = _outputs(model, card, pixels, workshop), _of_keras(trained, pixels)
    return tuple(
        GoldenVector(image, pixels_sha256(p), tuple(t.tolist()), tuple(o.tolist()))
        for image, p, t, o in zip(images, pixels, theirs, ours, strict=True)
    )


def _check_place(wish: Wish) -> None:
    if wish.out.suffix != ".onnx":
        raise UsageError(f"--out {str(wish.out)!r}: a model file ends in .onnx")
    check_folder(wish.out.parent)
    if wish.out.exists() and not wish.overwrite:
        raise OutputExistsError(f"{str(wish.out)!r} is already there; replace it with --overwrite")


def _publish(workshop: Path, out: Path) -> None:
    """Give the whole file its name."""
    partial = Path(f"{out}.partial")
    try:
        partial.write_bytes(workshop.read_bytes())
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {str(out)!r}: {error.strerror}") from error
