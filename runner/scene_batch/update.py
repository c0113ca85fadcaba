"""A table that is there, brought up to date: its rows, merged with the photos found now."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from scene_batch.errors import OutputError, UsageError
from scene_batch.job import Job
from scene_batch.object_store import shown
from scene_batch.records import ImageRef, Place, Prediction, Row, Unreadable
from scene_batch.sinks.table import RECORD_KEY, printable, schema, to_rows
from scene_batch.sources import Listing
from scene_batch.sources.directory import image_ref

Item: TypeAlias = ImageRef | Row
"""A photo to classify, or a row that stays as it is."""

_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True, slots=True)
class OldTable:
    """A Parquet table that an earlier run wrote.

    Raises:
        OutputError: It is no such table.
    """

    path: Path
    record: dict[str, Any] = field(init=False)
    """The record of the run that wrote it."""
    identity: dict[str, int] = field(init=False)
    """Tells it from any other table that was there before or after."""

    def __post_init__(self) -> None:
        """Refuse what no run wrote."""
        try:
            object.__setattr__(self, "identity", self._stat())
            found = pq.read_schema(self.path)
            metadata = pq.read_metadata(self.path).metadata or {}
            record = json.loads(metadata[RECORD_KEY.encode()])
        except (pa.ArrowInvalid, OSError, KeyError, ValueError):
            found, record = None, {}
        if found != schema():
            raise OutputError(
                f"{str(self.path)!r} is not a table of scene-batch run; replace it with --overwrite"
            )
        object.__setattr__(self, "record", record)

    def is_replaced(self) -> bool:
        """Whether another table has taken its place since it was opened."""
        return self._stat() != self.identity

    def _stat(self) -> dict[str, int]:
        status = self.path.stat()
        return {"size_bytes": status.st_size, "modified_at": status.st_mtime_ns}

    def check(self, model: str, top_k: int) -> None:
        """Refuse to add rows of another kind.

        Args:
            model: The sha256 of the model file, whose preprocessing is in it.
            top_k: Classes for each photo.

        Raises:
            OutputError: The table's rows come from another model or have another top-k.
        """
        theirs, settings = self.record["model"], self.record["settings"]
        if theirs["sha256"] != model:
            raise OutputError(
                f"{str(self.path)!r} was made with another model ({theirs['name']}"
                f" {theirs['version']}, sha256 {theirs['sha256'][:12]}); use that, or --overwrite"
            )
        if settings["top_k"] != top_k:
            raise OutputError(
                f"{str(self.path)!r} has a top-k of {settings['top_k']}, not {top_k}; use that, or"
                " --overwrite"
            )

    def check_sources(self, sources: Sequence[str]) -> None:
        """Refuse to retry for other sources than the table's.

        Raises:
            OutputError: They are others.
        """
        theirs = self.record["settings"]["sources"]
        if theirs != list(sources):
            raise OutputError(
                f"{str(self.path)!r} was made from {', '.join(theirs)}; name the same sources"
            )

    def rows(self) -> Iterator[Row]:
        """Its rows in order."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_ROWS_AT_A_TIME):
                yield from to_rows(batch)


