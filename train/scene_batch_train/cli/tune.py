"""The command ``tune``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from scene_batch.cli.signals import ended_by_signals
from scene_batch_train.quiet import import_keras


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
    from scene_batch_train.recipe import Recipe

    recipe = Recipe.read(config)  # before TensorFlow is imported, which takes seconds
    if weights is not None:
        recipe = dataclasses.replace(recipe, weights=weights)
    import_keras()
    from scene_batch_train.tuning import tune

    with ended_by_signals("the same command goes on after the last trial"):
        found = tune(data, recipe, trials, out)
    click.echo(
        f"{out / 'best.toml'}: validation accuracy {found.accuracy:.4f}, the best of"
        f" {found.trials} trials",
        err=True,
    )
