"""Photos under a local directory, sorted by path, one directory's names in memory at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scene_batch.errors import SourceError
from scene_batch.records import ImageRef, Position, known_time

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
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
        behind = b"" if after is None else os.fsencode(after)
        open_folders = [self._open(os.fsencode(self.root), ())]
        while open_folders:
            folder = open_folders[-1]
            if folder is None or (name := next(folder.names, None)) is None:
                open_folders.pop()
                if folder is not None:
                    self._pass_over(folder.hidden, folder.other)
                continue
            path = folder.begin + name
            if path <= behind and not behind.startswith(path):
                continue
            if name.endswith(b"/"):
                open_folders.append(self._open(path[:-1], open_folders))
            elif path != behind:
                yield image_ref(path, self._position)

    def _open(self, path: bytes, above: Sequence[_Folder | None]) -> _Folder | None:
        """Read a folder's names; None if it is gone, or is one of those above it.

        Raises:
            SourceError: It cannot be listed.
        """
        try:
            status = os.stat(path)  # noqa: PTH116 - bytes, which pathlib does not take
            inode = (status.st_dev, status.st_ino)
            # A link back to a folder that we are in; 0 is no number (some network disks on Windows)
            if status.st_ino and any(folder and folder.inode == inode for folder in above):
                return None
            names, hidden, other = _names(path)
        except FileNotFoundError:
            if above:  # removed since its name was read: its photos are gone
                return None
            raise _cannot_list(path, "it is gone") from None
        except OSError as error:
            raise _cannot_list(path, error.strerror) from None
        # By slashes on every system: paths, their order and shards are the same on all.
        begin = b"" if path == b"." else path.removesuffix(b"/") + b"/"
        return _Folder(begin, inode, _unpacked(b"\0".join(names)), hidden, other)

    def _pass_over(self, hidden: int, other: int) -> None:
        """Count what a folder held besides photos, once it is done: then it is counted once."""
        self.ignored.hidden += hidden
        self.ignored.other += other
        self._position = Position(self.source, None, self.ignored.hidden, self.ignored.other)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is being walked."""

    begin: bytes
    """What the paths in it begin with."""
    inode: tuple[int, int]
    names: Iterator[bytes]
    """Those not walked yet."""
    hidden: int
    other: int


def _unpacked(names: bytes) -> Iterator[bytes]:
    """Names that are held as one text, since each bytes object would need 33 bytes more."""
    begin = 0
    while begin < len(names):
        end = names.find(b"\0", begin)
        end = len(names) if end < 0 else end
        yield names[begin:end]
        begin = end + 1


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


_SHOWN = 300
"""Letters of a path that a message shows."""


def _cannot_list(folder: bytes, reason: str | None) -> SourceError:
    name = os.fsdecode(folder)
    if len(name) > _SHOWN:
        name = f"{name[:_SHOWN]}…"
    return SourceError(f"cannot list {name!r}: {reason}; make it readable or leave it out")
