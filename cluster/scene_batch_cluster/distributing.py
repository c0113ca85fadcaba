"""One job over the machines of a cluster, from sources to table; the file to read first.

::

    Survey ──plan.json──> Attempts ──Order──> Machines ──run on a share──> share-000007.parts/
                             ^                    │                                │
                             └────── Outcome ─────┘            SharedOutput.publish ──> PATH
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from scene_batch.errors import SceneBatchError, UsageError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.model_file import ModelFile
from scene_batch.object_store.address import shown
from scene_batch.outputs.name import STANDARD_OUTPUT, check_name
from scene_batch.outputs.plan import fingerprint
from scene_batch.outputs.shared import SharedOutput, output_of_share
from scene_batch.pipeline.inputs import refuse_overwriting
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import open_sources
from scene_batch.sources.listing import Listing
from scene_batch.tables.run_record import RunRecord
from scene_batch_cluster.attempts import Attempts, Share
from scene_batch_cluster.going import Going
from scene_batch_cluster.machines import Machines, Needs, Running, Sayings, connected
from scene_batch_cluster.marks import shares_for
from scene_batch_cluster.planning import Plan, identity, survey
from scene_batch_cluster.share import Order, Outcome
from scene_batch_cluster.shown import Shown
from scene_batch_cluster.whole import whole_record

MOST_SHARES = 10_000
STOP_SECONDS = 30.0
"""How long tasks may take to save what they have when the job is stopped."""
TWO_CPUS = Needs(2, 0)
_LOOK_SECONDS = 1.0
_WAIT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """How a job is shared out."""

    address: str = "local"
    shares: int | None = None
    """How many; None: what suits the photos and the cluster."""
    needs: Needs = TWO_CPUS
    attempts: int = 3
    """How often a share may fail."""


def distribute(
    job: Job, settings: Settings, file: ModelFile, front: Shown, interruption: Interruption
) -> RunRecord:
    """Classify every photo of a job into its table, on all machines of a cluster.

    If it was broken off, the rest of them.

    Args:
        job: What to do, as one run would be asked.
        settings: How it is shared out.
        file: The job's model, being read.
        front: Is told how it goes.
        interruption: Where signals come from; tasks save what they have first.

    Raises:
        SceneBatchError: What is wrong; see ``run``.
        ClusterError: The cluster does not answer.
        ShareFailedError: A share has failed too often.
        Interrupted: By a signal; the same job continues.
    """
    if job.out == STANDARD_OUTPUT:
        raise UsageError("--out -: many machines write no standard output; name a table")
    check_name(job.out)
    refuse_overwriting(job.out, [*job.sources, job.model, job.config])
    listing = open_sources(job)
    if not listing.continuable:
        raise UsageError("a pipe such as @- can be read once: write its list into a file")
    file.wait()
    whole = identity(job, listing, file.check().sha256)
    with SharedOutput(
        job.out,
        whole,
        overwrite=job.overwrite,
        restart=job.restart,
        at_the_end=interruption.end,
    ) as output:
        if output.done is not None:
            return RunRecord(**output.done)
        plan = _classified(job, settings, file, front, interruption, listing, output)
        with interruption.held_off():
            records = [_record(output, share) for share in range(len(plan.shares))]
            record = whole_record(records, fingerprint(whole), job.limit, plan.ignored)
        front.note(f"{record.photos} photos are classified; the table is made of their parts")
        output.publish(record.to_json(), record.photos)
    return record


def _classified(  # noqa: PLR0913, PLR0917 - each is another thing
    job: Job,
    settings: Settings,
    file: ModelFile,
    front: Shown,
    interruption: Interruption,
    listing: Listing,
    output: SharedOutput,
) -> Plan:
    """Classify all shares that are left; the cluster is needed only if there is one."""
    if output.shares is not None:
        plan = Plan.from_json(output.shares)
        left = _left(output, plan)
        front.note(
            f"continues: {len(plan.shares) - len(left)} of {len(plan.shares)} shares are done"
        )
        if not left:
            return plan
    with ExitStack() as stack:
        with interruption.held_off():
            front.note(f"connects to the cluster ({settings.address})")
            sayings = stack.enter_context(connected(settings.address, settings.needs))
            machines = Machines(settings.needs, file.find().read_bytes())
        if output.shares is None:
            found = survey(listing, job.limit)
            slots = max(1, machines.slots)
            count = settings.shares or shares_for(found.photos, slots, MOST_SHARES)
            with interruption.held_off():
                output.begin(found.cut(min(count, MOST_SHARES, max(1, found.photos))))
            plan, left = Plan.from_json(output.shares or []), []
            left = list(range(len(plan.shares)))
            front.note(f"{plan.photos} photos in {len(plan.shares)} shares")
        driver = _Driver(job, settings, file.check().sha256, output, plan, machines, front, sayings)
        driver.drive(left, interruption)
    return plan


def _left(output: SharedOutput, plan: Plan) -> list[int]:
    return [share for share in range(len(plan.shares)) if output.record_of(share) is None]


def _record(output: SharedOutput, share: int) -> dict[str, Any]:
    record = output.record_of(share)
    if record is None:
        raise SceneBatchError(f"share {share} is gone: the same command computes it again")
    return record


class _Driver:
    """Gives shares to machines until all are done."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        job: Job,
        settings: Settings,
        model_sha256: str,
        output: SharedOutput,
        plan: Plan,
        machines: Machines,
        front: Shown,
        sayings: Sayings,
    ) -> None:
        self._job, self._settings, self._model_sha256 = job, settings, model_sha256
        self._output, self._plan, self._machines = output, plan, machines
        self._front, self._sayings = front, sayings
        self._under_way: dict[int, Share] = {}
        self._seen: dict[int, Running] = {}
        self._attempts = Attempts([], settings.attempts)
        self._going = Going(plan.photos, len(plan.shares))
        self._window = self._looked = 0.0
        self._closed = False

    def drive(self, left: list[int], interruption: Interruption) -> None:
        """Have all shares done that are left.

        Raises:
            ShareFailedError: One of them has failed too often.
            ClusterError: The cluster does not answer.
            Interrupted: By a signal.
        """
        self._attempts = Attempts(left, self._settings.attempts)
        self._going.shares_done = len(self._plan.shares) - len(left)
        done = set(range(len(self._plan.shares))) - set(left)
        self._going.photos_done = sum(self._plan.shares[share].photos for share in done)
        with self._stopped_at_the_end():
            while len(self._attempts) or self._under_way:
                with interruption.held_off():
                    self._step()

    def _step(self) -> None:
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            if not self._machines.head_answers():
                self._going.note = "the head of the cluster does not answer"
                self._front.show(self._going)
                time.sleep(_LOOK_SECONDS)
                return
            self._look()
        if self._closed and not self._attempts.pause:
            self._machines.close(False)
            self._closed, self._going.note = False, ""
        while len(self._under_way) < self._window and (share := self._attempts.take()):
            self._under_way[share.number] = share
            self._machines.submit(self._order(share), share.failed_on)
        ended = False
        for number, outcome in self._machines.ended(_WAIT_SECONDS):
            ended = True
            self._take(self._under_way.pop(number), outcome)
        if not (ended or self._under_way):
            time.sleep(_WAIT_SECONDS)  # all that is left has to wait
        self._front.show(self._going)

    def _look(self) -> None:
        """Ask what runs, and how much may: a waiting task or two are what an autoscaler sees."""
        self._looked = time.monotonic()
        slots = self._machines.slots
        self._window = max(2 * slots, 2)
        running = self._machines.look()
        self._seen |= {one.share: one for one in running}
        self._going.see(one for one in running if one.share in self._under_way)
        if not self._closed:
            waits = not running and not slots
            cpus, gpus = self._settings.needs.cpus, self._settings.needs.gpus
            needs = f"{cpus} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
            self._going.note = f"waits for a machine with {needs}" if waits else ""

    def _order(self, share: Share) -> Order:
        job, out = self._job, self._job.out
        needs, cut = self._settings.needs, self._plan.shares[share.number]
        compute = job.compute
        provider = "cuda" if needs.gpus and compute.provider == "auto" else compute.provider
        return Order(
            share.number,
            share.attempts + 1,
            replace(
                job,
                out=output_of_share(out, share.number),
                model=None,
                model_sha256=None,
                config=None,
                overwrite=False,
                restart=False,
                limit=None,
                span=cut.span,
                keeps_parts=True,
                workers=job.workers or needs.cpus,
                compute=ComputeOptions(
                    provider, compute.batch_size, compute.threads or needs.cpus, compute.bf16
                ),
            ),
            out,
            self._output.run,
            cut.photos,
            self._model_sha256,
        )

    def _take(self, share: Share, outcome: Outcome) -> None:
        """Take note of how a share ended."""
        seen = self._seen.pop(share.number, None)
        node = None if seen is None else seen.node
        machine = outcome.machine or (seen.machine if seen else "")
        where = f" on {machine}" if machine else ""
        if outcome.kind == "done":
            self._attempts.done()
            self._going.shares_done += 1
            self._going.photos_done += outcome.photos
        elif outcome.kind == "not begun":
            self._attempts.put_back(share)
        elif outcome.kind == "busy":
            self._front.note(
                f"share {share.number}: an old attempt is still alive, or its machine is not known"
                " to be gone; it is tried again"
            )
            self._attempts.in_the_way(share)
        elif outcome.kind == "hopeless":
            raise SceneBatchError(outcome.cause)
        else:
            self._fail(share, outcome, node, f"{outcome.cause or outcome.kind}{where}", seen)

    def _fail(
        self, share: Share, outcome: Outcome, node: str | None, cause: str, seen: Running | None
    ) -> None:
        said = outcome.trace.splitlines()
        if not said and seen is not None and outcome.kind == "failed":
            said = list(self._sayings.of(seen.address, seen.pid))
        self._front.show_lines(share.number, said)
        if outcome.kind == "storm":
            self._attempts.storm(share, node, cause)
            self._machines.close(True)
            self._closed = True
            self._going.note = f"no share begins for {self._attempts.pause:.0f} s"
            self._front.note(f"share {share.number}: {cause}; {self._going.note}")
            return
        self._attempts.lost(share, node, f"{cause}{self._near(share)}")
        self._front.note(f"share {share.number} failed: {cause}; it is tried again")

    def _near(self, share: Share) -> str:
        """Which photos a share has, for somebody who looks for the one that kills."""
        span = self._plan.shares[share.number].span
        ends = [key and shown(key[2].decode(errors="replace")) for key in (span.after, span.last)]
        after, last = ends
        return (
            f" (photos{f' behind {after!r}' if after else ''}{f' up to {last!r}' if last else ''})"
            if after or last
            else ""
        )

    @contextmanager
    def _stopped_at_the_end(self) -> Iterator[None]:
        """Whatever happens, let tasks save what they have, and wait for that."""
        try:
            yield
        except BaseException:
            if len(self._machines):
                self._front.note("tells the machines to save what they have")
            raise
        finally:
            self._machines.stop(STOP_SECONDS)
