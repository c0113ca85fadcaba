"""A search by Optuna: its tables, its config, and that it goes on where it was broken off."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import optuna
import pytest
from PIL import Image

from scene_batch.errors import TrainingError
from scene_batch_train.recipe import Augment, FineTune, Head, Recipe
from scene_batch_train.tuning import AUGMENTATIONS, INNER, tune
from small import small_recipe

_RECIPE = small_recipe(
    head=Head(epochs=1, batch_size=8, frozen="block14"),
    fine_tune=FineTune(epochs=3),
    augment=Augment(rotate=5.0),
)


def _trials(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.nightly
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


def test_a_search_that_began_before_networks_had_a_size_goes_on(
    labelled: Path, tmp_path: Path
) -> None:
    whole = dataclasses.replace(_RECIPE, width_multiplier=1.0, middle_blocks=8)
    with pytest.raises(TrainingError, match="no trial came to"):
        tune(labelled, whole, 0, tmp_path)
    study = optuna.load_study(study_name="tune", storage=f"sqlite:///{tmp_path / 'trials.db'}")
    subject = study.user_attrs["subject"]
    del subject["recipe"]["width_multiplier"], subject["recipe"]["middle_blocks"]
    study.set_user_attr("subject", subject)
    with pytest.raises(TrainingError, match="no trial came to"):
        tune(labelled, whole, 0, tmp_path)
    with pytest.raises(TrainingError, match="holds a search with another config"):
        tune(labelled, dataclasses.replace(whole, middle_blocks=2), 0, tmp_path)
