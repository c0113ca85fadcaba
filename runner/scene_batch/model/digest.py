"""The digest that a model file carries of itself, so that damage anywhere in it is seen.

The digest is the sha256 of the file's bytes without the one metadata entry that holds it, which is
the last. Another entry, far from it, says that there is a digest: a file whose end was cut off or
overwritten must not pass for one that was exported before there were digests.

An ONNX file is one protobuf message, ``ModelProto``: a row of fields, each a tag, and then a number
or a length and so many bytes (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

_METADATA_PROPS = 14
"""The number of ``ModelProto``'s field that holds a metadata entry (onnx.proto)."""
_PREFIX = b"scene_batch."
_MARK, _DIGEST = b"scene_batch.has_digest", b"scene_batch.digest"
_VARINT, _8_BYTES, _BYTES, _4_BYTES = 0, 1, 2, 5
"""How a field's content is written: the lowest three bits of its tag."""
_LONGEST_VARINT = 10
_MOST_FIELDS = 100_000
"""A sound file has some dozens."""
_CHUNK = 1 << 20


class NoFieldsError(ValueError):
    """Bytes are not a row of protobuf fields."""


@dataclass(frozen=True, slots=True)
class FileDigest:
    """What was found by reading a model file once."""

    sha256: str
    """Of all its bytes, in hex."""
    state: tuple[int, ...]
    """What changes when the file is replaced or written; see ``file_state``."""
    has_digest: bool
    """Whether it carries a digest, or says that it should."""
    fault: str = ""
    """Why it cannot be the file that was written; empty where nothing contradicts that."""


def file_state(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is replaced or written."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_digest(path: Path) -> FileDigest:
    """Read a model file once, and compare it with the digest that it carries; raises OSError."""
    with path.open("rb") as file:
        state = file_state(os.fstat(file.fileno()))
        try:
            found = _entries(file)
        except NoFieldsError as error:
            whole, _ = _hashes(file, None)
            return FileDigest(whole, state, has_digest=False, fault=str(error))
        digest = next((field for field, key in reversed(found) if key == _DIGEST), None)
        whole, own = _hashes(file, digest)
        if digest is not None:
            file.seek(digest.begin)
            is_own = file.read(digest.end - digest.begin) == _entry(_DIGEST, json.dumps(own))
            return FileDigest(whole, state, True, "" if is_own else "its digest differs")
    marked = any(key == _MARK for _, key in found)
    return FileDigest(whole, state, marked, "its digest is missing" if marked else "")


def with_digest(data: bytes, metadata: Mapping[str, str] | None = None) -> bytes:
    """A model file's bytes with a fresh digest; all else stays as it is, byte for byte.

    Args:
        data: The file's bytes; a digest in them is dropped.
        metadata: What replaces the file's scene-batch metadata, if not None.

    Raises:
        NoFieldsError: They are not an ONNX file.
    """
    keys = dict(_entries(io.BytesIO(data)))
    body: list[bytes] = []
    begin_of_ours = None
    for field in _fields(io.BytesIO(data)):
        key = keys.get(field, b"")
        if key.startswith(_PREFIX):
            begin_of_ours = len(body) if begin_of_ours is None else begin_of_ours
            if metadata is not None or key in (_MARK, _DIGEST):
                continue
        body.append(data[field.begin : field.end])
    mark = [_entry(_MARK, json.dumps(True))]
    new = [_entry(key.encode(), value) for key, value in (metadata or {}).items()]
    at = len(body) if begin_of_ours is None else begin_of_ours
    whole = b"".join([*body[:at], *mark, *new, *body[at:]])
    return whole + _entry(_DIGEST, json.dumps(hashlib.sha256(whole).hexdigest()))


def _entry(key: bytes, value: str) -> bytes:
    """A metadata entry: a message of a key, field 1, and a value, field 2."""
    return _bytes_field(_METADATA_PROPS, _bytes_field(1, key) + _bytes_field(2, value.encode()))


def _bytes_field(number: int, content: bytes) -> bytes:
    length, size = b"", len(content)
    while size > 127:  # noqa: PLR2004 - seven bits a byte, lowest first
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | _BYTES]) + length + bytes([size]) + content


class _Field(NamedTuple):
    """Where a field of the message lies in the file."""

    number: int
    begin: int
    content: int
    """Where its content begins, behind tag and length."""
    end: int


def _fields(file: BinaryIO) -> Iterator[_Field]:
    size, at = file.seek(0, os.SEEK_END), 0
    for _ in range(_MOST_FIELDS):
        if at == size:
            return
        file.seek(at)
        head = file.read(2 * _LONGEST_VARINT)
        tag, used = _varint(head, 0)
        kind = tag & 7
        content = at + used
        if kind == _BYTES:
            length, used = _varint(head, used)
            content = at + used
            end = content + length
        elif kind == _VARINT:
            end = at + _varint(head, used)[1]
        elif kind in (_8_BYTES, _4_BYTES):
            end = content + (8 if kind == _8_BYTES else 4)
        else:
            raise NoFieldsError("it is not a row of fields")
        if tag < 8 or end > size:  # noqa: PLR2004 - field numbers begin at 1, in the bits above 3
            raise NoFieldsError("it is cut off, or not a row of fields")
        yield _Field(tag >> 3, at, content, end)
        at = end
    raise NoFieldsError(f"it has more than {_MOST_FIELDS} fields")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    number = 0
    for index, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that another byte follows
            return number, at + index + 1
    raise NoFieldsError("it is cut off, or not a row of fields")


def _entries(file: BinaryIO) -> list[tuple[_Field, bytes]]:
    """The metadata entries, and the beginning of the key of each."""
    found = []
    for field in _fields(file):
        if field.number == _METADATA_PROPS:
            file.seek(field.content)
            head = file.read(min(64, field.end - field.content))
            # A key of ours comes first: a tag, one byte of length, the key.
            is_key = len(head) > 1 and head[0] == 1 << 3 | _BYTES
            found.append((field, head[2 : 2 + head[1]] if is_key else b""))
    return found


def _hashes(file: BinaryIO, left_out: _Field | None) -> tuple[str, str]:
    """The sha256 of all bytes, and of those outside a field: one and the same as far as it."""
    file.seek(0)
    both, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    _hash(file, sys.maxsize if left_out is None else left_out.begin, buffer, both)
    own = both.copy()
    if left_out is not None:
        _hash(file, left_out.end - left_out.begin, buffer, both)
        _hash(file, sys.maxsize, buffer, both, own)
    return both.hexdigest(), own.hexdigest()


def _hash(file: BinaryIO, size: int, buffer: memoryview, *hashes: hashlib._Hash) -> None:
    """Hash the next ``size`` bytes, or as many as there are."""
    while size and (read := file.readinto(buffer[: min(size, _CHUNK)])):  # type: ignore[attr-defined]
        for each in hashes:
            each.update(buffer[:read])
        size -= read
