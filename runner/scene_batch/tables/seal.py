"""A Parquet file's own sha256, in its footer: damage anywhere in it is seen.

Page checksums cover the rows alone, and not every reader looks at them. The digest is that of the
whole file with zeros in the digest's place.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO, TypeAlias

import pyarrow as pa

ParquetSource: TypeAlias = Path | pa.BufferReader
"""A closed Parquet file: on a disk, or in memory."""

SEAL_KEY = "scene_batch.sha256"
UNSEALED = "0" * 64
"""What is written in the digest's place before it is known."""

# Thrift's compact protocol: a key, the next field of its struct (a binary), 64 bytes long.
_BEFORE = SEAL_KEY.encode() + b"\x18\x40"
_TAIL, _MAGIC = 8, b"PAR1"
"""A file ends with the length of its footer, 4 bytes, and a magic word."""
_BLOCK = 1 << 20


def seal(path: Path) -> None:
    """Put the digest into a file that was written with ``SEAL_KEY: UNSEALED`` in its metadata."""
    with path.open("r+b") as file:
        place = _place(file)
        assert place is not None  # noqa: S101 - it was just written
        digest = _digest(file, place)
        file.seek(place)
        file.write(digest)


def is_sound(source: ParquetSource) -> bool:
    """Whether a sealed file is as it was written; False, too, for one without a digest.

    Raises:
        OSError: It cannot be read.
    """
    if not isinstance(source, Path):
        source.seek(0)
        return _is_sound(source)
    with source.open("rb") as file:
        return _is_sound(file)


def _is_sound(file: BinaryIO | pa.BufferReader) -> bool:
    place = _place(file)
    if place is None:
        return False
    file.seek(place)
    said = file.read(len(UNSEALED))
    sound: bool = said == _digest(file, place)
    file.seek(0)
    return sound


def _place(file: BinaryIO | pa.BufferReader) -> int | None:
    """Where the digest begins; None where there is none."""
    size = file.seek(0, os.SEEK_END)
    if size < 2 * _TAIL:
        return None
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if not tail.endswith(_MAGIC) or length + _TAIL > size:
        return None
    begin = size - _TAIL - length
    file.seek(begin)
    found = file.read(length).rfind(_BEFORE)
    return None if found < 0 else begin + found + len(_BEFORE)


def _digest(file: BinaryIO | pa.BufferReader, place: int) -> bytes:
    """The digest, in hex, of a file with zeros at ``place``."""
    digest = hashlib.sha256()
    file.seek(0)
    left = place
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    digest.update(UNSEALED.encode())
    file.seek(place + len(UNSEALED))
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest().encode()
