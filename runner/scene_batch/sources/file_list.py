"""Photos named by a list: ``@list.txt``, ``@list.csv``, ``@list.parquet``, ``@-``."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from scene_batch.errors import SourceError, SourceNotFoundError
from scene_batch.object_store.address import is_url
from scene_batch.records import ImageRef, Position
from scene_batch.sources.directory import image_ref
from scene_batch.sources.span import WHOLE, Span


@dataclass(frozen=True, slots=True)
class ListFormat:
    """How lists are read."""

    column: str = "path"
    """Of CSV and Parquet lists, the column that holds the paths."""
    null: bool = False
    """Whether paths end with a NUL byte instead of a line break: ``find -print0``."""

    def to_json(self) -> dict[str, object]:
        """For a run's identity and its record; empty where lists are read as usual."""
        return {} if self == USUAL else asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave, among other values."""
        return cls(value.get("column", USUAL.column), value.get("null", USUAL.null))


USUAL = ListFormat()
"""A path a line, or the column ``path``."""
_BLOCK, _LONGEST_PATH = 1 << 16, 1 << 20

_CSV_LINE = re.compile(r'(?:"(?:[^"]|"")*"|[^",]*)(?:,(?:"(?:[^"]|"")*"|[^",]*))*')
"""One record of RFC 4180 on a line of its own."""


@dataclass(slots=True)
class FileList:
    """A list as typed, without its ``@``; ``-`` is standard input."""

    name: str
    source: int = 0
    """The number of this source in its job."""
    format: ListFormat = USUAL

    def __post_init__(self) -> None:
        """Refuse, before any work, a list that is not there."""
        # A pipe will do: @<(find …), @/dev/stdin. Unlike pathlib, no name is too long for these.
        there = os.path.exists(self.name) and not os.path.isdir(self.name)  # noqa: PTH110, PTH112
        if self.name != "-" and not there:
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

    def refs(self, span: Span = WHOLE) -> Iterator[ImageRef]:
        """Yield one reference for each line of the span, in the list's order.

        Blank lines are ignored, but counted; a table's line without a path is a row all the same.

        Raises:
            SourceError: The list cannot be read, lacks the column, or has quotes that do not close.
        """
        suffix = Path(self.name).suffix.lower()
        paths = {".csv": self._csv, ".parquet": self._parquet}.get(suffix, self._text)
        paths = self._nulls if self.format.null else paths
        after = span.after[1] if span.after else 0
        try:
            for line, path in enumerate(paths(), 1):
                if span.last is not None and line > span.last[1]:
                    return
                if path is not None and line > after:
                    yield reference(path, Position(self.source, line))
        except OSError as error:
            raise self._unreadable(error) from None

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

    def _text(self) -> Iterator[str | None]:
        with self._open(newline="\n") as lines:  # a name may hold a carriage return
            for line in lines:
                path = line.removesuffix("\n").removesuffix("\r")
                yield path if path.strip() else None

    def _nulls(self) -> Iterator[str | None]:
        rest = ""
        with self._open(newline="") as text:
            while block := text.read(_BLOCK):
                *whole, rest = (rest + block).split("\0")
                yield from (path if path.strip() else None for path in whole)
                if len(rest) > _LONGEST_PATH:
                    raise SourceError(
                        f"the list {self.name!r} has no NUL byte for a megabyte; drop --null where"
                        " it has a path a line"
                    )
        if rest:
            yield rest

    def _csv(self) -> Iterator[str | None]:
        """The column's fields, each line a record of its own: a quote must not swallow lines."""
        with self._open() as lines:
            header = self._fields(1, next(lines, ""))
            if self.format.column not in header:
                raise self._no_column(header)
            if header.count(self.format.column) > 1:
                raise self._two_columns()
            index = header.index(self.format.column)
            for number, line in enumerate(lines, 2):
                fields = self._fields(number, line)
                if len(fields) > len(header):
                    raise SourceError(
                        f"the list {self.name!r} has {len(fields)} fields in line {number}, its"
                        f" header has {len(header)}: put a path with a comma in quotes"
                    )
                if not line.strip():
                    yield None
                else:
                    yield fields[index] if index < len(fields) else ""

    def _fields(self, number: int, line: str) -> list[str]:
        line = line.rstrip("\r\n")
        if not _CSV_LINE.fullmatch(line):
            raise SourceError(
                f"the list {self.name!r} has a quote in line {number} that does not close there or"
                " is not doubled; mend it, or list paths with quotes and line breaks with --null"
            )
        try:
            return next(csv.reader([line]), [])
        except csv.Error as error:
            raise SourceError(
                f"the list {self.name!r} is not CSV in line {number}: {error}"
            ) from None

    def _parquet(self) -> Iterator[str | None]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.name) as table:
                column = self.format.column
                if column not in table.schema_arrow.names:
                    raise self._no_column(table.schema_arrow.names)
                if table.schema_arrow.names.count(column) > 1:
                    raise self._two_columns()
                kind = table.schema_arrow.field(column).type
                if pa.types.is_dictionary(kind):
                    kind = kind.value_type
                if kind not in (pa.string(), pa.large_string(), pa.string_view()):
                    raise SourceError(f"the list {self.name!r}: {column!r} is not of type string")
                for batch in table.iter_batches(columns=[column]):
                    yield from (value or "" for value in batch.column(0).to_pylist())
        except pa.ArrowInvalid as error:
            raise SourceError(f"cannot read the list {self.name!r}: {error}") from None

    def _unreadable(self, error: OSError) -> SourceError:
        return SourceError(f"cannot read the list {self.name!r}: {error.strerror or error}")

    def _two_columns(self) -> SourceError:
        return SourceError(
            f"the list {self.name!r} has two columns {self.format.column!r}; name one"
        )

    def _no_column(self, columns: Sequence[str]) -> SourceError:
        there = ", ".join(map(repr, columns)) or "none"
        return SourceError(
            f"the list {self.name!r} has no column {self.format.column!r}; it has {there}: name one"
            " with --path-column"
        )


def reference(path: str, position: Position) -> ImageRef:
    """A photo by its path, local or remote.

    A remote one's size is not asked for: the one request is that for its bytes.
    """
    return (
        ImageRef(path, position=position)
        if is_url(path)
        else image_ref(os.fsencode(path), position)
    )
