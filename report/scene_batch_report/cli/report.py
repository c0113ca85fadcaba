"""The command ``report``."""

from __future__ import annotations

import click

from scene_batch.cli.options import ModelName
from scene_batch.cli.terminal import complain, say

_PHOTOS, _THUMBNAIL = 1_200, 160


@click.command("report")
@click.argument("preds")
@click.option("--out", required=True, metavar="PAGE.html", help="The page.")
@click.option(
    "--truth",
    multiple=True,
    metavar="parent-folder|FILE|PATTERN",
    help="Where the classes are known from, as in `evaluate`; without it nothing is judged.",
)
@click.option(
    "--photos",
    type=click.IntRange(0),
    default=_PHOTOS,
    show_default=True,
    help="Most photos in the page: wrong, least sure and unreadable ones, and some of each class.",
)
@click.option(
    "--thumbnails/--no-thumbnails",
    default=True,
    show_default=True,
    help="Small pictures of the photos in the page.",
)
@click.option(
    "--thumbnail-size",
    type=click.IntRange(32, 1024),
    default=_THUMBNAIL,
    show_default=True,
    help="The longer edge of a small picture in pixels.",
)
@click.option(
    "--model", type=ModelName(), help="The model file of the run, or its URL, for its card."
)
@click.option("--overwrite", is_flag=True, help="Replace the page if it is there.")
def command(
    preds: str,
    out: str,
    truth: tuple[str, ...],
    photos: int,
    thumbnails: bool,
    thumbnail_size: int,
    model: str | None,
    overwrite: bool,
) -> None:
    """Make PREDS, a table or data set of `run`, into one page to look at, and to correct.

    The page needs no network and no other file; only its links lead to the photos. Run it where
    the run was started, so that paths lead to the photos.

    \b
    Examples:
      scene-batch report preds.parquet --out report.html
      scene-batch report preds.parquet --out report.html --truth parent-folder --photos 5000
    """
    from scene_batch.tables.run_table import RunTable
    from scene_batch_report.page.making import Show, make_page
    from scene_batch_report.page.writing import check_page
    from scene_batch_report.truth import truth_of

    page = check_page(out, overwrite=overwrite)
    known = truth_of(*truth) if truth else None
    show = Show(photos, thumbnail_size if thumbnails else None, model)
    made = make_page(RunTable.open(preds), page, known, show, complain)
    say(f"{out}: {made.size / 1e6:.1f} MB; {made.how}")
