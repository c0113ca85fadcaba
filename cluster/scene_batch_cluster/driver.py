"""Gives shares to machines, and takes note of how each ends, until all are done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from scene_batch.errors import SceneBatchError
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.object_store.address import shown
from scene_batch.outputs.shared import SharedOutput, output_of_share
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch_cluster.attempts import Attempts, Share
from scene_batch_cluster.board import Running
from scene_batch_cluster.connection import Sayings
from scene_batch_cluster.going import Going
from scene_batch_cluster.machines import Machines, Needs
from scene_batch_cluster.planning import Plan
from scene_batch_cluster.share import Order, Outcome
from scene_batch_cluster.shown import Shown

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


class Driver:
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