@dataclass(slots=True)
class Update:
    """What a run with ``--update`` goes through: the photos of a listing and the old rows, merged.

    A photo that is new or changed (size, modification time) is to be classified; the row of any
    other stays. The result has the order of a fresh run.
    """

    table: OldTable
    listing: Listing
    prune: bool
    """Drop the rows of photos that are gone."""
    retry: bool
    """Classify again what was unreadable."""
    found: int = 0
    """Items yielded so far."""

    def __iter__(self) -> Iterator[Item]:
        """Yield photos and rows in the order of a fresh run.

        Raises:
            OutputError: A row belongs to none of the sources.
        """
        for item in self._merged():
            self.found += 1
            yield item

    def _merged(self) -> Iterator[Item]:
        rows = self._rows_behind(self.listing.after)
        old = next(rows, None)
        place = self.listing.after.place if self.listing.after else Place()
        for ref in self.listing:
            while old is not None and _key(old.ref) < _key(ref):
                if not self.prune:
                    yield _at(old, place)
                old = next(rows, None)
            place = ref.place
            if old is not None and _key(old.ref) == _key(ref):
                again = _changed(old.ref, ref) or (self.retry and isinstance(old, Unreadable))
                yield ref if again else replace(old, ref=ref)
                old = next(rows, None)
            else:
                yield ref
        while old is not None:
            if not self.prune:
                yield _at(old, place)
            old = next(rows, None)

    def _rows_behind(self, after: ImageRef | None) -> Iterator[Row]:
        before: tuple[int, bytes] | None = None
        for row in self.table.rows():
            place = Place(self._source_of(row.ref.path))
            ref = replace(row.ref, place=place)
            if before is not None and _key(ref) <= before:
                raise OutputError(
                    f"{str(self.table.path)!r} is not in the order of these sources ({ref.path!r});"
                    " name them as before, or --overwrite"
                )
            before = _key(ref)
            if after is None or before > _key(after):
                yield replace(row, ref=ref)

    def _source_of(self, path: str) -> int:
        for number, name in enumerate(self.listing.names):
            if name in (path, ".") or path.startswith(name.rstrip("/") + "/"):
                return number
        raise OutputError(
            f"{str(self.table.path)!r} holds {path!r}, which is in none of the sources; name them"
            " all, or --overwrite"
        )


@dataclass(slots=True)
class Retry:
    """What a run with ``--retry-unreadable`` alone goes through: the old table, row by row."""

    table: OldTable
    after: ImageRef | None = None
    """The last row that is done."""
    found: int = 0
    """Items yielded so far."""

    def __iter__(self) -> Iterator[Item]:
        """Yield each row that is well, and each other one's photo."""
        done = self.after.place.line or 0 if self.after else 0
        for number, row in enumerate(self.table.rows(), 1):
            if number > done:
                self.found += 1
                place = Place(line=number)
                if isinstance(row, Prediction):
                    yield _at(row, place)
                else:
                    yield image_ref(os.fsencode(row.ref.path), place)


def old_table(job: Job, model: str, top_k: int) -> OldTable | None:
    """The table to bring up to date; None where a fresh one is made.

    Args:
        job: What is asked for.
        model: The sha256 of the model file.
        top_k: Classes for each photo.

    Raises:
        UsageError: The job's output, sources or limit do not allow it.
        OutputError: What is there is no table, or one of another kind, or there is none to retry.
    """
    if not (job.update or job.retry_unreadable):
        return None
    _check(job)
    path = Path(job.out)
    if not path.exists():
        if job.update:
            return None
        raise OutputError(f"--retry-unreadable: there is no {job.out!r} yet; run without it")
    table = OldTable(path)
    table.check(model, top_k)
    if not job.update:
        table.check_sources([shown(printable(source)) for source in job.sources])
    return table


def what_to_do(job: Job, listing: Listing, table: OldTable | None) -> Listing | Update | Retry:
    """What a run goes through, behind what is saved."""
    if table is None:
        return listing
    if job.update:
        return Update(table, listing, prune=job.prune, retry=job.retry_unreadable)
    return Retry(table, listing.after)


def _check(job: Job) -> None:
    if not job.out.endswith(".parquet"):
        raise UsageError(f"--update and --retry-unreadable need a .parquet, not {job.out!r}")
    if job.limit is not None:
        raise UsageError("--limit would lose rows with --update or --retry-unreadable; drop it")
    lists = [source for source in job.sources if source.startswith("@")]
    if lists and job.update:
        raise UsageError(f"--update finds what is new in directories; {lists[0]!r} is a list")


def _key(ref: ImageRef) -> tuple[int, bytes]:
    return ref.place.source, os.fsencode(ref.path)


def _changed(old: ImageRef, new: ImageRef) -> bool:
    known = new.size_bytes is not None and new.modified_at is not None
    return not known or (old.size_bytes, old.modified_at) != (new.size_bytes, new.modified_at)


def _at(row: Row, place: Place) -> Row:
    """A row at another place; its source stays where it is known."""
    source = row.ref.place.source if place.line is None else place.source
    return replace(row, ref=replace(row.ref, place=replace(place, source=source)))
