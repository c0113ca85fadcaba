"""XMP sidecars beside sorted photos: made or moved along, and taken back."""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from scene_batch.object_store.address import is_url
from scene_batch.records import Prediction, Row
from scene_batch_report.sorting.journal import Entry, Sidecar
from scene_batch_report.sorting.placing import (
    TakenError,
    growing,
    is_empty,
    settle,
    write_anew,
)

ENDING = ".xmp"
_MOST_BYTES = 4 << 20
"""Of a sidecar that is read; those of photo programs have kilobytes."""


class Sidecars:
    """Makes the sidecars of a sorting.

    Args:
        wanted: Whether sidecars with the model's answer are; else they only move along.
        moves: Whether originals do, and with them their sidecars.
    """

    def __init__(self, *, wanted: bool, moves: bool) -> None:
        self._wanted, self._moves = wanted, moves
        self.not_merged = 0
        """Sidecars that are no XMP, and were left as they are."""

    def of(self, source: str, row: Row, *, is_sure: bool) -> Sidecar | None:
        """What is to be written beside a sorted photo; None: nothing."""
        file = None if is_url(source) else Path(source + ENDING)
        before = None if file is None else _read(file)
        text = self._text(before, row, is_sure=is_sure)
        if text is None:
            return None
        digest = hashlib.sha256(text).hexdigest()
        if not self._moves or before is None or file is None:
            return Sidecar(digest)
        return Sidecar(digest, base64.b64encode(before).decode(), file.stat().st_mtime_ns)

    def put(self, entry: Entry, row: Row, name: Path, partial: Path, *, is_sure: bool) -> None:
        """Write it beside a photo that was put; a sidecar that is there already stays."""
        if entry.sidecar is None:
            return
        file = Path(entry.source + ENDING)
        before = entry.sidecar.bytes_before()
        moves = before is not None
        if before is None and not is_url(entry.source):
            before = _read(file)
        text = self._text(before, row, is_sure=is_sure)
        sidecar = Path(f"{name}{ENDING}")
        if text is not None and (is_empty(sidecar) or not os.path.lexists(sidecar)):
            write_anew(partial, text)
            if text == before and entry.sidecar.time_ns is not None:
                os.utime(partial, ns=(entry.sidecar.time_ns, entry.sidecar.time_ns))
            with suppress(TakenError):
                settle(partial, sidecar, again=True)
        if moves:
            file.unlink(missing_ok=True)

    def _text(self, before: bytes | None, row: Row, *, is_sure: bool) -> bytes | None:
        if not self._wanted or not isinstance(row, Prediction):
            return before if self._moves else None
        from scene_batch_report.sorting.xmp import NoXmpError, with_answer

        try:
            return with_answer(before, row, is_sure=is_sure)
        except NoXmpError:
            self.not_merged += 1
            return before if self._moves else None


def take_back(entry: Entry, name: Path) -> bool:
    """Remove what was written, and put back what moved along; whether all is as it was before."""
    if entry.sidecar is None:
        return True
    sidecar, file = Path(f"{name}{ENDING}"), Path(entry.source + ENDING)
    before = entry.sidecar.bytes_before()
    partial = growing(file)
    if before is not None and (is_empty(file) or not os.path.lexists(file)):
        write_anew(partial, before)
        if entry.sidecar.time_ns is not None:
            os.utime(partial, ns=(entry.sidecar.time_ns, entry.sidecar.time_ns))
        settle(partial, file, again=True)
    partial.unlink(missing_ok=True)
    if _read(sidecar) is None:
        return True
    digest = hashlib.sha256(sidecar.read_bytes()).hexdigest()
    if not is_empty(sidecar) and digest != entry.sidecar.sha256:
        return False
    sidecar.unlink()
    return True


def _read(file: Path) -> bytes | None:
    """A sidecar's bytes; None where there is none, or something larger than one."""
    try:
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return None
        return file.read_bytes()
    except OSError:
        return None
