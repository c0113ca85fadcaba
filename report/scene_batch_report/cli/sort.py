"""The command ``sort``."""

from __future__ import annotations

from pathlib import Path

import click

from scene_batch.cli.signals import ended_by_signals
from scene_batch.cli.terminal import complain, say

_FOLDER = click.Path(path_type=Path, file_okay=False)
_NOT_ALL = 3
_GOES_ON = "the same command goes on"


@click.command("sort")
@click.argument("preds", required=False)
@click.option("--to", type=_FOLDER, help="The folder that gets a folder for each class.")
@click.option("--dry-run", is_flag=True, help="Say what would go where, and what room it takes.")
@click.option("--copy", "how", flag_value="copy", help="Copies, where links would do.")
@click.option("--move", "how", flag_value="move", help="The photos themselves, with sidecars.")
@click.option(
    "--min-probability",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Photos whose class is less probable go to unsure/.",
)
@click.option("--xmp", is_flag=True, help="Write class and probability into sidecars (a.jpg.xmp).")
@click.option("--undo", type=_FOLDER, help="Take back what was sorted into a folder.")
def command(
    preds: str | None,
    to: Path | None,
    dry_run: bool,
    how: str | None,
    min_probability: float,
    xmp: bool,
    undo: Path | None,
) -> None:
    """Sort the photos of PREDS, a table or data set of `run`, into folders by class.

    Photos become hard links where the file system can, which take no room, and copies where it
    cannot. Unreadable ones go to unreadable/. No photo is ever replaced: a second a.jpg becomes
    "a (2).jpg". Broken off, the same command goes on.

    \b
    Examples:
      scene-batch sort preds.parquet --to sorted --dry-run
      scene-batch sort preds.parquet --to sorted --min-probability 0.8
      scene-batch sort --undo sorted
    """
    if undo is not None:
        if preds is not None or to is not None:
            raise click.UsageError("--undo takes the folder alone")
        _undo(undo)
        return
    if preds is None or to is None:
        raise click.UsageError("name a table and the folder to sort into: sort PREDS --to DIR")
    _sort(preds, to, dry_run=dry_run, how=how or "link", min_probability=min_probability, xmp=xmp)


def _sort(
    preds: str, to: Path, *, dry_run: bool, how: str, min_probability: float, xmp: bool
) -> None:
    from scene_batch.tables.run_table import RunTable
    from scene_batch_report.sorting.sorting import Wish, sort

    wish = Wish(to, how, min_probability, xmp)
    with ended_by_signals(_GOES_ON) as interruption:
        found = sort(RunTable.open(preds), wish, say, interruption, dry_run=dry_run)
    if found.left:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(found.left.items()))
        complain(f"not sorted: {reasons}")
        raise SystemExit(_NOT_ALL)


def _undo(folder: Path) -> None:
    from scene_batch_report.sorting.undoing import undo

    with ended_by_signals(_GOES_ON) as interruption:
        undone = undo(folder, interruption)
    say(f"{undone.photos} photos are where they were")
    if undone.left:
        for name, why in undone.left.items():
            complain(f"{folder / name} stays: {why}")
        complain(f"{undone.left_count} photos stay in {folder}: move them yourself, or undo again")
        raise SystemExit(_NOT_ALL)
