"""A sorting taken back: originals where they were, and of the folder what was there before."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from scene_batch.pipeline.interruption import Interruption
from scene_batch_report.sorting import placing, sidecars
from scene_batch_report.sorting.journal import JOURNAL, Entry, Journal
from scene_batch_report.sorting.turns import PARTIAL

_MOST_NAMED = 5


@dataclass(slots=True)
class Undone:
    """What became of an undoing."""

    photos: int = 0
    left: dict[str, str] = field(default_factory=dict)
    """Names of photos that stay where they are, and why; the first of many."""
    left_count: int = 0

    def leave(self, name: str, why: str) -> None:
        """Count a photo that stays."""
        self.left_count += 1
        if len(self.left) < _MOST_NAMED:
            self.left[name] = why


def undo(folder: Path, interruption: Interruption) -> Undone:
    """Take back what ``sort`` did in a folder; broken off, the same call goes on.

    Raises:
        NotSortedError: Nothing was sorted into it.
        OutputBusyError: Another process sorts into it.
        Interrupted: A signal came.
    """
    folder = folder.absolute()
    undone = Undone()
    if _finish_removal(folder) and not folder.exists():
        return undone
    with Journal(folder) as journal:
        journal.begin_undoing()
        for entry in journal.entries():
            name = folder / entry.name
            with interruption.held_off():
                why = _take_back(entry, name)
            undone.photos += not why
            if why:
                undone.leave(entry.name, why)
        (folder / PARTIAL).unlink(missing_ok=True)
        with interruption.held_off():
            _remove(journal, keep=bool(undone.left))
    return undone


def _take_back(entry: Entry, name: Path) -> str:
    """Undo an entry; why it could not be done, or not whole; empty where it was."""
    try:
        whole = placing.take_back(entry, name)
        whole = sidecars.take_back(entry, name) and whole
    except placing.TakenError:
        return "something has its place"
    except OSError as error:
        return error.strerror or str(error)
    return "" if whole else "it, or its original, was changed since"


def _remove(journal: Journal, *, keep: bool) -> None:
    """Remove the folders that were made, if they are empty, and the journal once all is undone."""
    for name in journal.made:
        with suppress(OSError):  # somebody's files are in it
            (journal.folder / name).rmdir()
    if keep:
        return
    if journal.header.made and os.listdir(journal.folder) == [JOURNAL]:  # noqa: PTH208 - names
        journal.folder.rename(_removed(journal.folder))
        _finish_removal(journal.folder)
    else:
        journal.path.unlink()


def _removed(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.scene-batch-undone")


def _finish_removal(folder: Path) -> bool:
    """Remove a folder of which only the journal was left, if that was begun."""
    removed = _removed(folder)
    if not removed.is_dir():
        return False
    (removed / JOURNAL).unlink(missing_ok=True)
    removed.rmdir()
    return True
