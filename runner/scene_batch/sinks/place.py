"""Where an output may be written, and by which names its format is told."""

from __future__ import annotations

import os
from pathlib import Path

from scene_batch.errors import OutputError, UsageError
from scene_batch.ledger import is_data_set
from scene_batch.sinks.table import printable

SUFFIXES = (".parquet", ".csv", ".jsonl", "/")
STANDARD_OUTPUT = "-"

_LONGEST_ENDING = ".run.json.partial"


def check_name(name: str) -> None:
    """Refuse an output whose format cannot be told.

    Raises:
        UsageError: Its suffix is not known.
    """
    stem = Path(name).name if name.endswith("/") else Path(name).stem if Path(name).suffix else ""
    if name != STANDARD_OUTPUT and not (name.endswith(SUFFIXES) and stem.strip(".")):
        raise UsageError(
            f"--out {name!r}: the suffix decides the format: .parquet, .csv, .jsonl,"
            " / for a Parquet data set, or - for JSON Lines on standard output"
        )
    if not printable(name).isprintable() or printable(name) != name:
        raise UsageError(f"--out {name!r}: the name is not plain UTF-8; take another")


def check_folder(folder: Path) -> None:
    """Refuse a folder that nothing can be written to.

    Raises:
        OutputError: It is missing or not writable.
    """
    if not folder.is_dir():
        raise OutputError(f"no such folder: {str(folder)!r}; make it with: mkdir -p")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {str(folder)!r} is not writable; name another in --out")


def check_place(path: Path, *, as_data_set: bool) -> None:
    """Refuse a place where a table cannot be written, or which is something else.

    Raises:
        OutputError: What is wrong with it.
    """
    folder = path.parent
    check_folder(folder)
    if len(os.fsencode(path.name)) + len(_LONGEST_ENDING) > os.pathconf(folder, "PC_NAME_MAX"):
        raise OutputError(f"the name {path.name!r} is too long for its folder; shorten it")
    if path.is_dir() and not as_data_set:
        raise OutputError(f"{str(path)!r} is a directory; name a file in --out")
    if path.is_file() and as_data_set:
        raise OutputError(f"{str(path)!r} is a file; drop the slash from --out")
    if path.is_dir() and not is_data_set(path):
        raise OutputError(f"{str(path)!r} is not a data set of scene-batch run; name another")
