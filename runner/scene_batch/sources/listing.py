"""Where photos come from: all sources of a job, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from scene_batch.errors import SourceError, SourceNotFoundError, UsageError
from scene_batch.object_store.address import (
    BUCKET_SCHEMES,
    Address,
    hidden,
    is_url,
    shown,
    unique,
)
from scene_batch.object_store.stores import Stores
from scene_batch.records import ImageRef, Position, printable
from scene_batch.sources.directory import Directory, image_ref, with_slashes
from scene_batch.sources.file_list import USUAL, FileList, ListFormat, reference
from scene_batch.sources.own_files import OwnFiles
from scene_batch.sources.prefix import Prefix, RemotePhoto, find_object
from scene_batch.sources.reading import Fetched, Reader, read
from scene_batch.sources.selection import EVERYTHING, Ignored, Selection, words
from scene_batch.sources.shard import Shard
from scene_batch.sources.span import WHOLE, Span

__all__ = ["Fetched", "Ignored", "Listing", "Reader", "read", "reference"]


@dataclass(slots=True)
class Listing:
    """All the sources of a job as typed, one after the other.

    Raises:
        SourceNotFoundError: One of them does not exist.
        SourceError: Two of them hold the same photos, or one cannot be listed.
        StoreError: The environment does not say how to open one.
    """

    sources: Sequence[str]
    stores: Stores = field(default_factory=Stores)
    lists_as: ListFormat = USUAL
    shard: Shard | None = None
    """Yield only the photos of this shard; None: all."""
    span: Span = WHOLE
    """Yield only the photos in this stretch, and look for no others."""
    selection: Selection = EVERYTHING
    out: str = ""
    """The name of the job's output, which is no part of a source; empty where there is none."""
    hide_queries: bool = False
    """Whether the table's paths, by which shards are told apart, have no queries."""
    found: int = field(init=False, default=0)
    """Photos yielded so far."""
    seen: int = field(init=False, default=0)
    """Photos seen so far, those of other shards included."""
    names: list[str] = field(init=False)
    """The sources, spelt as in the paths of their photos."""
    _opened: list[Source] = field(init=False, repr=False)
    _ignored: list[Ignored] = field(init=False, repr=False)
    """What was passed over in each source."""

    def __post_init__(self) -> None:
        """Open each source, so that errors come before any work."""
        self.names = [tidy(source) for source in self.sources]
        if not self.names:
            raise UsageError("no source: name a directory, a prefix, a photo or an @list")
        _refuse_overlap(self.names)
        self._ignored = [Ignored() for _ in self.names]
        self._opened = [self._open(name, number) for number, name in enumerate(self.names)]

    @property
    def continuable(self) -> bool:
        """Whether the sources can be read again, which pipes such as standard input cannot."""
        return all(source.is_file for source in self._lists)

    @property
    def where(self) -> list[str]:
        """Where the sources really are: local ones through all links, URLs without secrets."""
        return [_where(name) for name in self.names]

    @property
    def may_be_remote(self) -> bool:
        """Whether photos may come over a network; true for every list, which is not read yet."""
        return any(not isinstance(source, Directory | SinglePhoto) for source in self._opened)

    @property
    def lists(self) -> dict[str, str]:
        """The sha256 of each list that can be read again, by name: positions are its lines."""
        return {printable(s.name): s.sha256() for s in self._lists if s.is_file}

    @property
    def ignored(self) -> Ignored:
        """What was passed over so far."""
        total = Ignored()
        for ignored in self._ignored:
            total.add(ignored)
        return total

    @property
    def _local(self) -> list[str]:
        return [name for name in self.names if not (name.startswith("@") or is_url(name))]

    @property
    def _lists(self) -> list[FileList]:
        return [source for source in self._opened if isinstance(source, FileList)]

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield the photos in order; one that a list names twice comes twice."""
        for ref in self._refs():
            self.seen += 1
            path = hidden(ref.path) if self.hide_queries else ref.path
            if self.shard is None or self.shard.holds(path):
                self.found += 1
                yield ref

    def refs_of(self, number: int) -> Iterator[ImageRef]:
        """Yield the photos of one source, by its number; several may be listed side by side."""
        return self._opened[number].refs()

    def refuse_no_photo(self) -> None:
        """Raise SourceError if no photo was seen, not even of another shard.

        Whoever cut the sources into spans has seen to that: one of them may have no photo now.
        """
        if self.span != WHOLE:
            return
        if not self.seen and all(source.startswith("@") for source in self.sources):
            raise SourceError(f"no photo in {', '.join(self.sources)}: no line has a path")
        if not self.seen:
            ignored = ", ".join(words(asdict(self.ignored))) or "0 other files ignored"
            raise SourceError(
                f"no photo in {', '.join(map(shown, self.sources))} ({ignored}); check the path,"
                " and the suffixes that count as photos in run --help"
            )

    def _refs(self) -> Iterator[ImageRef]:
        for number, source in enumerate(self._opened):
            if (span := self.span.of_source(number)) is not None:
                yield from source.refs(span)

    def _open(self, name: str, number: int) -> Source:
        if name.startswith("@"):
            return FileList(name[1:], number, self.lists_as)
        if is_url(name):
            return self._open_remote(name, number)
        if os.path.isdir(name):  # noqa: PTH112 - False where the name is too long
            others = {os.path.realpath(other): other for other in self._local if other != name}
            own = OwnFiles.of(self.out)
            return Directory(name, self._ignored[number], number, self.selection, others, own)
        if os.path.lexists(name):
            return SinglePhoto(name, number)
        raise SourceNotFoundError(f"no such file or directory: {name!r}; check the path")

    def _open_remote(self, name: str, number: int) -> Prefix | RemotePhoto:
        if not Address.parse(name).is_listable:
            return RemotePhoto(name, number)
        if not self.sources[number].endswith("/") and (meta := find_object(name, self.stores)):
            return RemotePhoto(name, number, meta)
        own = OwnFiles.of(self.out)
        prefix = Prefix(name, self._ignored[number], self.stores, number, self.selection, own)
        if self.span == WHOLE:  # else it was checked by whoever cut the sources into spans
            prefix.check()
        return prefix


@dataclass(frozen=True, slots=True)
class SinglePhoto:
    """A photo as typed, whatever its suffix."""

    path: str
    source: int

    def refs(self, span: Span = WHOLE) -> Iterator[ImageRef]:
        """Yield it, if it is in the span."""
        ref = image_ref(os.fsencode(self.path), Position(self.source))
        if span.holds(ref.order_key):
            yield ref


Source: TypeAlias = Directory | FileList | Prefix | RemotePhoto | SinglePhoto


def tidy(source: str, paths: ModuleType = os.path) -> str:
    """A source as typed, without a leading ``./`` and doubled or trailing slashes.

    Nothing is resolved: what the table says opens as it stands.

    Args:
        source: What was typed.
        paths: The rules of local paths: ``posixpath`` or ``ntpath``.
    """
    if source.startswith("@"):
        return source
    scheme, separator, rest = source.partition("://")
    if separator and len(scheme) > 1:  # a single letter is a drive
        if scheme not in BUCKET_SCHEMES:
            return source
        return f"{scheme}://{'/'.join(part for part in rest.split('/') if part)}"
    drive, rest = paths.splitdrive(with_slashes(source, paths.sep))
    if drive.endswith(":"):
        rest = rest or "."  # the folder where one is on that drive
    root = f"{drive}/" if rest.startswith("/") else drive
    parts = [part for part in rest.split("/") if part]
    while len(parts) > 1 and parts[0] == ".":
        del parts[0]
    name = root + "/".join(parts)
    return f"./{name}" if name.startswith("@") else name  # a folder of that name, no list


def _where(name: str) -> str:
    if is_url(name):
        return unique(name)
    at, path = ("@", name[1:]) if name.startswith("@") else ("", name)
    return at + printable(path if path == "-" and at else os.path.realpath(path))


def _refuse_overlap(names: Sequence[str]) -> None:
    """Refuse sources that contain each other: their photos would have two rows."""
    roots = [name for name in names if not name.startswith("@")]
    resolved = sorted(
        (Path(name if is_url(name) else os.path.realpath(name)), name) for name in roots
    )
    for index, (path, name) in enumerate(resolved):
        for other, other_name in resolved[:index]:
            web = is_url(name) and not Address.parse(name).is_listable
            if path == other or (path.is_relative_to(other) and not web):
                raise SourceError(
                    f"{shown(name)!r} is already in {shown(other_name)!r}: name one of them"
                )
