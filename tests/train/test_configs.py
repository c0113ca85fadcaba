"""Every config that ships, from labelled photos to a verified model file, on generated photos."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scene_batch.model import golden
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch_export.exporting import Wish, export
from scene_batch_train.recipe import Recipe
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.training import train
from small import SMALL
from support import ROOT

_CLASSES = {"cats-vs-dogs": 2, "flowers-102": 102}


def _photos(folder: Path, classes: int) -> Path:
    random = np.random.default_rng(2)
    for index in range(classes):
        of_class = folder / f"{index:03}"
        of_class.mkdir(parents=True)
        for number in range(2 if index else 3):  # unbalanced
            pixels = random.integers(0, 256, (30, 40, 3), np.uint8)
            Image.fromarray(pixels).save(of_class / f"{number}.png")
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize(
    "config", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem
)
def test_a_config_comes_to_a_verified_model_file(config: Path, tmp_path: Path) -> None:
    classes = _CLASSES.get(config.stem, 6)
    recipe = Recipe.read(config)
    small = dataclasses.replace(
        recipe,
        **SMALL,
        head=dataclasses.replace(recipe.head, epochs=1),
        fine_tune=dataclasses.replace(recipe.fine_tune, epochs=min(1, recipe.fine_tune.epochs)),
    )
    metrics = train(_photos(tmp_path / "photos", classes), small, tmp_path / "run")
    assert f"top_{recipe.top_k}_accuracy" in metrics["validation"]
    assert len(metrics["validation"]["per_class"]) == classes
    history = RunFolder.open(tmp_path / "run").read_history()
    assert len(history) == 1 + min(1, recipe.fine_tune.epochs)
    export(Wish(tmp_path / "run", tmp_path / "m.onnx"), lambda _: None)
    predictor = Predictor.open(tmp_path / "m.onnx", ComputeOptions("cpu"))
    assert all(result.passed for result in golden.check(predictor))
    assert len(predictor.session.card.classes) == classes


def test_the_config_of_ten_classes_a_photo_says_so_to_run_too() -> None:
    tables = tomllib.loads((ROOT / "configs" / "flowers-102.toml").read_text())
    assert tables["run"]["top_k"] == tables["train"]["top_k"] == 10
