"""Photos under a local directory, sorted by path, one directory's names in memory at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scene_batch.errors import SourceError
from scene_batch.records import ImageRef, Position, known_time
from scene_batch.sources.own_files import OwnFiles
from scene_batch.sources.selection import EVERYTHING, Ignored, Selection
from scene_batch.sources.span import WHOLE, Span

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),
)
"""What counts as a photo while listing; its content decides the format."""


@dataclass(slots=True)
class Directory:
    """A directory as typed, read recursively."""

    root: str
    ignored: Ignored
    source: int = 0
    """The number of this source in its job."""
    selection: Selection = EVERYTHING
    others: Mapping[str, str] = field(default_factory=dict)
    """The job's other local sources: where each really is, and what was typed for it."""
    own: OwnFiles | None = None
    """What the job itself writes, which is no part of the source."""
    _excludes: Callable[[str], object] | None = field(init=False, repr=False)
    _roots: dict[tuple[int, int], str] = field(init=False, repr=False)
    _single: dict[tuple[int, int], dict[bytes, str]] = field(default_factory=dict, repr=False)
    """The other sources that are single photos, by their folder and name."""

    def __post_init__(self) -> None:
        """Look up what each folder is compared with."""
        self._excludes = self.selection.excludes()
        self._roots = {inode: name for real, name in self.others.items() if (inode := _inode(real))}
        for real, name in self.others.items():
            folder = _inode(os.path.dirname(real))  # noqa: PTH120 - a text
            if folder and not _inode(real):
                self._single.setdefault(folder, {})[os.fsencode(os.path.basename(real))] = name  # noqa: PTH119

    def refs(self, span: Span = WHOLE) -> Iterator[ImageRef]:
        """Yield the photos below, bytewise by path; folders outside the span are not opened.

        Raises:
            SourceError: A directory below cannot be listed: its photos would be lost. Or a link
                leads into another source: its photos would have two rows.
        """
        position = Position(self.source)
        after, last = (key and key[2] for key in (span.after, span.last))
        open_folders = [self._open(os.fsencode(self.root), ())]
        while open_folders:
            folder = open_folders[-1]
            if folder is None or (name := next(folder.names, None)) is None:
                open_folders.pop()
                continue
            path = folder.begin + name
            if last is not None and path > last:
                return
            if name.endswith(b"/"):
                # All that is in a folder begins with its path.
                if after is None or path > after or after.startswith(path):
                    open_folders.append(self._open(path[:-1], open_folders))
            elif after is None or path > after:
                yield image_ref(path, position)

    def _open(self, path: bytes, above: Sequence[_Folder | None]) -> _Folder | None:
        """Read a folder's names; None if it is gone, one of those above it, or passed over."""
        try:
            status = os.stat(path)  # noqa: PTH116 - bytes, which pathlib does not take
            inode = (status.st_dev, status.st_ino)
            # A link back to a folder that we are in; 0 is no number (some network disks on Windows)
            if status.st_ino and any(folder and folder.inode == inode for folder in above):
                return None
            if inode in self._roots:
                raise _meets(path, self._roots[inode])
            # By slashes on every system: paths, their order and shards are the same on all.
            begin = b"" if path == b"." else path.removesuffix(b"/") + b"/"
            return _Folder(begin, inode, self._names(path, begin, inode))
        except FileNotFoundError:
            if above:  # removed since its name was read: its photos are gone
                return None
            raise _cannot_list(path, "it is gone", "") from None
        except OSError as error:
            if above and self.selection.skip_unlistable:
                self.ignored.unlistable += 1
                return None
            remedy = ", by --exclude or --skip-unlistable" if above else ""
            raise _cannot_list(path, error.strerror, remedy) from None

    def _names(self, folder: bytes, begin: bytes, inode: tuple[int, int]) -> Iterator[bytes]:
        """The folders (with a closing slash) and photos of one directory, sorted bytewise.

        A folder sorts as its name plus the slash: so the whole walk is sorted by path, and a disk
        and a bucket give one order.
        """
        names, ignored, excludes = [], self.ignored, self._excludes
        own = self.own.names_in(inode) if self.own else frozenset()
        single = self._single.get(inode, {})
        root = os.fsencode(self.root)
        below = begin if root == b"." else begin[len(root.removesuffix(b"/")) + 1 :]
        looks_at_links = bool(self.others) or not self.selection.follow_links
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name in own:
                    continue
                if entry.name.startswith(b"."):
                    ignored.hidden += 1
                    continue
                is_folder = _is_folder(entry)
                name = entry.name + b"/" if is_folder else entry.name
                if excludes and excludes(os.fsdecode(below + name)):
                    ignored.excluded += 1
                elif not is_folder and not has_photo_suffix(name):
                    ignored.other += 1
                elif looks_at_links and entry.is_symlink() and not self._follow(entry.path):
                    ignored.links += 1
                elif name in single:
                    raise _meets(entry.path, single[name])
                else:
                    names.append(name)
        names.sort()
        return _unpacked(b"\0".join(names))

    def _follow(self, link: bytes) -> bool:
        """Whether a link is followed; SourceError if it leads into another source."""
        if not self.selection.follow_links:
            return False
        real = os.path.realpath(os.fsdecode(link))
        for other, name in self.others.items():
            if real == other or real.startswith(other.rstrip(os.sep) + os.sep):
                raise _meets(link, name)
        return True


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is being walked."""

    begin: bytes
    """What the paths in it begin with."""
    inode: tuple[int, int]
    names: Iterator[bytes]
    """Those not walked yet."""


def _unpacked(names: bytes) -> Iterator[bytes]:
    """Names that are held as one text, since each bytes object would need 33 bytes more."""
    begin = 0
    while begin < len(names):
        end = names.find(b"\0", begin)
        end = len(names) if end < 0 else end
        yield names[begin:end]
        begin = end + 1


def _inode(path: str) -> tuple[int, int] | None:
    """What tells a folder from all others; None for what is none, or has no number."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
    is_folder = stat.S_ISDIR(status.st_mode) and status.st_ino
    return (status.st_dev, status.st_ino) if is_folder else None


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except PermissionError:  # a link into a folder that is closed: only its name tells
        return not has_photo_suffix(entry.name)
    except OSError:  # a link in a circle: a photo's problem
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


def _cannot_list(folder: bytes, reason: str | None, remedy: str) -> SourceError:
    return SourceError(
        f"cannot list {_shown(folder)}: {reason}; make it readable or leave it out{remedy}"
    )


def _meets(path: bytes, other: str) -> SourceError:
    return SourceError(
        f"{_shown(path)} leads into {other!r}, another source: its photos would have two rows; name"
        " one of the sources, or leave this out by --exclude or --no-follow-links"
    )


def _shown(path: bytes) -> str:
    name = os.fsdecode(path)
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")
