"""Bring a table up to date: merge its rows with the photos that are found now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from scene_batch.errors import OutputError, TableError, UsageError
from scene_batch.model.predictor import Predictor
from scene_batch.object_store.address import is_url, shown
from scene_batch.outputs.storage import open_storage
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.work import Everything, Photos, Work
from scene_batch.records import ImageRef, Position, Prediction, Row, Unreadable, moved, printable
from scene_batch.sources.file_list import reference
from scene_batch.sources.listing import Listing
from scene_batch.sources.selection import Selection
from scene_batch.sources.shard import Shard
from scene_batch.tables.run_record import RunRecord
from scene_batch.tables.run_table import RunTable

Item: TypeAlias = ImageRef | Row
"""A photo to classify, or a row that stays as it is."""

COUNTS = ("new", "changed", "retried", "kept", "gone", "pruned")
"""What became of photos and rows; ``gone``: kept, though the photo is no more."""


@dataclass(slots=True)
class Update:
    """The items of a run with ``--update``: the photos of a listing and the old rows, merged.

    Photos that are new or changed (size, modification time) are classified; for all others the old
    row stays. The order is that of a fresh run.
    """

    table: RunTable
    photos: Photos
    prune: bool
    """Drop the rows of photos that are gone."""
    retry: bool
    """Classify again what was unreadable."""
    found: int = 0
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(COUNTS, 0)))
    """See ``COUNTS``; of all attempts, since each reads the table and the listing anew."""
    _rows: Iterator[Row] = field(init=False)
    _old: Row | None = field(init=False)
    """The next row of the table."""

    def __post_init__(self) -> None:
        """Begin with the first row."""
        self._rows = self._in_order()
        self._old = next(self._rows, None)

    def pass_over(self, ref: ImageRef) -> None:
        """Count a photo that is done, and the rows before it."""
        for _ in self._gone(ref.order_key):
            pass
        self._meet(ref)

    def begin_behind(self, after: ImageRef) -> None:
        """Go behind the last row that is saved."""
        source, line, path = after.order_key
        for _ in self._gone((source, line, path + b"\0")):
            pass

    def __iter__(self) -> Iterator[Item]:
        """Yield photos and rows in the order of a fresh run.

        Raises:
            OutputError: A row belongs to none of the sources.
        """
        for ref in self.photos:
            for row in self._gone(ref.order_key):
                self.found += 1
                yield row
            self.found += 1
            yield self._meet(ref)
        for row in self._gone(None):
            self.found += 1
            yield row

    def refuse_nothing(self) -> None:
        """Raise SourceError if the sources hold no photo."""
        self.photos.listing.refuse_no_photo()

    def amend(self, record: RunRecord) -> RunRecord:
        """Say what became of photos and rows."""
        return replace(record, update=dict(self.counts))

    def _meet(self, ref: ImageRef) -> Item:
        """A photo, or its old row if that stays."""
        old = self._old
        if old is None or old.ref.order_key != ref.order_key:
            self.counts["new"] += 1
            return ref
        self._old = next(self._rows, None)
        changed, again = _changed(old.ref, ref), self.retry and isinstance(old, Unreadable)
        self.counts["changed" if changed else "retried" if again else "kept"] += 1
        return ref if changed or again else replace(old, ref=ref)

    def _gone(self, before: tuple[int, int, bytes] | None) -> Iterator[Row]:
        """The old rows before a photo, which is the next one found: theirs are gone."""
        while self._old is not None and (before is None or self._old.ref.order_key < before):
            row, self._old = self._old, next(self._rows, None)
            self.counts["pruned" if self.prune else "gone"] += 1
            if not self.prune:
                yield row

    def _in_order(self) -> Iterator[Row]:
        before: tuple[int, int, bytes] | None = None
        for row in self.table.rows():
            ref = replace(row.ref, position=Position(self._source_of(row.ref.path)))
            if before is not None and ref.order_key <= before:
                raise OutputError(
                    f"{self.table.name!r} is not in the order of these sources ({ref.path!r});"
                    " name them as before, or --overwrite"
                )
            before = ref.order_key
            yield replace(row, ref=ref)

    def _source_of(self, path: str) -> int:
        names = self.photos.listing.names
        holding = [n for n in names if n == path or path.startswith(n.rstrip("/") + "/")]
        if holding:  # one may be below another, by a link that is not followed
            return names.index(max(holding, key=len))
        if "." in names and not (path.startswith("/") or is_url(path)):
            return names.index(".")
        raise OutputError(
            f"{self.table.name!r} holds {path!r}, which is in none of the sources; name them"
            " all, or --overwrite"
        )


@dataclass(slots=True)
class Retry:
    """The items of a run with ``--retry-unreadable`` alone: the old table, row by row."""

    table: RunTable
    found: int = 0
    photos: None = None
    _done: int = 0
    """The number of the last row that is done, from 1."""

    def pass_over(self, ref: ImageRef) -> None:
        """Never called: nothing is listed."""

    def begin_behind(self, after: ImageRef) -> None:
        """Go behind the last row that is done."""
        self._done = after.position.line or 0

    def __iter__(self) -> Iterator[Item]:
        """Yield each prediction as it is, and the photo of each unreadable row."""
        for number, row in enumerate(self.table.rows(), 1):
            if number > self._done:
                self.found += 1
                position = Position(line=number)
                if isinstance(row, Prediction):
                    yield moved(row, position)
                else:
                    yield reference(row.ref.path, position)

    def refuse_nothing(self) -> None:
        """Refuse nothing: the photos are those of the table."""

    def amend(self, record: RunRecord) -> RunRecord:
        """Take from the table's record what comes from listing, since nothing was listed now."""
        old = self.table.record
        listed = {"lists": old["settings"]["lists"], **_selection(old).to_json()}
        settings = {key: v for key, v in record.settings.items() if key != "skip_unlistable"}
        return replace(
            record,
            settings=settings | listed,
            ignored=old["ignored"],
            photos_per_source=old["photos_per_source"],
        )


