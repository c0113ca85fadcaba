"""The command ``explore``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("explore")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--test", type=click.Path(path_type=Path), help="Test photos, to find those that leaked."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder to make for the tables."
)
def command(data: Path, test: Path | None, out: Path) -> None:
    """Look at the labelled photos of DATA, one folder for each class, before training on them.

    Says the counts of classes, sizes and pixel formats, which photos show the same (copies, and
    near copies), which of them have conflicting classes or are among the test photos, and which
    cannot be read. The folder gets photos.csv, duplicates.csv and plots.

    \b
    Example:
      scene-batch explore photos/ --test test-photos/ --out exploration/
    """
    from scene_batch_train.exploring import explore

    for line in explore(data, test, out):
        click.echo(line)
