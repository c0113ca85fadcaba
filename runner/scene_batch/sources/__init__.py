"""Where photos come from: each source yields ``ImageRef`` in order, ``read`` gives their bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scene_batch.errors import SourceError, SourceNotFoundError, UsageError
from scene_batch.records import ImageRef
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
    ignored: Ignored = field(default_factory=Ignored)
    found: int = 0
    """Photos yielded so far."""
    _opened: list[Iterable[ImageRef]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open each source, so that what is wrong is said before any work."""
        names = [tidy(source) for source in self.sources]
        if not names:
            raise UsageError("no source: name a directory, a photo or an @list")
        _refuse_overlap(names)
        self._opened = [self._open(name) for name in names]

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield every photo once for each time that the sources name it, in order."""
        for source in self._opened:
            for ref in source:
                self.found += 1
                yield ref

    def _open(self, name: str) -> Iterable[ImageRef]:
        if name.startswith("@"):
            return FileList(name[1:])
        if "://" in name:
            raise SourceError(f"{name}: this version reads local directories, files and @lists")
        if Path(name).is_dir():
            return Directory(name, self.ignored)
        if os.path.lexists(name):
            return (image_ref(os.fsencode(name)),)
        raise SourceNotFoundError(f"no such file or directory: {name!r}; check the path")


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
    return root + "/".join(parts)


def _refuse_overlap(names: Sequence[str]) -> None:
    """Refuse sources that contain each other: their photos would have two rows."""
    local = [name for name in names if not name.startswith("@") and "://" not in name]
    resolved = sorted((Path(name).resolve(), name) for name in local)
    for index, (path, name) in enumerate(resolved):
        for other, other_name in resolved[:index]:
            if path.is_relative_to(other):
                raise SourceError(f"{name!r} is already in {other_name!r}: name one of them")
