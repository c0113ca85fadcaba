"""The end of a training run: the temperature fitted, the figures computed, the pictures drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.special import softmax

from scene_batch_train import activation_maps, pictures
from scene_batch_train.batches import Batches
from scene_batch_train.data_set import DataSet
from scene_batch_train.figures import Probabilities, figures, reliability
from scene_batch_train.recipe import Recipe
from scene_batch_train.robustness import robustness
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.temperature import fit_temperature, fold_temperature, logits_of

_BATCH = 32


def assess(
    model: keras.Model, data: DataSet, recipe: Recipe
) -> tuple[dict[str, Any], Probabilities]:
    """Fit the model's temperature on the validation part, fold it in, and see how good it is.

    Returns:
        What metrics.json says of the validation part, after the temperature, and of its effect;
        and the probabilities of the validation photos.
    """
    photos = data.validation
    batches = Batches(photos.pixels, photos.class_indices, len(data.classes), batch_size=_BATCH)
    logits = logits_of(model).predict(batches, verbose=0)
    temperature = fit_temperature(logits, photos.class_indices)
    fold_temperature(model, temperature)
    raw, probabilities = _softmax(logits), _softmax(logits / temperature)
    return {
        "temperature": round(temperature, 4),
        "calibration_error_before": round(reliability(raw, photos.class_indices).error, 4),
        "robustness": robustness(model, photos),
        "validation": figures(probabilities, photos.class_indices, data.classes, recipe.top_k),
    }, probabilities


def draw(model: keras.Model, data: DataSet, probabilities: Probabilities, run: RunFolder) -> None:
    """Draw everything that is worth a look into the run's folder of figures."""
    photos, classes, folder = data.validation, data.classes, run.figures
    folder.mkdir(exist_ok=True)
    pictures.learning_curves(run.read_history(), folder / "learning.png")
    pictures.confusion_matrix(
        probabilities, photos.class_indices, classes, folder / "confusion.png"
    )
    pictures.reliability_diagram(
        reliability(probabilities, photos.class_indices), folder / "reliability.png"
    )
    names = [Path(path).name for path in data.validation_paths]
    pictures.worst_mistakes(photos, names, probabilities, classes, folder / "mistakes.png")
    samples = activation_maps.one_of_each_class(photos)
    activation_maps.grad_cam(model, photos, samples, classes, folder / "grad_cam.png")
    activation_maps.activations(model, photos.pixels[samples[0]], folder / "activations.png")


def _softmax(logits: np.ndarray[Any, np.dtype[Any]]) -> Probabilities:
    probabilities: Probabilities = softmax(logits.astype(np.float64), axis=1).astype(np.float32)
    return probabilities
