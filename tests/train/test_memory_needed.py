"""Trainings that do not fit: refused before their hours begin."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from scene_batch.errors import OutputError, TrainingError
from scene_batch_train import memory_needed
from scene_batch_train.memory_needed import check_memory
from scene_batch_train.photos import find_photos, load
from scene_batch_train.recipe import FineTune
from small import small_network, small_recipe


def test_what_needs_more_than_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, recipe = small_network(2), small_recipe(fine_tune=FineTune(batch_size=8))
    needed = check_memory(model, recipe)
    larger = dataclasses.replace(recipe, fine_tune=FineTune(batch_size=16))
    assert check_memory(model, larger) > needed > 1e9
    monkeypatch.setattr(memory_needed, "usable_memory", lambda: needed)
    assert check_memory(model, recipe) == needed
    with pytest.raises(TrainingError, match=r"batch_size = 16 needs at least 1\.\d GB of memory"):
        check_memory(model, larger)
    assert check_memory(model, dataclasses.replace(larger, fine_tune=FineTune(epochs=0))) == 0


def test_pixels_that_do_not_fit_into_the_temporary_folder_are_refused(
    labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, _ = find_photos(labelled)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=1 << 30, free=1000))
    with pytest.raises(OutputError, match=r"no room in .* name another folder by TMPDIR"):
        load(photos, small_recipe().preprocess, "decode")
