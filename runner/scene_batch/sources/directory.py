"""Photos under a local directory, sorted by path, one directory's names in memory at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from scene_batch.errors import SourceError
from scene_batch.records import ImageRef, Position, known_time

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),
)
"""What counts as a photo while listing; its content decides the format."""


@dataclass(slots=True)
class Ignored:
    """What a listing passed over, in the folders that it is through with."""

    hidden: int = 0
    """Names that begin with a dot, files and folders; what is in such a folder is not counted."""
    other: int = 0
    """Files without a photo's suffix."""


@dataclass(slots=True)
class Directory:
    """A directory as typed, read recursively."""

    root: str
    ignored: Ignored
    source: int = 0
    """The number of this source in its job."""
    _position: Position = field(init=False, default=Position())

    def refs(self, after: str | None = None) -> Iterator[ImageRef]:
        """Yield the photos below, bytewise by path, those behind ``after`` where it is given.

        Folders before ``after`` are not opened.

        Raises:
            SourceError: A directory below cannot be listed: its photos would be lost.
        """
        self._pass_over(0, 0)
        return self._walk(os.fsencode(self.root), (), b"" if after is None else os.fsencode(after))

    def _walk(
        self, folder: bytes, above: tuple[tuple[int, int], ...], after: bytes
    ) -> Iterator[ImageRef]:
        try:
            status = os.stat(folder)  # noqa: PTH116 - bytes, which pathlib does not take
            inode = (status.st_dev, status.st_ino)
            # A link back to a folder that we are in; 0 is no number (some network disks on Windows)
            if status.st_ino and inode in above:
                return
            names, hidden, other = _names(folder)
        except FileNotFoundError:
            if above:  # removed since its name was read: its photos are gone
                return
            raise _cannot_list(folder, "it is gone") from None
        except OSError as error:
            raise _cannot_list(folder, error.strerror) from None
        # By slashes on every system: paths, their order and shards are the same on all.
        begin = b"" if folder == b"." else folder.removesuffix(b"/") + b"/"
        for name in names:
            path = begin + name
            if path <= after and not after.startswith(path):
                continue
            if name.endswith(b"/"):
                yield from self._walk(path[:-1], (*above, inode), after)
            elif path != after:
                yield image_ref(path, self._position)
        self._pass_over(hidden, other)

    def _pass_over(self, hidden: int, other: int) -> None:
        """Count what a folder held besides photos, once it is done: then it is counted once."""
        self.ignored.hidden += hidden
        self.ignored.other += other
        self._position = Position(self.source, None, self.ignored.hidden, self.ignored.other)


def _names(folder: bytes) -> tuple[list[bytes], int, int]:
    """The folders (with a closing slash) and photos of one directory, sorted bytewise.

    A folder sorts as its name plus the slash: so the whole walk is sorted by path, and a disk and
    a bucket give one order.

    Returns:
        The names, and how many hidden and other ones there are besides.
    """
    names, hidden, other = [], 0, 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(b"."):
                hidden += 1
            elif _is_folder(entry):
                names.append(entry.name + b"/")
            elif has_photo_suffix(entry.name):
                names.append(entry.name)
            else:
                other += 1
    names.sort()
    return names, hidden, other


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or into a folder that is closed: a photo's problem
        return False


def has_photo_suffix(name: bytes) -> bool:
    """Whether a name ends like a photo's, case ignored."""
    return name.lower().endswith(_SUFFIX_BYTES)


_SUFFIX_BYTES = tuple(suffix.encode() for suffix in PHOTO_SUFFIXES)


def with_slashes(path: str, separator: str = os.sep) -> str:
    r"""A local path as rows hold it on every system: ``C:\photos\a.jpg`` as ``C:/photos/a.jpg``."""
    return path if separator == "/" else path.replace(separator, "/")


def image_ref(path: bytes, position: Position) -> ImageRef:
    """A local photo with its size and time; without them where it is gone or not a file."""
    name = with_slashes(os.fsdecode(path))
    try:
        status = os.stat(path)  # noqa: PTH116 - bytes, which pathlib does not take
    except (OSError, ValueError):  # ValueError: a NUL byte in a list's line
        return ImageRef(name, position=position)
    if not stat.S_ISREG(status.st_mode):
        return ImageRef(name, position=position)
    return ImageRef(name, status.st_size, known_time(status.st_mtime_ns // 1000), position)


def _cannot_list(folder: bytes, reason: str | None) -> SourceError:
    name = os.fsdecode(folder)
    return SourceError(f"cannot list {name!r}: {reason}; make it readable or leave it out")
