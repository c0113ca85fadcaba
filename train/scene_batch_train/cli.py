"""The command ``train``."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import click


@click.command("train")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--config", required=True, type=click.Path(path_type=Path), help="TOML, table [train]."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Run folder to make.")
@click.option(
    "--weights", metavar="imagenet|none|FILE", help="Starting weights, before the config's."
)
@click.option("--seed", type=click.IntRange(min=0), help="Random seed, before the config's.")
def command(data: Path, config: Path, out: Path, weights: str | None, seed: int | None) -> None:
    """Train an Xception on DATA, which holds one folder of photos for each class.

    The run folder gets model.keras, classes.json, config.json, split.csv, history.csv and
    metrics.json; `scene-batch export` makes a model file of it.

    \b
    Example:
      scene-batch train photos/ --config configs/intel-150.toml --out runs/scenes
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter
    from scene_batch_train.recipe import Recipe
    from scene_batch_train.training import train

    recipe = Recipe.read(config)
    recipe = dataclasses.replace(
        recipe,
        weights=recipe.weights if weights is None else weights,
        seed=recipe.seed if seed is None else seed,
    )
    metrics = train(data, recipe, out)
    click.echo(
        f"{out}: validation accuracy {metrics['validation_accuracy']:.4f}"
        f" on {metrics['validation_photos']} photos, {metrics['seconds']} s",
        err=True,
    )
