"""The photos of a saved part as they were when they were classified, and rows that are renewed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.object_store.address import is_url
from scene_batch.outputs.part_metadata import PART_KEY
from scene_batch.records import ImageRef, Row, unprintable
from scene_batch.tables.parquet_file import batches
from scene_batch.tables.schema import to_record_batch
from scene_batch.tables.seal import ParquetSource

_ROWS_AT_A_TIME = 8192
_TAG_BYTES = 6
_NO_TAG = bytes(_TAG_BYTES)
_SECOND = 1_000_000


class ETags:
    """What a store said of the content of a part's photos: six bytes of a hash for each."""

    def __init__(self, known: bytes = b"") -> None:
        self._bytes = bytearray(known)

    def add(self, rows: Sequence[Row]) -> None:
        """Add the photos of rows."""
        if any(row.ref.e_tag for row in rows):
            self._bytes += b"".join(_tag(row.ref) for row in rows)
        else:
            self._bytes += bytes(len(rows) * _TAG_BYTES)

    def put(self, index: int, ref: ImageRef) -> None:
        """Take another photo for a row."""
        if self._bytes:
            self._bytes[index * _TAG_BYTES : (index + 1) * _TAG_BYTES] = _tag(ref)

    def get(self, index: int) -> bytes:
        """Those of a row; zeros where nothing is known."""
        return bytes(self._bytes[index * _TAG_BYTES : (index + 1) * _TAG_BYTES]) or _NO_TAG

    def to_json(self) -> str | None:
        """For a part's metadata; None where nothing is known of any photo."""
        return base64.b64encode(self._bytes).decode() if any(self._bytes) else None

    @classmethod
    def from_json(cls, text: str | None) -> ETags:
        """Read what ``to_json`` gave."""
        return cls(base64.b64decode(text or ""))


def _tag(ref: ImageRef) -> bytes:
    if ref.e_tag is None:
        return _NO_TAG
    return hashlib.blake2b(ref.e_tag.encode(), digest_size=_TAG_BYTES).digest()


@dataclass(frozen=True, slots=True)
class SavedPhoto:
    """The photo of a saved row."""

    path: str
    size_bytes: int | None
    modified_at: int | None
    tag: bytes

    def has_changed(self, now: ImageRef) -> bool:
        """Whether a listing shows another size, time or content; not where it shows none."""
        if now.size_bytes is None:
            return False
        tag = _tag(now)
        if _NO_TAG not in (tag, self.tag) and tag != self.tag:
            return True
        then, time = self.modified_at, now.modified_at
        if is_url(self.path) and then is not None and time is not None:
            then, time = then // _SECOND, time // _SECOND  # an answer counts seconds alone
        return (self.size_bytes, then) != (now.size_bytes, time)


def saved_photos(source: ParquetSource) -> Iterator[SavedPhoto]:
    """Yield the photos of a part's rows in order."""
    tags = ETags.from_json(_metadata(source)["e_tags"])
    number = 0
    for batch in batches(source, _ROWS_AT_A_TIME, ["path", "size_bytes", "modified_at"]):
        moments = batch["modified_at"].cast(pa.int64()).to_pylist()
        sizes = batch["size_bytes"].to_pylist()
        for path, size, moment in zip(batch["path"].to_pylist(), sizes, moments, strict=True):
            yield SavedPhoto(unprintable(path), size, moment, tags.get(number))
            number += 1


def renewed_metadata(source: ParquetSource, rows: Mapping[int, Row]) -> dict[str, str]:
    """A part's metadata with other photos for some rows, by index."""
    value = _metadata(source)
    tags = ETags.from_json(value["e_tags"])
    for index, row in rows.items():
        tags.put(index, row.ref)
    return {PART_KEY: json.dumps(value | {"e_tags": tags.to_json()})}


def with_renewed(
    source: ParquetSource, rows: Mapping[int, Row], classes: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield a part's rows with others in place of some, by index."""
    begin = 0
    for batch in batches(source, _ROWS_AT_A_TIME):
        end, done = begin + batch.num_rows, 0
        for index in sorted(index for index in rows if begin <= index < end):
            yield batch.slice(done, index - begin - done)
            yield to_record_batch([rows[index]], classes)
            done = index - begin + 1
        yield batch.slice(done)
        begin = end


def _metadata(source: ParquetSource) -> dict[str, Any]:
    return dict(json.loads(pq.read_metadata(source).metadata[PART_KEY.encode()]))
