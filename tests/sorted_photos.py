"""Photos, a table of them, and what sorting makes of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.tables.run_table import RunTable
from scene_batch_report.sorting.journal import JOURNAL
from scene_batch_report.sorting.sorting import Wish, sort
from support import save_photo

Tree = dict[str, Any]


def tree(folder: Path) -> Tree:
    """All that is in a folder: contents, times, what links say, and folders."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsdecode(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)  # noqa: PTH115 - letter by letter
        elif path.is_dir():
            found[name] = None
        else:
            found[name] = path.read_bytes(), path.stat().st_mtime_ns
    return found


def save_album(folder: Path) -> None:
    """Save photos in folders: some of one name, an unreadable one, one with a sidecar."""
    for name, colour in (("a", "red"), ("b", "lime"), ("c", "blue")):
        save_photo(folder / name / "1.png", colour)
        save_photo(folder / name / "2.png", "red")
    (folder / "a" / "broken.png").write_bytes(b"no photo")
    save_photo(folder / "café 'quoted'\n.png", "blue")
    (folder / "b" / "1.png.xmp").write_text("no XMP, and kept")


def table_of(place: Path, colours: Predictor, **job: Any) -> RunTable:
    """The table of the photos of a place."""
    out = place / "p.parquet"
    run(Job((str(place / "photos"),), str(out), **job), colours)
    return RunTable.open(str(out))


def sort_into(table: RunTable, wish: Wish, **more: Any) -> list[str]:
    """Sort, and return what was said."""
    said: list[str] = []
    sort(table, wish, said.append, Interruption(), **more)
    return said


def sorted_tree(place: Path) -> Tree:
    """What was sorted, without the times of sidecars that were made."""
    found = tree(place / "sorted")
    del found[JOURNAL]
    return {name: what[0] if name.endswith(".xmp") else what for name, what in found.items()}
