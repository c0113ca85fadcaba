"""Where photos come from: each source yields ``ImageRef`` in order, ``read`` gives their bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scene_batch.errors import SourceError, SourceNotFoundError, UsageError
from scene_batch.records import ImageRef, Place
from scene_batch.sources.directory import Directory, Ignored, image_ref
from scene_batch.sources.file_list import FileList
from scene_batch.sources.reading import read

__all__ = ["Ignored", "Listing", "read"]


@dataclass(slots=True)
class Listing:
    """All the sources of a job as typed, one after the other.

    Raises:
        SourceNotFoundError: One of them does not exist.
        SourceError: Two of them hold the same photos.
    """

    sources: Sequence[str]
    after: ImageRef | None = None
    """The last photo of this job that is done: those behind it follow."""
    ignored: Ignored = field(init=False)
    found: int = field(init=False, default=0)
    """Photos yielded so far."""
    names: list[str] = field(init=False)
    """The sources as their photos' paths begin."""
    _opened: list[Directory | FileList | SinglePhoto] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open each source, so that what is wrong is said before any work."""
        self.names = [tidy(source) for source in self.sources]
        if not self.names:
            raise UsageError("no source: name a directory, a photo or an @list")
        _refuse_overlap(self.names)
        done = self.after.place if self.after else Place()
        self.ignored = Ignored(done.hidden, done.other)
        self._opened = [self._open(name, number) for number, name in enumerate(self.names)]

    @property
    def continuable(self) -> bool:
        """Whether the sources can be read again: not standard input, nor another pipe."""
        return all(source.is_file for source in self._lists)

    @property
    def lists(self) -> dict[str, str]:
        """The sha256 of each list that can be read again, by name: its lines are places."""
        return {source.name: source.sha256() for source in self._lists if source.is_file}

    @property
    def _lists(self) -> list[FileList]:
        return [source for source in self._opened if isinstance(source, FileList)]

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield every photo once for each time that the sources name it, in order."""
        for ref in self._refs():
            self.found += 1
            yield ref

    def _refs(self) -> Iterator[ImageRef]:
        first = self.after.place.source if self.after else 0
        for source in self._opened[first:]:
            after = self.after if self.after and source.source == first else None
            if isinstance(source, FileList):
                yield from source.refs(after.place.line if after else None)
            else:
                yield from source.refs(after.path if after else None)

    def _open(self, name: str, number: int) -> Directory | FileList | SinglePhoto:
        if name.startswith("@"):
            return FileList(name[1:], number)
        if "://" in name:
            raise SourceError(f"{name}: this version reads local directories, files and @lists")
        if Path(name).is_dir():
            return Directory(name, self.ignored, number)
        if os.path.lexists(name):
            return SinglePhoto(name, number)
        raise SourceNotFoundError(f"no such file or directory: {name!r}; check the path")


@dataclass(frozen=True, slots=True)
class SinglePhoto:
    """A photo as typed, whatever its suffix."""

    path: str
    source: int

    def refs(self, after: str | None = None) -> Iterator[ImageRef]:
        """Yield it, unless it is done."""
        if after is None:
            yield image_ref(os.fsencode(self.path), Place(self.source))


def tidy(source: str) -> str:
    """A source as typed, without a leading ``./`` and doubled or trailing slashes.

    Nothing is resolved: what the table says opens as it stands.
    """
    if source.startswith("@") or "://" in source:
        return source
    root = "/" if source.startswith("/") else ""
    parts = [part for part in source.split("/") if part]
    while len(parts) > 1 and parts[0] == ".":
        del parts[0]
    name = root + "/".join(parts)
    return f"./{name}" if name.startswith("@") else name  # a folder of that name, no list


def _refuse_overlap(names: Sequence[str]) -> None:
    """Refuse sources that contain each other: their photos would have two rows."""
    local = [name for name in names if not name.startswith("@") and "://" not in name]
    resolved = sorted((Path(os.path.realpath(name)), name) for name in local)
    for index, (path, name) in enumerate(resolved):
        for other, other_name in resolved[:index]:
            if path.is_relative_to(other):
                raise SourceError(f"{name!r} is already in {other_name!r}: name one of them")
