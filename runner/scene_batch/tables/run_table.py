"""A table that an earlier run wrote, on a disk or in a bucket: its record and its rows."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import StoreError, TableError
from scene_batch.object_store.address import is_url, shown
from scene_batch.object_store.causes import cause_of, no_panics, retrying
from scene_batch.object_store.stores import Stores
from scene_batch.records import Row
from scene_batch.tables.names import RECORD, is_part
from scene_batch.tables.run_record import RunRecord
from scene_batch.tables.schema import RECORD_KEY, schema, to_rows
from scene_batch.threads import Later

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RunTable:
    """A Parquet file or data set that a run wrote."""

    name: str
    record: dict[str, Any]
    """The record of the run that wrote it."""
    identity: dict[str, Any]
    """Tells it from any other table that was there before or after."""
    _files: tuple[Path, ...]

    @classmethod
    def open(cls, name: str) -> Self:
        """Open a table by its name; one in a bucket is fetched for as long as this object lives.

        Raises:
            TableError: It is not there, or no run wrote it, or not all of it is there.
            StoreError: Its store does not give it.
        """
        if not is_url(name):
            return cls._read(name, Path(name), _local_identity(name))
        kept = tempfile.mkdtemp(prefix="scene-batch-")
        try:
            with _telling(name):
                identity = Later(lambda: _remote_identity(name)).result()
                place = Later(lambda: _fetch(name, Path(kept))).result()
            table = cls._read(name, place, identity)
        except BaseException:
            shutil.rmtree(kept, ignore_errors=True)  # a thread may still write into it
            raise
        weakref.finalize(table, shutil.rmtree, kept, ignore_errors=True)
        return table

    @classmethod
    def _read(cls, name: str, place: Path, identity: dict[str, Any]) -> Self:
        try:
            files, text = _contents(place)
            record = json.loads(text)
            sound = files and all(pq.read_schema(file) == schema() for file in files)
            if not sound or {field.name for field in fields(RunRecord)} != record.keys():
                raise ValueError
            found = sum(pq.read_metadata(file).num_rows for file in files)
        except (pa.ArrowInvalid, OSError, AttributeError, KeyError, ValueError):
            raise TableError(
                f"{shown(name)!r} is not a table of scene-batch run, or of another version"
            ) from None
        if found != record["photos"]:
            raise TableError(
                f"{shown(name)!r} holds {found} rows, its record says {record['photos']}: make or"
                " copy it again"
            )
        return cls(name, record, identity, files)

    @property
    def classes(self) -> list[str]:
        """The model's class names in index order."""
        return list(self.record["classes"])

    def is_replaced(self) -> bool:
        """Whether another table has taken its place since it was opened."""
        try:
            if not is_url(self.name):
                return _local_identity(self.name) != self.identity
            with _telling(self.name):
                return Later(lambda: _remote_identity(self.name)).result() != self.identity
        except TableError:
            return True

    def rows(self) -> Iterator[Row]:
        """Its rows in order."""
        for file in self._files:
            with pq.ParquetFile(file) as table:
                for batch in table.iter_batches(_ROWS_AT_A_TIME):
                    yield from to_rows(batch)


def _contents(place: Path) -> tuple[tuple[Path, ...], str]:
    """The files of a table, and its record."""
    if place.is_dir():
        files = tuple(sorted(file for file in place.iterdir() if is_part(file.name)))
        return files, (place / RECORD).read_text(encoding="utf-8")
    metadata = pq.read_metadata(place).metadata or {}
    return (place,), metadata[RECORD_KEY.encode()].decode()


def _local_identity(name: str) -> dict[str, Any]:
    try:
        status = Path(name).stat()
    except OSError as error:
        raise TableError(f"no table {name!r}: {error.strerror}") from None
    return {"size_bytes": status.st_size, "modified_at": status.st_mtime_ns}


def _remote_identity(name: str) -> dict[str, Any]:
    store, key = Stores().find(name, "long")
    with no_panics():
        meta = store.head(f"{key}/{RECORD}" if name.endswith("/") else key)
    return {"size_bytes": meta["size"], "e_tag": meta["e_tag"]}


def _fetch(name: str, folder: Path) -> Path:
    """A table of a bucket as a local file, or a data set as a local folder."""
    store, key = Stores().find(name, "long")
    if not name.endswith("/"):
        return _download(store, key, folder / "table")
    for meta in store.list_with_delimiter(key)["objects"]:
        _download(store, meta["path"], folder / meta["path"].rpartition("/")[2])
    return folder


def _download(store: ObjectStore, key: str, file: Path) -> Path:
    def once() -> None:
        with file.open("wb") as local:
            for chunk in store.get(key):
                local.write(chunk)

    retrying()(once)
    return file


@contextmanager
def _telling(name: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        cause = cause_of(error)
        if cause.kind == "missing":
            raise TableError(f"no table {shown(name)!r}: not found") from None
        raise StoreError(f"cannot read {shown(name)!r}: {cause.text}") from None
