"""The types that travel from a source to a sink: one photo, in the states it passes through.

``ImageRef`` becomes ``Decoded`` or ``Unreadable``, then ``Prediction`` or the same
``Unreadable``, then one row. Nothing is ever rejoined by name or by counting.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""``uint8 (height, width, 3)``, RGB."""

UnreadableCode = Literal[
    "missing",
    "not_a_file",
    "permission",
    "empty",
    "too_large",
    "unknown_format",
    "truncated",
    "corrupt",
    "timeout",
    "fetch_failed",
    "bad_path",
    "archived",
    "no_answer",
]
"""Why a photo gives a row but no class; stable, and part of the table's contract."""


def listed(name: str) -> str:
    """A class's name in a list that commas part: in quotes where it would look like two."""
    return json.dumps(name, ensure_ascii=False) if set(name) & {",", '"'} else name


def printable(path: str) -> str:
    r"""A path as UTF-8 text: bytes that are not UTF-8 become ``\xNN``."""
    if path.isascii():
        return path
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def unprintable(text: str) -> str:
    """The path that ``printable`` made into text, unless a file really has such a name."""
    if "\\x" not in text or "://" in text or os.path.lexists(text):  # keys of stores are UTF-8
        return text
    data = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text.encode())
    return os.fsdecode(data)


_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")


def known_time(microseconds: int) -> int | None:
    """A modification time in microseconds since 1970 UTC; None where no calendar has it.

    Formats and languages agree on the years 1 to 9999; what lies outside is a clock's fault.
    """
    return microseconds if _YEAR_1 <= microseconds < _YEAR_10000 else None


_YEAR_1, _YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000


@dataclass(frozen=True, slots=True)
class Position:
    """Where in its job a photo was found."""

    source: int = 0
    """Number of the source, from 0, in the order typed."""
    line: int | None = None
    """Line of a list, from 1; None where the path orders the photos."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A photo that was found, and may turn out to be unreadable."""

    path: str
    """What opens it: a local path (as ``os.fsdecode`` gives it) or a URL."""
    size_bytes: int | None = None
    """Size when it was listed; None where it is not known."""
    modified_at: int | None = None
    """Modification time when it was listed, in microseconds since 1970 UTC; None if unknown."""
    position: Position = Position()
    e_tag: str | None = field(default=None, compare=False)
    """The store's ETag when it was listed, which changes with the content; None if unknown."""

    @property
    def order_key(self) -> tuple[int, int, bytes]:
        """Sorts a job's photos: by source, then by line in a list or by path, bytewise."""
        source, line = self.position.source, self.position.line
        return source, line or 0, b"" if line else os.fsencode(self.path)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A photo as the model sees it."""

    ref: ImageRef
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photo that gives a row but no class."""

    ref: ImageRef
    code: UnreadableCode
    message: str
    """One short line for a person."""
    by_storage: bool = field(default=False, repr=False, compare=False)
    """Whether the storage was at fault, and not the photo: many of these are a storm."""
    kept: bool = field(default=False, compare=False)
    """Whether the row was taken from an earlier table, without reading the photo."""


class ClassProbability(NamedTuple):
    """One class and the model's softmax output for it, 0 to 1."""

    class_name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one photo."""

    ref: ImageRef
    top: tuple[ClassProbability, ...]
    """The most probable classes, most probable first; ties in class index order."""
    kept: bool = field(default=False, compare=False)
    """Whether the row was taken from an earlier table, without reading the photo."""

    @property
    def class_name(self) -> str:
        """The most probable class."""
        return self.top[0].class_name

    @property
    def probability(self) -> float:
        """The probability of that class, 0 to 1."""
        return self.top[0].probability


Row: TypeAlias = Prediction | Unreadable
"""What becomes exactly one row of the table."""


def moved(row: Row, position: Position) -> Row:
    """The same row with another position in its job."""
    return replace(row, ref=replace(row.ref, position=position))


@dataclass(frozen=True, slots=True)
class Batch:
    """Photos that go through the model together, and between them items that are rows already."""

    items: tuple[Decoded | Row, ...]
