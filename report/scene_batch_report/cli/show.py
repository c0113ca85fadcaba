"""The command ``show``."""

from __future__ import annotations

import shutil

import click

from scene_batch.cli.terminal import say

_ROWS = 10


@click.command("show")
@click.argument("preds")
@click.option("--rows", type=click.IntRange(0), default=_ROWS, show_default=True, help="To show.")
def command(preds: str, rows: int) -> None:
    """Show the first rows of PREDS, a table or data set of `run`, and how many are of each class.

    \b
    Example:
      scene-batch show preds.parquet
    """
    from scene_batch.tables.run_table import RunTable
    from scene_batch_report.short_table import bars, short_rows

    table = RunTable.open(preds)
    width = shutil.get_terminal_size().columns
    for line in (*short_rows(table, rows, width), "", *bars(table, width)):
        say(line)
