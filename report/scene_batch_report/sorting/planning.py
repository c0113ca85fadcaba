"""What a sorting will do, said before it does anything: what goes where, and what room it takes."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scene_batch.object_store.address import is_url
from scene_batch.records import ImageRef
from scene_batch.tables.run_table import RunTable
from scene_batch_report.sorting.folders import Folders
from scene_batch_report.sorting.journal import How, Journal

_MICROSECOND = 1000
WORDS = {
    "link": "as hard links",
    "copy": "as copies",
    "fetch": "fetched",
    "move": "moved",
    "there": "were there already",
}


@dataclass(slots=True)
class Plan:
    """How many photos go where, and what it takes."""

    folders: Counter[str] = field(default_factory=Counter)
    """Photos by folder."""
    ways: Counter[How] = field(default_factory=Counter)
    """Photos by what becomes of them."""
    copied_bytes: int = 0
    """What copies take, as far as it is known."""
    left: Counter[str] = field(default_factory=Counter)
    """Photos that are left out, by reason."""
    done: int = 0
    """Photos that an earlier attempt sorted."""


class Ways:
    """What becomes of a photo: a link, a copy, or a move.

    Args:
        folder: Where photos are sorted to; it need not be there.
        wanted: ``link``, where that can be; ``copy``; ``move``.
    """

    def __init__(self, folder: Path, wanted: str) -> None:
        there = folder if folder.is_dir() else folder.parent
        self._wanted = wanted
        self._device = there.stat().st_dev
        self.can_link = wanted == "link"
        """Whether hard links are tried; they are not, once one was refused."""

    def of(self, ref: ImageRef) -> tuple[How, os.stat_result | None] | str:
        """How a photo is sorted, and its status; or why it is left out, in words."""
        if is_url(ref.path):
            if self._wanted == "move":
                return "in a bucket or on the web, which --move does not change"
            return "fetch", None
        try:
            is_link, status = Path(ref.path).is_symlink(), Path(ref.path).stat()
        except (OSError, ValueError):
            return "gone since the run"
        if not stat.S_ISREG(status.st_mode):
            return "no file"
        if _has_changed(ref, status):
            return "changed since the run"
        if self._wanted == "move":
            return "a symbolic link, which --move leaves" if is_link else ("move", status)
        is_near = self.can_link and status.st_dev == self._device
        return ("link" if is_near else "copy"), status

    def takes_room(self, how: How, status: os.stat_result | None) -> bool:
        """Whether a photo is written anew."""
        far = how == "move" and status is not None and status.st_dev != self._device
        return how in ("copy", "fetch") or far


def _has_changed(ref: ImageRef, status: os.stat_result) -> bool:
    if ref.size_bytes is not None and ref.size_bytes != status.st_size:
        return True
    moment = status.st_mtime_ns // _MICROSECOND
    return ref.modified_at is not None and ref.modified_at != moment


def plan(table: RunTable, folders: Folders, ways: Ways, journal: Journal | None) -> Plan:
    """Look at each photo of a table that was not sorted yet."""
    found = Plan()
    for number, row in enumerate(table.rows()):
        if journal is not None and journal.has(number):
            found.done += 1
            continue
        way = ways.of(row.ref)
        if isinstance(way, str):
            found.left[way] += 1
            continue
        how, status = way
        found.folders[folders.of(row)] += 1
        found.ways[how] += 1
        if ways.takes_room(how, status):
            found.copied_bytes += (status.st_size if status else row.ref.size_bytes) or 0
    return found


def in_words(found: Plan, folders: Folders, to: Path, free: int) -> Iterator[str]:
    """The plan, line by line."""
    total = sum(found.folders.values())
    if not total and found.left["gone since the run"] and not found.done:
        yield "the paths lead to no photos: run this where the run was started"
    where = ", ".join(f"{name} {count}" for name, count in sorted(found.folders.items()))
    yield f"{total} photos into {to}: {where or 'none'}"
    if total:
        room = "none"
        if found.copied_bytes:
            room = f"{size_in_words(found.copied_bytes)} of {size_in_words(free)} free"

        ways = ", ".join(f"{count} {WORDS[how]}" for how, count in found.ways.items())
        yield f"{ways}; room taken: {room}"
    if found.done:
        yield f"{found.done} photos were sorted before"
    for why, count in sorted(found.left.items()):
        yield f"left out: {count} {why}"
    for name, folder in folders.renamed().items():
        yield f"the folder of class {name!r} is called {folder!r}"


def size_in_words(count: int) -> str:
    """A number of bytes as a person says it."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"
