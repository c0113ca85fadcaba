"""A search by Optuna: its tables, its config, and that it goes on where it was broken off."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from scene_batch.errors import TrainingError
from scene_batch_train.recipe import Augment, FineTune, Head, Recipe
from scene_batch_train.tuning import AUGMENTATIONS, INNER, tune

_RECIPE = Recipe(
    weights="none",
    height=71,
    width=71,
    validation=0.25,
    head=Head(epochs=1, batch_size=8, frozen="block14"),
    fine_tune=FineTune(epochs=3),
    augment=Augment(rotate=5.0),
)


def _trials(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_leaves_a_table_a_plot_and_a_config(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuning"
    tune(labelled, _RECIPE, 2, out)
    first = _trials(out)
    found = tune(labelled, _RECIPE, 3, out)
    assert found.trials == 3
    rows = _trials(out)
    assert rows[:2] == first
    assert len({row["learning_rate"] for row in rows}) == 3
    assert [row["state"] for row in rows] == ["complete"] * 3
    for row in rows:
        assert 1e-4 <= float(row["learning_rate"]) <= 1e-2
        assert 0 <= float(row["dropout"]) <= 0.6
        assert int(row["inner"]) in INNER
        assert row["augmentation"] in AUGMENTATIONS
    best = min(rows, key=lambda row: float(row["val_loss"]))
    recipe = Recipe.read(out / "best.toml")
    assert recipe == found.recipe
    assert recipe.head.learning_rate == float(best["learning_rate"])
    assert (recipe.inner, recipe.fine_tune) == (int(best["inner"]), _RECIPE.fine_tune)
    assert found.accuracy == float(best["val_accuracy"])
    with Image.open(out / "trials.png") as picture:
        assert picture.width > 800
    with pytest.raises(TrainingError, match="holds a search with another config"):
        tune(labelled, dataclasses.replace(_RECIPE, seed=1), 3, out)
