"""A table that an earlier run wrote, on a disk or in a bucket: its record and its rows."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import StoreError, TableError
from scene_batch.object_store.address import is_url, shown
from scene_batch.object_store.asking import ask
from scene_batch.object_store.causes import cause_of
from scene_batch.object_store.stores import Stores
from scene_batch.records import Row
from scene_batch.scratch import Scratch
from scene_batch.tables.names import RECORD, is_part
from scene_batch.tables.parquet_file import batches
from scene_batch.tables.run_record import RunRecord
from scene_batch.tables.schema import RECORD_KEY, schema, to_rows
from scene_batch.tables.seal import is_sound

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RunTable:
    """A Parquet file or data set that a run wrote."""

    name: str
    record: dict[str, Any]
    """The record of the run that wrote it."""
    state: dict[str, Any]
    """Its size, and its modification time or ETag: another table of this name differs in them."""
    _files: tuple[Path, ...]

    @classmethod
    def open(cls, name: str) -> Self:
        """Open a table; one in a bucket is fetched into a folder that lives as long as this object.

        Raises:
            TableError: It is missing, no run wrote it, or rows are missing in it.
            StoreError: Its store does not answer, or refuses.
        """
        if not is_url(name):
            return cls._read(name, Path(name), _local_state(name))
        scratch = Scratch()
        try:
            with _telling(name):
                meta = ask(lambda: _head(name))
                path = _fetch(name, meta, scratch.path)
            table = cls._read(name, path, _remote_state(meta))
        except BaseException:
            scratch.remove()
            raise
        weakref.finalize(table, scratch.remove)
        return table

    @classmethod
    def _read(cls, name: str, path: Path, state: dict[str, Any]) -> Self:
        try:
            files = _files(path)
            if not files or not all(map(is_sound, files)):  # looked at before they are parsed
                raise ValueError
            record = json.loads(_record(path))
            if not _needed() <= record.keys() <= {field.name for field in fields(RunRecord)}:
                raise ValueError
            if not all(pq.read_schema(file) == schema() for file in files):
                raise ValueError
            found = sum(pq.read_metadata(file).num_rows for file in files)
        except (pa.ArrowException, OSError, AttributeError, KeyError, ValueError, RecursionError):
            raise TableError(
                f"{shown(name)!r} is not a Parquet table or data set of scene-batch run, or of"
                " another version, or it is damaged"
            ) from None
        if found != record["photos"]:
            raise TableError(
                f"{shown(name)!r} holds {found} rows, its record says {record['photos']}: make or"
                " copy it again"
            )
        return cls(name, record, state, files)

    @property
    def classes(self) -> list[str]:
        """The model's class names in index order."""
        return list(self.record["classes"])

    def is_replaced(self) -> bool:
        """Whether the table was replaced or removed since it was opened."""
        try:
            if not is_url(self.name):
                return _local_state(self.name) != self.state
            with _telling(self.name):
                return _remote_state(ask(lambda: _head(self.name))) != self.state
        except TableError:
            return True

    def rows(self) -> Iterator[Row]:
        """Its rows in order."""
        for batch in self.record_batches():
            yield from to_rows(batch)

    def record_batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows in order as ``tables/schema.py``'s columns, some thousands at a time.

        Each batch's dictionary of ``class`` may be another one.
        """
        for file in self._files:
            yield from batches(file, _ROWS_AT_A_TIME)


def _needed() -> set[str]:
    """What each record has; the rest was added later."""
    return {field.name for field in fields(RunRecord) if field.default is MISSING}


def _files(path: Path) -> tuple[Path, ...]:
    """The Parquet files of a table, in order."""
    if not path.is_dir():
        return (path,)
    return tuple(sorted(file for file in path.iterdir() if is_part(file.name)))


def _record(path: Path) -> str:
    """The record of a table."""
    if path.is_dir():
        return (path / RECORD).read_text(encoding="utf-8")
    metadata = pq.read_metadata(path).metadata or {}
    return str(metadata[RECORD_KEY.encode()].decode())


def _local_state(name: str) -> dict[str, Any]:
    try:
        status = Path(name).stat()
    except OSError as error:
        raise TableError(f"no table {name!r}: {error.strerror}") from None
    return {"size_bytes": status.st_size, "modified_at": status.st_mtime_ns}


def _head(name: str) -> ObjectMeta:
    """What a store says of a table, or of a data set's record."""
    store, key = Stores().find(name, "long")
    return store.head(f"{key}/{RECORD}" if name.endswith("/") else key)


def _remote_state(meta: ObjectMeta) -> dict[str, Any]:
    return {"size_bytes": meta["size"], "e_tag": meta["e_tag"]}


def _fetch(name: str, meta: ObjectMeta, folder: Path) -> Path:
    """Copy a table from a bucket into a local file, or a data set into a local folder."""
    store, key = Stores().find(name, "long")
    if not name.endswith("/"):
        return _download(store, meta, folder / "table")
    for part in ask(lambda: store.list_with_delimiter(key))["objects"]:
        _download(store, part, folder / part["path"].rpartition("/")[2])
    return folder


def _download(store: ObjectStore, meta: ObjectMeta, file: Path) -> Path:
    def once() -> None:
        with file.open("wb") as local:
            for chunk in store.get(meta["path"]):
                local.write(chunk)

    ask(once, size_bytes=meta["size"])
    return file


@contextmanager
def _telling(name: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, TimeoutError) as error:
        cause = cause_of(error)
        if cause.kind == "missing":
            raise TableError(f"no table {shown(name)!r}: not found") from None
        raise StoreError(f"cannot read {shown(name)!r}: {cause.text}") from None
