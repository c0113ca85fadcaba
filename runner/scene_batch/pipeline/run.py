"""One run, from sources to table; the file to read first.

::

    Listing ──ImageRef──> load_ahead(read, decode) ──Decoded | Unreadable──> batches
                                                                                │
    Output <──rows── StormWatch <──── Predictor.predict <───────────Batch──────┘

Everything streams: what is listed, decoded, classified and not yet written is bounded by the
read-ahead and the batch size, whatever the number of photos. The output saves its rows part by
part; a run that was broken off begins behind the last photo that it saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, replace
from itertools import islice

from scene_batch.errors import AccountingError, OutputBusyError, SceneBatchError, SourceError
from scene_batch.model.predictor import Classified, Predictor
from scene_batch.object_store.address import identified, shown
from scene_batch.object_store.stores import Stores
from scene_batch.outputs.ledger import fingerprint
from scene_batch.outputs.opening import Output, open_output
from scene_batch.outputs.saved import Plan
from scene_batch.pipeline.engine import classify_ahead
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.storm import StormWatch
from scene_batch.pipeline.thread_plan import Staff, hint
from scene_batch.pipeline.update import Retry, old_table, what_to_do
from scene_batch.records import printable
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import Reader
from scene_batch.tables.run_record import RunRecord, Tally, bottleneck, versions
from scene_batch.tables.run_table import RunTable
from scene_batch.tables.schema import schema


def open_sources(job: Job) -> Listing:
    """Open the sources of a job, so that what is wrong with them is said first of all.

    Raises:
        SourceError: A source is missing or cannot be listed.
    """
    return Listing(job.sources, stores=Stores(job.read_timeout), shard=job.shard)


def run(
    job: Job,
    predictor: Predictor,
    watch: Callable[[Tally], None] = lambda tally: None,
    interruption: Interruption | None = None,
    listing: Listing | None = None,
) -> RunRecord:
    """Classify every photo of a job into its table, or the rest of what was broken off.

    Args:
        job: What to do.
        predictor: The model, ready.
        watch: Called after each batch with the tally so far.
        interruption: Where signals come from; a batch in hand is finished first.
        listing: The job's sources, opened; None: they are opened here.

    Returns:
        The run's record, as it was written beside the table.

    Raises:
        SourceError: A source is missing, holds no photo, or does not answer, or most reads fail.
        OutputError: The table is already there, another process writes it, it cannot be written,
            or an unfinished run of another job lies there.
        AccountingError: Photos found and rows written differ: a defect, and no table.
        Interrupted: By a signal; the same job continues.
    """
    held_off = interruption.held_off if interruption else nullcontext
    model = predictor.session.sha256
    listing = listing or open_sources(job)
    table = old_table(job, predictor)
    identity = _identity(job, listing, predictor, model, table)
    plan = Plan(predictor.card.classes, identity, listing.continuable)
    overwrite = job.overwrite or table is not None
    with open_output(job.out, plan, overwrite=overwrite, restart=job.restart) as output:
        if output.done is not None:
            return RunRecord(**output.done)
        if table is not None and table.is_replaced():
            raise OutputBusyError(f"{job.out!r} was replaced meanwhile; run the command again")
        guard = held_off if output.durable else nullcontext
        tally, saved = output.tally, output.tally.rows
        listing.go_behind(output.after)
        work = what_to_do(job, listing, table)
        items = islice(work, None if job.limit is None else job.limit - saved)
        staff = Staff.of(predictor.session, workers=job.workers, remote=listing.may_be_remote)
        tally.threads = staff.threads()
        reader = Reader(listing.stores)
        results = classify_ahead(items, predictor, reader, tally, staff, timeout=job.read_timeout)
        with closing(results):
            for _ in _write(results, output, guard):
                watch(tally)
        if not tally.rows and not listing.seen and not isinstance(work, Retry):
            raise _no_photo(listing)
        with guard():
            output.save()
        _account_for(saved + work.found, tally.rows, output.rows_saved)
        record = _record(job, listing, predictor, identity, tally, staff)
        if isinstance(work, Retry):  # nothing was listed
            old = work.table.record
            settings = {**record.settings, "lists": old["settings"]["lists"]}
            of_listing = {key: old[key] for key in ("ignored", "photos_per_source")}
            record = replace(record, settings=settings, **of_listing)
        output.commit(record.to_json())
    return record


def _write(
    results: Iterator[Classified],
    output: Output,
    guard: Callable[[], AbstractContextManager[None]],
) -> Iterator[None]:
    """Write batch after batch; no signal counts while one is written."""
    tally, storm = output.tally, StormWatch()
    while True:
        try:
            result = next(results, None)
        except SceneBatchError:  # what came before it is sound
            with guard():
                output.write(storm.sound())
            raise
        if result is None:
            break
        with guard(), tally.timing("write"):
            output.write(storm.sift(result.rows))
        storm.check()
        yield
    with guard():
        output.write(storm.rest())


def _identity(
    job: Job, listing: Listing, predictor: Predictor, model: str, table: RunTable | None
) -> dict[str, object]:
    """All that must be equal for a run to be continued."""
    session = predictor.session
    how = {"update": job.update, "prune": job.prune, "retry_unreadable": job.retry_unreadable}
    return {
        "sources": [identified(source) for source in job.sources],
        "lists": listing.lists,
        "shard": job.shard and str(job.shard),
        "limit": job.limit,
        "model": model,
        "preprocess": predictor.card.preprocess.to_json(),
        "top_k": predictor.top_k,
        "columns": schema().names,
        "provider": session.provider,
        "precision": session.precision,
        "table": None if table is None else how | table.identity,
    }


def _no_photo(listing: Listing) -> SourceError:
    ignored = listing.ignored.hidden + listing.ignored.other
    return SourceError(
        f"no photo in {', '.join(map(shown, listing.sources))} ({ignored} other files ignored);"
        " check the path, and the suffixes that count as photos in run --help"
    )


def _account_for(found: int, classified: int, written: int) -> None:
    """Assert promise 1: one row for each photo found."""
    if not found == classified == written:
        raise AccountingError(
            f"{found} photos found, {classified} classified, {written} rows written:"
            " this is a defect of scene-batch, please report it; no table was written"
        )


def _record(  # noqa: PLR0913, PLR0917 - all that it records
    job: Job,
    listing: Listing,
    predictor: Predictor,
    identity: dict[str, object],
    tally: Tally,
    staff: Staff,
) -> RunRecord:
    session, seconds = predictor.session, tally.elapsed
    stages = tally.stages()
    slowest = bottleneck(stages)
    unreadable = sum(tally.unreadable.values())
    return RunRecord(
        job=fingerprint(identity),
        photos=tally.rows,
        photos_per_source=[tally.sources[number] for number in range(len(job.sources))],
        ok=tally.rows - unreadable,
        unreadable=dict(tally.unreadable),
        ignored=asdict(listing.ignored),
        retries=tally.retries,
        classes={name: tally.classes[name] for name in predictor.card.classes},
        provider=session.provider,
        model={
            "name": predictor.card.name,
            "version": predictor.card.version,
            "precision": predictor.card.precision,
            "sha256": identity["model"],
        },
        settings={
            "sources": [shown(printable(source)) for source in job.sources],
            "lists": listing.lists,
            "shard": job.shard and str(job.shard),
            "limit": job.limit,
            "read_timeout": job.read_timeout,
            "top_k": predictor.top_k,
            "batch_size": session.batch_size,
            "threads": session.threads,
            "precision": session.precision,
            "workers": staff.workers,
        },
        versions=versions(),
        started_at=tally.started_at.isoformat(timespec="seconds"),
        attempts=tally.attempts,
        seconds=round(seconds, 3),
        stages=stages,
        photos_per_second=round(tally.rows / seconds, 1),
        bottleneck=slowest,
        hint=hint(staff, stages, slowest, session),
    )
