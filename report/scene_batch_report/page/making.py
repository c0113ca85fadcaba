"""A table into a page, from its first row to the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scene_batch import __version__
from scene_batch.tables.run_table import RunTable
from scene_batch_report.page.contents import gather
from scene_batch_report.page.model import card_of
from scene_batch_report.page.pictures import original, pictures
from scene_batch_report.page.writing import write_page
from scene_batch_report.truth import Truth


class Show(NamedTuple):
    """What a page is to show."""

    most: int
    """Rows, where the table has more."""
    longest: int | None
    """The longer edge of thumbnails in pixels; None: there are none."""
    model: str | None = None
    """The run's model file, for its card; None: the card is there if it is the embedded one."""


class Made(NamedTuple):
    """A page that was written."""

    size: int
    """In bytes."""
    how: str
    """Which rows it shows."""


def make_page(
    table: RunTable,
    page: Path,
    truth: Truth | None,
    show: Show,
    note: Callable[[str], None] = lambda text: None,
) -> Made:
    """Make a page of a table.

    Args:
        table: Of a run.
        page: Its file, which is written as a whole.
        truth: What the photos show, where that is known.
        show: What of it.
        note: Is told what is amiss with the photos.

    Raises:
        SceneBatchError: The table, the truth or the model cannot be read, or the page written.
    """
    card = card_of(table.record["model"], show.model)
    figures, photos = gather(table, truth, show.most)
    for photo in photos:
        if (link := original(photo["path"], page)) is not None:
            photo["href"] = link
    if show.longest is not None:
        for photo, seen in zip(photos, pictures(photos, show.longest), strict=True):
            photo.update(seen)
        _note_missing(photos, note)
    contents = {
        **figures,
        "version": __version__,
        "card": card,
        "thumbnails": show.longest,
        "photos": photos,
    }
    return Made(write_page(page, contents), figures["how"])


def _note_missing(photos: list[dict[str, Any]], note: Callable[[str], None]) -> None:
    unseen = [photo for photo in photos if "not_seen" in photo]
    if unseen:
        first: Mapping[str, Any] = unseen[0]
        note(
            f"{len(unseen)} of {len(photos)} photos cannot be shown, the first is"
            f" {first['path']!r}: {first['not_seen']}; paths lead from the folder in which the run"
            " was started"
        )
