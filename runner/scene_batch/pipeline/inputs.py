"""What a job reads is never what it writes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from scene_batch.errors import UsageError
from scene_batch.object_store.address import is_url, shown
from scene_batch.outputs.name import STANDARD_OUTPUT
from scene_batch.sources.listing import tidy
from scene_batch.tables.names import PARTIAL, RECORD_ENDING


def refuse_overwriting(out: str, inputs: Iterable[str | Path | None]) -> None:
    """Refuse an output that is one of a job's inputs, through links and other spellings, too.

    Args:
        out: The output's name.
        inputs: Sources (a list with its ``@``), shards, the model, the config; None is none.

    Raises:
        UsageError: The output, or the record beside it, is one of them.
    """
    if out == STANDARD_OUTPUT:
        return
    stem = out.rstrip("/")
    written = (out, f"{stem}{RECORD_ENDING}", f"{stem}{RECORD_ENDING}{PARTIAL}")
    folders = (f"{stem}.parts", *([stem] if out.endswith("/") else []))
    for read in inputs:
        name = "" if read is None else os.fspath(read).removeprefix("@")
        is_written = any(_is_same(name, other) for other in written)
        if name and (is_written or any(_is_in(name, folder) for folder in folders)):
            raise UsageError(f"--out {shown(out)!r} would replace {shown(name)!r}, which is read")


def _is_in(name: str, folder: str) -> bool:
    """Whether a file is below a folder that the job writes."""
    if is_url(name) or is_url(folder):
        return is_url(name) and tidy(name).startswith(tidy(folder) + "/")
    return Path(os.path.realpath(name)).is_relative_to(os.path.realpath(folder))


def _is_same(one: str, other: str) -> bool:
    if is_url(one) or is_url(other):
        return tidy(one) == tidy(other)
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:  # hard links, and letters whose case does not count
        return Path(one).samefile(other)
    except (OSError, ValueError):
        return False
