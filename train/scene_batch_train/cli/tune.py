"""The command ``tune``."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import click


@click.command("tune")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--config", required=True, type=click.Path(path_type=Path), help="TOML, table [train]."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option(
    "--trials", type=click.IntRange(min=1), default=40, show_default=True, help="How many in all."
)
@click.option(
    "--weights", metavar="imagenet|none|FILE", help="Starting weights, before the config's."
)
def command(data: Path, config: Path, out: Path, trials: int, weights: str | None) -> None:
    """Search for a better learning rate, dropout, inner layer and augmentation for DATA.

    Each trial trains the top of the network on features that are computed once. The folder gets
    trials.csv, trials.png and best.toml, a config for `scene-batch train`. A search that was
    broken off goes on when the same command is given again.

    \b
    Example:
      scene-batch tune photos/ --config configs/intel-150.toml --out tuning/
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter
    from scene_batch_train.recipe import Recipe

    recipe = Recipe.read(config)  # before TensorFlow is imported, which takes seconds
    if weights is not None:
        recipe = dataclasses.replace(recipe, weights=weights)
    from scene_batch_train.tuning import tune

    found = tune(data, recipe, trials, out)
    click.echo(
        f"{out / 'best.toml'}: validation accuracy {found.accuracy:.4f}, the best of"
        f" {found.trials} trials",
        err=True,
    )
