"""One job over the machines of a cluster, from sources to table; the file to read first.

::

    Survey ──plan.json──> Attempts ──Order──> Machines ──run on a share──> share-000007.parts/
                             ^                    │                                │
                             └────── Outcome ─────┘            SharedOutput.publish ──> PATH
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from scene_batch.errors import SceneBatchError, UsageError
from scene_batch.model.model_file import ModelFile
from scene_batch.outputs.name import STANDARD_OUTPUT, check_name
from scene_batch.outputs.plan import fingerprint
from scene_batch.outputs.shared import SharedOutput
from scene_batch.pipeline.inputs import refuse_overwriting
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import open_sources
from scene_batch.sources.listing import Listing
from scene_batch.tables.run_record import RunRecord
from scene_batch_cluster.connection import connected
from scene_batch_cluster.driver import Driver, Settings
from scene_batch_cluster.machines import Machines
from scene_batch_cluster.marks import shares_for
from scene_batch_cluster.planning import Plan, identity, survey
from scene_batch_cluster.shown import Shown
from scene_batch_cluster.whole import whole_record

MOST_SHARES = 10_000


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
            sayings = stack.enter_context(connected(settings.address, settings.needs.cpus))
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
        driver = Driver(job, settings, file.check().sha256, output, plan, machines, front, sayings)
        driver.drive(left, interruption)
    return plan


def _left(output: SharedOutput, plan: Plan) -> list[int]:
    return [share for share in range(len(plan.shares)) if output.record_of(share) is None]


def _record(output: SharedOutput, share: int) -> dict[str, Any]:
    record = output.record_of(share)
    if record is None:
        raise SceneBatchError(f"share {share} is gone: the same command computes it again")
    return record
