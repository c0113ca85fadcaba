"""Photos whose right class a visitor said: stored by class, as training takes them."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from scene_batch.errors import OutputError, UsageError
from scene_batch_serve.problems import Problem, unsuitable

MOST, MOST_BYTES = 10_000, 1 << 30
"""Photos that a folder may hold, and their bytes."""
ENOUGH = 100
"""From so many corrections on, the page says that training is worth it."""
_NEW = ".new"
_NAME = re.compile(r"[0-9a-f]{32}\.\w+")
_LONGEST_NAME = 200
_FORBIDDEN = re.compile(
    r'[/\\<>:"|?*\x00-\x1f]|^\.|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE
)
"""What no folder's name may have, on one system or another."""
_SUFFIXES = (
    (b"\xff\xd8", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"RIFF", ".webp"),
    (b"II", ".tif"),
    (b"MM", ".tif"),
)
_AVIF = (b"avif", b"avis")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a folder may hold."""

    most: int = MOST
    most_bytes: int = MOST_BYTES


class Corrections:
    """A folder of corrected photos, a folder for each class; safe for threads.

    Raises:
        UsageError: A class cannot be a folder's name.
        OutputError: The folder cannot be written.
    """

    def __init__(self, folder: Path, classes: Sequence[str], limits: Limits | None = None) -> None:
        self._folder, self._classes, self._limits = folder, classes, limits or Limits()
        lower = {name.lower() for name in classes}
        for name in classes:
            too_long = len(name.encode()) > _LONGEST_NAME
            if too_long or _FORBIDDEN.search(name) or len(lower) < len(classes):
                raise UsageError(
                    f"--corrections: a folder for each class, but {name!r} can be none beside the"
                    " others; leave it out"
                )
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
            for path in self._paths(f".*{_NEW}"):  # what a full disk or a kill left
                path.unlink(missing_ok=True)
            self._count_again()
        except OSError as error:
            raise OutputError(
                f"--corrections {str(folder)!r}: {error.strerror or error}; name another folder"
            ) from None

    def check_class(self, name: str | None) -> str:
        """The class that a visitor said; Problem where the model has none of that name."""
        if name is None:
            raise unsuitable("no_class", "the form has no field 'class'")
        if name not in self._classes:
            raise unsuitable("unknown_class", "the model has no such class; /model names them")
        return name

    def add(self, photo: bytes, class_name: str) -> None:
        """Store a photo that can be read; of a photo that is there already, the last class counts.

        Raises:
            Problem: The folder is full, or cannot be written.
        """
        name = hashlib.sha256(photo).hexdigest()[:32] + _suffix(photo)
        with self._lock:
            if self._is_full(name, photo):
                self._count_again()  # it may have been emptied meanwhile
            if self._is_full(name, photo):
                message = "the folder of corrections is full; train with it, then empty it"
                raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, "full", message)
            try:
                self._write(photo, class_name, name)
            except OSError as error:
                message = f"the correction could not be stored: {error.strerror or error}"
                raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, "not_stored", message) from None
            self._sizes[name] = len(photo)
            self._total = len(self._sizes), sum(self._sizes.values())

    def _is_full(self, name: str, photo: bytes) -> bool:
        count, size = self._total
        return name not in self._sizes and (
            count >= self._limits.most or size + len(photo) > self._limits.most_bytes
        )

    def _count_again(self) -> None:
        self._sizes = {
            path.name: path.stat().st_size
            for path in self._paths("*")
            if _NAME.fullmatch(path.name)
        }
        self._total = len(self._sizes), sum(self._sizes.values())

    def _paths(self, pattern: str) -> Iterator[Path]:
        for name in self._classes:
            yield from (self._folder / name).glob(pattern)

    def _write(self, photo: bytes, class_name: str, name: str) -> None:
        path = self._folder / class_name / name
        path.parent.mkdir(exist_ok=True)
        new = path.parent / f".{name}{_NEW}"  # hidden: training passes over it
        try:
            new.write_bytes(photo)
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)  # what came of it would keep a full disk full
            raise
        for other in self._classes:
            if other != class_name:
                (self._folder / other / name).unlink(missing_ok=True)

    def to_json(self) -> dict[str, int]:
        """How many there are; waits for no disk."""
        count, size = self._total
        return {"count": count, "bytes": size, "most": self._limits.most, "enough": ENOUGH}


def _suffix(photo: bytes) -> str:
    if photo[4:8] == b"ftyp":
        return ".avif" if photo[8:12] in _AVIF else ".heic"
    return next((suffix for begin, suffix in _SUFFIXES if photo.startswith(begin)), ".jpg")
