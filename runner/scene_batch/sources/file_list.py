"""Photos named by a list: ``@list.txt``, ``@list.csv``, ``@list.parquet``, ``@-``."""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from scene_batch.errors import SourceError, SourceNotFoundError
from scene_batch.object_store.address import is_url
from scene_batch.records import ImageRef, Position
from scene_batch.sources.directory import image_ref

COLUMN = "path"


@dataclass(slots=True)
class FileList:
    """A list as typed, without its ``@``; ``-`` is standard input."""

    name: str
    source: int = 0
    """The number of this source in its job."""

    def __post_init__(self) -> None:
        """Refuse, before any work, a list that is not there."""
        path = Path(self.name)  # a pipe will do: @<(find …), @/dev/stdin
        if self.name != "-" and (not path.exists() or path.is_dir()):
            raise SourceNotFoundError(f"no such list: {self.name!r}; after @ comes a file's path")

    @property
    def is_file(self) -> bool:
        """Whether it can be read again."""
        return self.name != "-" and Path(self.name).is_file()

    def sha256(self) -> str:
        """The sha256 of its bytes, in hex.

        Raises:
            SourceError: It cannot be read.
        """
        try:
            with Path(self.name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self._unreadable(error) from None

    def refs(self, after: int | None = None) -> Iterator[ImageRef]:
        """Yield one reference for each line, in the list's order, those behind line ``after``.

        Blank lines are ignored, but counted.

        Raises:
            SourceError: The list cannot be read, or has no column ``path``.
        """
        suffix = Path(self.name).suffix.lower()
        paths = {".csv": self._csv, ".parquet": self._parquet}.get(suffix, self._text)
        try:
            for line, path in enumerate(paths(), 1):
                if line > (after or 0) and path.strip():
                    yield reference(path, Position(self.source, line))
        except OSError as error:
            raise self._unreadable(error) from None
        except csv.Error as error:
            raise SourceError(f"the list {self.name!r} is not CSV: {error}") from None

    @contextmanager
    def _open(self, newline: str | None = None) -> Iterator[TextIO]:
        if self.name == "-" and sys.stdin is None:
            raise SourceError("standard input is closed: @- has nothing to read")
        file = sys.stdin.fileno() if self.name == "-" else self.name
        # surrogateescape: even a path that is not UTF-8 opens its photo
        with open(
            file,
            encoding="utf-8-sig",
            errors="surrogateescape",
            newline=newline,
            closefd=file is self.name,
        ) as lines:
            yield lines

    def _text(self) -> Iterator[str]:
        with self._open(newline="\n") as lines:  # a name may hold a carriage return
            for line in lines:
                yield line.removesuffix("\n").removesuffix("\r")

    def _csv(self) -> Iterator[str]:
        with self._open(newline="") as lines:
            rows = csv.DictReader(lines, restval="")
            if COLUMN not in (rows.fieldnames or ()):
                raise self._no_column()
            for row in rows:
                yield row[COLUMN]

    def _parquet(self) -> Iterator[str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.name) as table:
                if COLUMN not in table.schema_arrow.names:
                    raise self._no_column()
                kind = table.schema_arrow.field(COLUMN).type
                if pa.types.is_dictionary(kind):
                    kind = kind.value_type
                if kind not in (pa.string(), pa.large_string(), pa.string_view()):
                    raise SourceError(f"the list {self.name!r}: {COLUMN!r} is not of type string")
                for batch in table.iter_batches(columns=[COLUMN]):
                    yield from (value or "" for value in batch.column(0).to_pylist())
        except pa.ArrowInvalid as error:
            raise SourceError(f"cannot read the list {self.name!r}: {error}") from None

    def _unreadable(self, error: OSError) -> SourceError:
        return SourceError(f"cannot read the list {self.name!r}: {error.strerror or error}")

    def _no_column(self) -> SourceError:
        return SourceError(f"the list {self.name!r} has no column {COLUMN!r}; name it so")


def reference(path: str, position: Position) -> ImageRef:
    """A photo by its path, local or remote.

    A remote one's size is not asked for: the one request is that for its bytes.
    """
    return (
        ImageRef(path, position=position)
        if is_url(path)
        else image_ref(os.fsencode(path), position)
    )
