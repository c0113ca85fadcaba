"""The command ``train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scene_batch.cli.signals import ended_by_signals
from scene_batch_train.quiet import import_keras

if TYPE_CHECKING:
    from scene_batch_train.recipe import Recipe

_GOES_ON = "the same command goes on after the last whole epoch"


@click.command("train")
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--config", type=click.Path(path_type=Path), help="TOML, table [train].")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to make, or to go on in.")
@click.option(
    "--weights", metavar="imagenet|none|FILE", help="Starting weights, before the config's."
)
@click.option(
    "--teacher",
    metavar="none|FILE|RUN",
    help="Model file or run folder to learn from, before the config's.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Random seed, before the config's.")
@click.option(
    "--from", "run", type=click.Path(path_type=Path), help="Retrain a finished run folder."
)
@click.option(
    "--add",
    type=click.Path(path_type=Path),
    help="With --from: new photos, in class folders, or a CSV table (path,class) of corrections.",
)
@click.option(
    "--min-photos",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="With --from: new photos that there must be.",
)
def command(
    data: Path | None,
    config: Path | None,
    out: Path | None,
    weights: str | None,
    teacher: str | None,
    seed: int | None,
    run: Path | None,
    add: Path | None,
    min_photos: int,
) -> None:
    """Train an Xception on DATA, which holds one folder of photos for each class.

    The run folder gets model.keras, classes.json, config.json, split.csv, history.csv,
    predictions.csv, metrics.json and figures; `scene-batch export` makes a model file of it. A
    training that was broken off goes on after its last whole epoch when the same command is given
    again.

    With --from and --add, a finished run learns new photos: the new model takes the old one's
    place if it is better on the new ones that are held back, and at most half a point worse on
    the old validation photos.

    \b
    Examples:
      scene-batch train photos/ --config configs/intel-150.toml --out runs/scenes
      scene-batch train --from runs/scenes --add corrections.csv
    """
    if (run is None) != (add is None):
        raise click.UsageError("--from and --add go together")
    if run is not None and add is not None:
        if data or out or weights or teacher or seed is not None:
            raise click.UsageError(
                "--from RUN --add DIR needs no DATA, --out, --weights, --teacher or --seed"
            )
        _retrain(run, add, config, min_photos)
    elif data is None or config is None or out is None:
        raise click.UsageError("give DATA, --config and --out, or --from and --add")
    else:
        _train(data, _recipe(config, weights, teacher, seed), out)


def _recipe(config: Path, weights: str | None, teacher: str | None, seed: int | None) -> Recipe:
    """The config's recipe, with what the command line says before it."""
    from scene_batch_train.recipe import Recipe

    recipe = Recipe.read(config)  # before TensorFlow is imported, which takes seconds
    taught = recipe.distillation
    return dataclasses.replace(
        recipe,
        weights=recipe.weights if weights is None else weights,
        seed=recipe.seed if seed is None else seed,
        distillation=taught if teacher is None else dataclasses.replace(taught, teacher=teacher),
    )


def _train(data: Path, recipe: Recipe, out: Path) -> None:
    import_keras()
    from scene_batch_train.training import train

    with ended_by_signals(_GOES_ON):
        metrics = train(data, recipe, out)
    found = metrics["validation"]
    click.echo(
        f"{out}: validation accuracy {found['accuracy']:.4f},"
        f" calibration error {found['calibration_error']:.4f}"
        f" on {found['photos']} photos, {metrics['seconds']} s",
        err=True,
    )


def _retrain(run: Path, add: Path, config: Path | None, min_photos: int) -> None:
    from scene_batch_train.recipe import Recipe

    recipe = Recipe.read(config) if config else None
    import_keras()
    from scene_batch_train.retraining import retrain

    with ended_by_signals(_GOES_ON):
        verdict = retrain(run, add, recipe, min_photos)
    click.echo(f"{run}: taken; {verdict}", err=True)
