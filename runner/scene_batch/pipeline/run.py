"""One run, from sources to table; the file to read first.

::

    Listing ──ImageRef──> Engine (read, decode, predict) ──rows──> StormGuard ──> Output

Everything streams: the read-ahead and the batch size bound the photos in memory. The output saves
its rows part by part; a run that was broken off begins behind the last photo that it saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, replace
from itertools import islice

from scene_batch.errors import AccountingError, OutputBusyError, SceneBatchError, SourceError
from scene_batch.model.predictor import Predictor
from scene_batch.object_store.address import hidden, shown, unique
from scene_batch.object_store.stores import Stores
from scene_batch.outputs.opening import Output, open_output
from scene_batch.outputs.plan import Plan, fingerprint
from scene_batch.outputs.saved import SavedOutput
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.advice import bottleneck, hint
from scene_batch.pipeline.continuing import go_on
from scene_batch.pipeline.engine import Engine
from scene_batch.pipeline.front import SILENT, Front
from scene_batch.pipeline.inputs import refuse_overwriting
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.storm import StormGuard
from scene_batch.pipeline.thread_plan import ThreadPlan
from scene_batch.pipeline.throttle import Throttle
from scene_batch.pipeline.update import choose, table_to_update
from scene_batch.records import ImageRef, Row, printable
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import Reader
from scene_batch.sources.span import WHOLE
from scene_batch.tables.run_record import RunRecord, versions
from scene_batch.tables.run_table import RunTable
from scene_batch.tables.schema import schema

_MOSTLY_HELD = 0.1
"""From this share of its time on, a run's speed was the throttle's choice, and advice is idle."""


def open_sources(job: Job) -> Listing:
    """Open the sources of a job; SourceError if one is missing or cannot be listed."""
    return Listing(
        job.sources,
        stores=Stores(job.read_timeout),
        lists_as=job.lists_as,
        shard=job.shard,
        span=job.span,
        out=job.output_name,
        selection=job.selection,
        hide_queries=job.hide_queries,
    )


def run(
    job: Job,
    predictor: Predictor,
    front: Front = SILENT,
    interruption: Interruption | None = None,
    listing: Listing | None = None,
) -> RunRecord:
    """Classify every photo of a job into its table; if it was broken off, the rest of them.

    Args:
        job: What to do.
        predictor: The job's model, ready.
        front: Is told how it goes.
        interruption: Where signals come from; a batch that is being written is saved first.
        listing: The job's sources, opened; None: they are opened here.

    Returns:
        The run's record, as it was written beside the table.

    Raises:
        UsageError: The output is one of the inputs.
        SourceError: A source is missing or does not answer, there is no photo, or most reads fail.
        OutputError: The table is already there, another process writes it, it cannot be written,
            or an unfinished run of another job lies there.
        AccountingError: Photos found and rows written differ: a defect, and no table.
        Interrupted: By a signal; the same job continues.
    """
    interruption = interruption or Interruption()
    refuse_overwriting(job.output_name, [*job.sources, job.model, job.config])
    listing = listing or open_sources(job)
    table = table_to_update(job, predictor)
    identity = _identity(job, listing, predictor, table)
    plan = Plan(predictor.card.classes, identity, listing.continuable, job.keeps_parts)
    overwrite = job.overwrite or table is not None
    with open_output(
        job.output_name,
        plan,
        overwrite=overwrite,
        restart=job.restart,
        at_the_end=interruption.end,
    ) as output:
        if output.done is not None:
            return RunRecord(**output.done)
        if table is not None and table.is_replaced():
            raise OutputBusyError(
                f"{job.output_name!r} was replaced meanwhile; run the command again"
            )
        guard = interruption.held_off if output.durable else nullcontext
        tally, saved = output.tally, output.tally.rows
        work = choose(job, listing, table)
        threads = ThreadPlan.of(
            predictor.session, workers=job.workers, remote=listing.may_be_remote
        )
        tally.threads = threads.threads()
        engine = Engine(
            predictor, Reader(listing.stores), threads, job.read_timeout, job.decode_timeout
        )
        throttle = Throttle(job.photos_per_second)
        if isinstance(output, SavedOutput):
            go_on(
                output,
                work,
                lambda refs: _renewed(refs, engine, tally, StormGuard(job.storm), throttle),
                front,
                guard,
            )
        items = islice(work, None if job.limit is None else job.limit - saved)
        with closing(engine.rows(items, tally)) as batches:
            paced = throttle.paced(batches)
            rows = map(_hide_queries, paced) if job.hide_queries else paced
            for _ in _write(rows, output, StormGuard(job.storm), guard):
                front.update(tally)
        if not tally.rows:
            work.refuse_nothing()
        with guard():
            output.save()
        found = saved + work.found
        if not found == tally.rows == output.rows_saved:  # promise 1: one row for each photo found
            raise AccountingError(
                f"{found} photos found, {tally.rows} classified, {output.rows_saved} rows written"
            )
        if listing.lists != identity["lists"]:
            raise SourceError("a list was changed while it was read; begin anew with --restart")
        record = replace(_record(job, listing, engine, identity, tally), continued_after=saved)
        if job.photos_per_second and throttle.waited > _MOSTLY_HELD * tally.elapsed:
            record = replace(record, hint=f"held at --photos-per-second {job.photos_per_second:g}")
        record = work.amend(record)
        output.commit(record.to_json())
    return record


def _renewed(
    refs: Iterable[ImageRef], engine: Engine, tally: Tally, storm: StormGuard, throttle: Throttle
) -> Iterator[Row]:
    """Yield the rows of photos that have changed since theirs were saved; raises in a storm."""
    with closing(engine.rows(refs, tally)) as batches:
        for rows in throttle.paced(batches):
            yield from storm.sift(rows)
            storm.check()
    yield from storm.rest()


def _hide_queries(rows: list[Row]) -> list[Row]:
    return [replace(row, ref=replace(row.ref, path=hidden(row.ref.path))) for row in rows]


def _write(
    batches: Iterator[list[Row]],
    output: Output,
    storm: StormGuard,
    guard: Callable[[], AbstractContextManager[None]],
) -> Iterator[None]:
    """Write batch after batch; ``guard`` holds signals off while one is written."""
    while True:
        try:
            rows = next(batches, None)
        except SceneBatchError:  # what came before it is sound
            with guard():
                output.write(storm.sound())
            raise
        if rows is None:
            break
        with guard(), output.tally.timing("write"):
            output.write(storm.sift(rows))
        storm.check()
        yield
    with guard():
        output.write(storm.rest())


def _identity(
    job: Job, listing: Listing, predictor: Predictor, table: RunTable | None
) -> dict[str, object]:
    """All that must be equal for a run to be continued."""
    session = predictor.session
    how = {"update": job.update, "prune": job.prune, "retry_unreadable": job.retry_unreadable}
    return {
        "sources": [unique(name) for name in listing.names],
        "where": listing.where,
        "lists": listing.lists,
        **job.lists_as.to_json(),
        **job.selection.to_json(),
        **_part_of_a_job(job),
        "limit": job.limit,
        "model": session.sha256,
        "preprocess": predictor.card.preprocess.to_json(),
        "top_k": predictor.top_k,
        "columns": schema().names,
        "provider": session.provider,
        "precision": session.precision,
        "table": None if table is None else how | table.state,
    }


def _part_of_a_job(job: Job) -> dict[str, object]:
    """Which of the photos are taken, and how they are called."""
    return {
        **({"hide_queries": True} if job.hide_queries else {}),
        **({"span": job.span.to_json()} if job.span != WHOLE else {}),
        "shard": job.shard and str(job.shard),
    }


def _record(
    job: Job, listing: Listing, engine: Engine, identity: dict[str, object], tally: Tally
) -> RunRecord:
    predictor, seconds = engine.predictor, tally.elapsed
    session = predictor.session
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
            "sources": [shown(printable(name)) for name in listing.names],
            "where": listing.where,
            "lists": listing.lists,
            **job.lists_as.to_json(),
            **job.selection.to_json(),
            **_part_of_a_job(job),
            "limit": job.limit,
            "read_timeout": job.read_timeout,
            "decode_timeout": job.decode_timeout,
            "decode_memory_bytes": engine.budget.most,
            "storm": job.storm,
            "photos_per_second": job.photos_per_second,
            "top_k": predictor.top_k,
            "batch_size": session.batch_size,
            "threads": session.threads,
            "precision": session.precision,
            "workers": engine.plan.workers,
        },
        versions=versions(),
        started_at=tally.started_at.isoformat(timespec="seconds"),
        attempts=tally.attempts,
        seconds=round(seconds, 3),
        stages=stages,
        photos_per_second=round((tally.rows - tally.kept) / seconds, 1),
        bottleneck=slowest,
        hint=hint(engine.plan, stages, slowest, session),
        renewed=tally.renewed,
        shares=() if job.about is None else (job.about,),
    )
