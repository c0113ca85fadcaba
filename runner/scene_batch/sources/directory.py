"""Photos under a local directory, sorted by path, one directory's names in memory at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scene_batch.errors import SourceError
from scene_batch.records import ImageRef

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""What counts as a photo while listing; its content decides the format."""


@dataclass(slots=True)
class Ignored:
    """What a listing passed over."""

    hidden: int = 0
    """Names that begin with a dot, files and folders; what is in such a folder is not counted."""
    other: int = 0
    """Files without a photo's suffix."""


@dataclass(slots=True)
class Directory:
    """A directory as typed, read recursively."""

    root: str
    ignored: Ignored

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield the photos below, bytewise by path.

        Raises:
            SourceError: A directory below cannot be listed: its photos would be lost.
        """
        return self._walk(os.fsencode(self.root), ())

    def _walk(self, folder: bytes, above: tuple[tuple[int, int], ...]) -> Iterator[ImageRef]:
        status = _folder_status(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a link back to a folder that we are in
            return
        for name in self._names(folder):
            path = name if folder == b"." else os.path.join(folder, name)  # noqa: PTH118 - bytes
            if name.endswith(b"/"):
                yield from self._walk(path[:-1], (*above, identity))
            else:
                yield image_ref(path)

    def _names(self, folder: bytes) -> list[bytes]:
        """The folders (with a closing slash) and photos of one directory, sorted bytewise.

        A folder sorts as its name plus the slash: so the whole walk is sorted by path, and a
        disk and a bucket give one order.
        """
        names = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(b"."):
                        self.ignored.hidden += 1
                    elif entry.is_dir():
                        names.append(entry.name + b"/")
                    elif has_photo_suffix(entry.name):
                        names.append(entry.name)
                    else:
                        self.ignored.other += 1
        except OSError as error:
            raise _cannot_list(folder, error) from None
        names.sort()
        return names


def has_photo_suffix(name: bytes) -> bool:
    """Whether a name ends like a photo's, case ignored."""
    return name.lower().endswith(tuple(suffix.encode() for suffix in PHOTO_SUFFIXES))


def image_ref(path: bytes) -> ImageRef:
    """A local photo with its size and time; without them where it is gone or not a file."""
    try:
        status = Path(os.fsdecode(path)).stat()
    except OSError:
        return ImageRef(os.fsdecode(path))
    if not stat.S_ISREG(status.st_mode):
        return ImageRef(os.fsdecode(path))
    return ImageRef(os.fsdecode(path), status.st_size, status.st_mtime_ns // 1000)


def _folder_status(folder: bytes) -> os.stat_result:
    try:
        return os.stat(folder)  # noqa: PTH116 - bytes, which pathlib does not take
    except OSError as error:
        raise _cannot_list(folder, error) from None


def _cannot_list(folder: bytes, error: OSError) -> SourceError:
    name = os.fsdecode(folder)
    return SourceError(f"cannot list {name!r}: {error.strerror}; make it readable or leave it out")