def choose(job: Job, listing: Listing, table: RunTable | None) -> Work:
    """The work of a job, from its beginning; see ``continuing.py`` for what is done of it."""
    if table is None:
        return Everything(Photos(listing))
    if job.update:
        return Update(table, Photos(listing), prune=job.prune, retry=job.retry_unreadable)
    return Retry(table)


def table_to_update(job: Job, predictor: Predictor) -> RunTable | None:
    """The table to bring up to date; None if a fresh one is to be made.

    Raises:
        UsageError: The job's output, sources or limit do not allow it.
        OutputError: What is there is no table, or one of another kind, or there is none to retry.
    """
    if not (job.update or job.retry_unreadable):
        return None
    _check(job)
    if not open_storage(job.output_name).exists():
        if job.update:
            return None
        raise OutputError(
            f"--retry-unreadable: there is no {job.output_name!r} yet; run without it"
        )
    try:
        table = RunTable.open(job.output_name)
    except TableError as error:
        raise OutputError(f"{error}; replace it with --overwrite") from None
    if table.record["settings"].get("hide_queries"):
        raise OutputError(f"{table.name!r} was made with --hide-queries: {_NOTHING_TO_ASK_FOR}")
    _check_kind(table, predictor, job.shard)
    _check_selection(table, job.selection)
    if not job.update:
        theirs = table.record["settings"]["sources"]
        if theirs != [shown(printable(source)) for source in job.sources]:
            raise OutputError(
                f"{table.name!r} was made from {', '.join(theirs)}; name the same sources"
            )
    return table


def _check_kind(table: RunTable, predictor: Predictor, shard: Shard | None) -> None:
    """Refuse to add rows of another kind: of another model, provider, precision, top-k or shard."""
    theirs, settings = table.record["model"], table.record["settings"]
    session, top_k = predictor.session, predictor.top_k
    if theirs["sha256"] != session.sha256:
        raise OutputError(
            f"{table.name!r} was made with another model ({theirs['name']}"
            f" {theirs['version']}, sha256 {theirs['sha256'][:12]}); use that, or --overwrite"
        )
    provider, precision = table.record["provider"], settings["precision"]
    if (provider, precision) != (session.provider, session.precision):
        bf16 = " with --bf16" if precision == "bf16" else ""
        bf16 = " without --bf16" if session.precision == "bf16" else bf16
        raise OutputError(
            f"{table.name!r} was made by {provider} in {precision}, this run is by"
            f" {session.provider} in {session.precision}: take --provider {provider}{bf16}, or"
            " --overwrite"
        )
    if settings["top_k"] != top_k:
        raise OutputError(
            f"{table.name!r} has a top-k of {settings['top_k']}, not {top_k}; use that, or"
            " --overwrite"
        )
    if settings.get("shard") != (shard and str(shard)):
        raise OutputError(
            f"{table.name!r} holds shard {settings.get('shard')}, not {shard}; name the same"
            " --shard"
        )


def _check_selection(table: RunTable, selection: Selection) -> None:
    """Refuse to add rows of photos that were taken by other rules.

    Folders that cannot be listed may be passed over all the same: the rows of their photos stay.
    """
    theirs = _selection(table.record)
    if (theirs.follow_links, theirs.exclude) != (selection.follow_links, selection.exclude):
        raise OutputError(
            f"{table.name!r} was made {theirs.options()}, this run is {selection.options()}: take"
            " the same, or --overwrite"
        )


def _selection(record: Mapping[str, Any]) -> Selection:
    return Selection.from_json(record["settings"])


_NOTHING_TO_ASK_FOR = (
    "rows without their queries cannot be matched or read again; make the table anew by --overwrite"
)


def _check(job: Job) -> None:
    if not job.output_name.endswith(".parquet"):
        raise UsageError(
            f"--update and --retry-unreadable need a .parquet, not {job.output_name!r}"
        )
    if job.hide_queries:
        raise UsageError(f"--update, --retry-unreadable and --hide-queries: {_NOTHING_TO_ASK_FOR}")
    if job.limit is not None:
        raise UsageError("--limit would lose rows with --update or --retry-unreadable; drop it")
    lists = [source for source in job.sources if source.startswith("@")]
    if lists and job.update:
        raise UsageError(f"--update finds what is new in directories; {lists[0]!r} is a list")


def _changed(old: ImageRef, new: ImageRef) -> bool:
    known = new.size_bytes is not None and new.modified_at is not None
    return not known or (old.size_bytes, old.modified_at) != (new.size_bytes, new.modified_at)
