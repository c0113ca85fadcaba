"""XMP sidecars beside sorted photos: made or moved along, and taken back."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
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


class _OddError(Exception):
    """A sidecar is no XMP, a link, or too large."""


class Sidecars:
    """Makes the sidecars of a sorting.

    Args:
        wanted: Whether sidecars with the model's answer are; else they only move along.
        moves: Whether originals do, and with them their sidecars.
    """

    def __init__(self, *, wanted: bool, moves: bool) -> None:
        self._wanted, self._moves = wanted, moves
        self.odd = 0
        """Sidecars that are no XMP, or too large, and were left where they are."""

    def of(self, source: str, row: Row, *, is_sure: bool) -> Sidecar | None:
        """What is to be written beside a sorted photo; None: nothing."""
        file = None if is_url(source) else Path(source + ENDING)
        try:
            before = None if file is None else _read(file)
            text = self._text(before, row, is_sure=is_sure)
        except _OddError:
            self.odd += 1
            return None
        if text is None:
            return None
        digest = hashlib.sha256(text).hexdigest()
        if not self._moves or before is None or file is None:
            return Sidecar(digest)
        status = file.stat()
        encoded = base64.b64encode(before).decode()
        return Sidecar(digest, encoded, status.st_mtime_ns, stat.S_IMODE(status.st_mode))

    def put(self, entry: Entry, row: Row, name: Path, partial: Path, *, is_sure: bool) -> None:
        """Write it beside a photo that was put; a sidecar that is there already stays.

        Raises:
            OSError: It cannot be written.
        """
        if entry.sidecar is None:
            return
        file = Path(entry.source + ENDING)
        before = entry.sidecar.bytes_before()
        moves = before is not None
        try:
            if before is None and not is_url(entry.source):
                before = _read(file)
            text = self._text(before, row, is_sure=is_sure)
        except _OddError:  # since it was looked at
            return
        sidecar = Path(f"{name}{ENDING}")
        if text is not None and (is_empty(sidecar) or not os.path.lexists(sidecar)):
            write_anew(partial, text)
            _be_as(partial, entry.sidecar, unaltered=text == before)
            with suppress(TakenError):
                settle(partial, sidecar, again=True)
        if moves and file.is_file() and file.read_bytes() == entry.sidecar.bytes_before():
            file.unlink()

    def _text(self, before: bytes | None, row: Row, *, is_sure: bool) -> bytes | None:
        """What is to be written; _OddError where what is there is no XMP, and stays alone."""
        if not self._wanted or not isinstance(row, Prediction):
            return before if self._moves else None
        from scene_batch_report.sorting.xmp import NoXmpError, with_answer

        try:
            return with_answer(before, row, is_sure=is_sure)
        except NoXmpError:
            if self._moves:
                return before
            raise _OddError from None


def take_back(entry: Entry, name: Path) -> bool:
    """Remove what was written, and put back what moved along; whether all is as it was before."""
    if entry.sidecar is None:
        return True
    sidecar, file = Path(f"{name}{ENDING}"), Path(entry.source + ENDING)
    before = entry.sidecar.bytes_before()
    partial = growing(file)
    if before is not None and (is_empty(file) or not os.path.lexists(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_anew(partial, before)
        _be_as(partial, entry.sidecar, unaltered=True)
        settle(partial, file, again=True)
    if before is not None:
        partial.unlink(missing_ok=True)
    if not sidecar.is_file():
        return True
    digest = hashlib.sha256(sidecar.read_bytes()).hexdigest()
    if not is_empty(sidecar) and digest != entry.sidecar.sha256:
        return False
    sidecar.unlink()
    return True


def _be_as(file: Path, sidecar: Sidecar, *, unaltered: bool) -> None:
    """Give a file the permissions of the sidecar that it takes the place of, and its time."""
    if sidecar.mode is not None:
        file.chmod(sidecar.mode)
    if unaltered and sidecar.time_ns is not None:
        os.utime(file, ns=(sidecar.time_ns, sidecar.time_ns))


def _read(file: Path) -> bytes | None:
    """A sidecar's bytes; None where there is none."""
    if not os.path.lexists(file):
        return None
    if file.is_symlink() or not file.is_file() or file.stat().st_size > _MOST_BYTES:
        raise _OddError
    return file.read_bytes()
