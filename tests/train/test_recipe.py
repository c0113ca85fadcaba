"""Configs: everything that they may say, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scene_batch.errors import UsageError
from scene_batch_train.recipe import Recipe, with_new_settings
from support import ROOT, printed_by


def _config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.toml")), ids=lambda c: c.stem)
def test_every_config_that_ships_is_read_and_says_how_to_use_it(config: Path) -> None:
    assert Recipe.read(config).head.epochs > 0
    head = config.read_text().split("[train]")[0]
    for words in ("scene-batch train", f"configs/{config.name}", "accuracy", "min"):
        assert words in head


def test_tables_inside_tables_and_defaults(tmp_path: Path) -> None:
    recipe = Recipe.read(
        _config(tmp_path, "[train]\nheight = 96\n[train.fine_tune]\nlearning_rate = 1\n")
    )
    assert (recipe.height, recipe.width, recipe.fine_tune.learning_rate) == (96, 150, 1)
    assert recipe.preprocess.height == 96


def test_a_mark_of_the_byte_order_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[train]\nheight = 96\n", encoding="utf-8-sig")
    assert Recipe.read(tmp_path / "c.toml").height == 96


def test_an_error_of_a_config_is_said_before_tensorflow_is_imported(tmp_path: Path) -> None:
    config = _config(tmp_path, "[train]\nhight = 1")
    script = (
        "import sys\nfrom scene_batch.cli import main\n"
        f"try: main(['train', 'x', '--config', {str(config)!r}, '--out', 'y'])\n"
        "except SystemExit as end: print(end.code, not {'tensorflow', 'keras'} & {*sys.modules})"
    )
    assert printed_by(script).split() == ["2", "True"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no table"),
        ("[train", "cannot read the config"),
        (
            "[fine_tune]\nepochs = 1",
            r"'fine_tune' .* into .train.: .train.fine_tune.",
        ),
        ("[train]\n[traning.head]\nepochs = 1", "'traning' is no table of a command"),
        ("epochs = 3\n[train]", "'epochs' is no table of a command"),
        ("height = 96\n[train]", "it belongs into .train., below that line"),
        ("train = 3", "'train' is no table of a command"),
        ("[train]\nhight = 1", r"\[train\] has no key 'hight'; it has weights"),
        ("[train.head]\nepoch = 1", r"\[train.head\] has no key 'epoch'"),
        ("[train]\nheight = '150'", "is not a int"),
        ("[train]\nseed = true", "is not a int"),
        ("[train]\nfit = 'pad'", "is not 'crop' or 'stretch'"),
        ("[train]\nvalidation = 1.5", "validation = 1.5: a number from .* to below 1 is needed"),
        ("[train]\nvalidation = 0", "validation = 0"),
        ("[train]\nwidth = 64", "width = 64: a number from 71 to 2048 is needed"),
        (
            "[train]\nwidth_multiplier = 0",
            "width_multiplier = 0: a number from 0.01 to 8 is needed",
        ),
        ("[train]\nwidth_multiplier = 'half'", "is not a float"),
        ("[train]\nmiddle_blocks = 9", "middle_blocks = 9: a number from 0 to 8 is needed"),
        ("[train]\nmiddle_blocks = 1.5", "is not a int"),
        ("[train]\nlabel_smoothing = 1.5", "label_smoothing"),
        ("[train]\nseed = -1", "seed"),
        ("[train]\nseed = 4294967296", "seed = 4294967296: a number from 0 to 4294967295"),
        ("[train]\nheight = 100000", "height = 100000: a number from 71 to 2048 is needed"),
        ("[train.head]\nlearning_rate = nan", "head.learning_rate = nan"),
        ("[train.head]\nepochs = 0", "head.epochs = 0: a number from 1"),
        ("[train.fine_tune]\nepochs = -1", "fine_tune.epochs"),
        ("[train.fine_tune]\nwarmup = 1", "fine_tune.warmup = 1: .* below 1"),
        ("[train.fine_tune]\naverage = 1.0", "fine_tune.average"),
        ("[train.augment]\nmix = 7", "augment.mix = 7: a number from 0 to 1"),
        ("[train.augment]\nzoom = -1.5", "augment.zoom"),
        ("[train.augment]\nrotate = -5", "augment.rotate"),
        ("[train.distillation]\nweight = 2", "distillation.weight = 2: a number from 0 to 1"),
        ("[train.distillation]\ntemperature = 0", "distillation.temperature = 0: a number from"),
        ("[train.distillation]\nteacher = 1", "teacher = 1 is not a str"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        Recipe.read(_config(tmp_path, text))


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Recipe.read(tmp_path / "gone.toml")


def test_a_recipe_that_was_saved_before_it_had_a_size_is_of_the_whole_network() -> None:
    whole = Recipe(decoding="full")
    saved = dataclasses.asdict(whole)
    for key in ("decoding", "width_multiplier", "middle_blocks", "distillation"):
        del saved[key]
    assert Recipe.of(with_new_settings(saved), "recipe") == whole
    small = dataclasses.replace(whole, width_multiplier=0.5, middle_blocks=0)
    assert Recipe.of(with_new_settings(dataclasses.asdict(small)), "recipe") == small
