"""One run, from sources to table; the file to read first.

::

    Listing ──ImageRef──> prefetch(read, decode) ──Decoded | Unreadable──> batches
                                                                              │
    Output <──rows────────────────── Classifier.predict <──────────Batch──────┘

Everything streams: what is listed, decoded, classified and not yet written is bounded by the
prefetch depth and the batch size, whatever the number of photos.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from scene_batch.classifier import Classifier
from scene_batch.cpus import usable_cpus
from scene_batch.errors import AccountingError, SourceError
from scene_batch.model import sha256
from scene_batch.prefetch import prefetch
from scene_batch.record import RunRecord, Tally, versions
from scene_batch.records import Decoded, ImageRef, Unreadable
from scene_batch.sinks import Output
from scene_batch.sources import Listing, read


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is asked to do."""

    sources: tuple[str, ...]
    out: str
    overwrite: bool = False
    limit: int | None = None
    """Stop after this many photos."""
    workers: int | None = None
    """Threads that read and decode; None: as many as this process may use."""


def run(
    job: Job, classifier: Classifier, watch: Callable[[Tally], None] = lambda tally: None
) -> RunRecord:
    """Classify every photo of a job into its table.

    Args:
        job: What to do.
        classifier: The model, ready.
        watch: Called after each batch with the tally so far.

    Returns:
        The run's record, as it was written beside the table.

    Raises:
        SourceError: A source is missing or holds no photo.
        OutputError: The table is already there or cannot be written.
        AccountingError: Photos found and rows written differ: a defect, and no table.
    """
    tally = Tally(started_at=datetime.now(UTC))
    listing = Listing(job.sources)
    with (
        Output(job.out, classifier.card.classes, overwrite=job.overwrite) as output,
        closing(_load_ahead(job, listing, classifier, tally)) as photos,
    ):
        batches = classifier.batches(photos)
        while True:
            with tally.timing("wait"):
                batch = next(batches, None)
            if batch is None:
                break
            with tally.timing("infer"):
                rows = classifier.predict(batch)
            with tally.timing("write"):
                output.write(rows)
            tally.add(rows)
            watch(tally)
        if not listing.found:
            raise _no_photo(listing)
        output.flush()
        _account_for(listing.found, tally.rows, output.written)
        record = _record(job, classifier, listing, tally)
        output.commit(record.to_json())
    return record


def _load_ahead(
    job: Job, listing: Listing, classifier: Classifier, tally: Tally
) -> Generator[Decoded | Unreadable, None, None]:
    """Read and decode photos in order, ahead of the model."""

    def load(ref: ImageRef) -> tuple[Decoded | Unreadable, float, float]:
        begun = time.perf_counter()
        data = read(ref)
        between = time.perf_counter()
        if isinstance(data, Unreadable):
            return data, between - begun, 0.0
        photo = classifier.decode(ref, data)
        return photo, between - begun, time.perf_counter() - between

    workers = job.workers or usable_cpus()
    depth = 2 * classifier.session.batch_size + workers
    refs = islice(listing, job.limit)
    with closing(prefetch(load, refs, workers=workers, depth=depth)) as loaded:
        for photo, read_seconds, decode_seconds in loaded:
            tally.seconds["read"] += read_seconds
            tally.seconds["decode"] += decode_seconds
            yield photo


def _no_photo(listing: Listing) -> SourceError:
    ignored = listing.ignored.hidden + listing.ignored.other
    return SourceError(
        f"no photo in {', '.join(listing.sources)} ({ignored} other files ignored);"
        " check the path, and the suffixes that count as photos in run --help"
    )


def _account_for(found: int, classified: int, written: int) -> None:
    """Assert promise 1: one row for each photo found."""
    if not found == classified == written:
        raise AccountingError(
            f"{found} photos found, {classified} classified, {written} rows written:"
            " this is a defect of scene-batch, please report it; no table was written"
        )


def _record(job: Job, classifier: Classifier, listing: Listing, tally: Tally) -> RunRecord:
    session = classifier.session
    seconds = (datetime.now(UTC) - tally.started_at).total_seconds()
    unreadable = sum(tally.unreadable.values())
    return RunRecord(
        photos=tally.rows,
        ok=tally.rows - unreadable,
        unreadable=dict(tally.unreadable),
        ignored={"hidden": listing.ignored.hidden, "other": listing.ignored.other},
        classes={name: tally.classes[name] for name in classifier.card.classes},
        provider=session.provider,
        model={
            "name": classifier.card.name,
            "version": classifier.card.version,
            "precision": classifier.card.precision,
            "sha256": sha256(session.path),
        },
        settings={
            "sources": list(listing.sources),
            "limit": job.limit,
            "top_k": classifier.top_k,
            "batch_size": session.batch_size,
            "threads": session.threads,
            "workers": job.workers or usable_cpus(),
        },
        versions=versions(),
        started_at=tally.started_at.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        stage_seconds={stage: round(value, 3) for stage, value in tally.seconds.items()},
        photos_per_second=round(tally.rows / seconds, 1),
        bottleneck=tally.bottleneck,
    )
