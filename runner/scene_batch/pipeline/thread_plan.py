"""Which threads do what in a run, and which setting would have made it faster."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from scene_batch.model.providers import how_to_install, installed_flavours
from scene_batch.model.session import Session
from scene_batch.processors import usable_cpus
from scene_batch.tables.run_record import share_busy

REMOTE_READERS = 32
"""Photos on their way at once where they come over a network; a waiting thread costs nothing."""

_WORTH_SAYING = 10.0
"""Seconds: a shorter run needs no advice."""
_BUSY = 0.6
"""Share of its time in which a stage's threads are busy when it holds up the others."""


@dataclass(frozen=True, slots=True)
class Staff:
    """The threads of a run."""

    workers: int
    """Decode; and read, where ``readers`` is None; and call the model, where ``shared``."""
    readers: int | None
    """Only read; None: the workers read."""
    calls: int
    """Calls of the model side by side."""
    shared: bool
    """Whether the workers call the model, too: on a processor that computes, threads beyond its
    cores only take turns (docs/decisions/010)."""

    @classmethod
    def of(cls, session: Session, *, workers: int | None, remote: bool) -> Staff:
        """What suits a session.

        Args:
            session: What computes.
            workers: As asked for; None: as many as this process may use.
            remote: Whether photos may come over a network.
        """
        workers = workers or usable_cpus()
        shared = session.provider == "cpu" and session.calls == workers
        return cls(workers, REMOTE_READERS if remote else None, session.calls, shared)

    def threads(self) -> dict[str, int]:
        """Threads by stage."""
        readers = self.readers or self.workers
        return {
            "list": 1,
            "read": readers,
            "decode": self.workers,
            "infer": self.calls,
            "write": 1,
        }

    def sharing(self, stage: str) -> list[str]:
        """The stages whose work the same threads do."""
        together = ["decode", "infer"] if self.shared else ["decode"]
        together += ["read"] if self.readers is None else []
        return together if stage in together else [stage]


def hint(
    staff: Staff, stages: Mapping[str, Mapping[str, float]], slowest: str, session: Session
) -> str:
    """The setting that would make another run like this faster; empty where none is known.

    Args:
        staff: The run's threads.
        stages: As the run's record has them.
        slowest: The stage that decided the speed.
        session: What computed.
    """
    threads, cpus = int(stages[slowest]["threads"]), usable_cpus()
    seconds = stages["list"]["busy_seconds"] + stages["list"]["waiting_seconds"]
    busy = sum(share_busy(stages[stage]) for stage in staff.sharing(slowest))
    if seconds < _WORTH_SAYING or busy < _BUSY:
        return ""
    if slowest == "read" and threads < REMOTE_READERS:
        return (
            f"more photos would be read at once with --workers {min(4 * threads, REMOTE_READERS)}"
        )
    if slowest == "decode" and threads < cpus:
        return f"{cpus} processors could decode: --workers auto"
    if slowest == "infer" and session.provider != "cuda":
        return _hint_for_the_model(session, cpus)
    return ""


def _hint_for_the_model(session: Session, cpus: int) -> str:
    """Where a processor computes."""
    if session.threads < cpus:
        return f"{cpus} processors could compute: --threads auto"
    if session.calls < session.threads:
        return "batches are too large for all threads: --batch-size auto"
    flavours = installed_flavours()
    may_have_openvino = platform.machine() == "x86_64" and "onnxruntime-gpu" not in flavours
    if session.provider != "cpu" or session.note or not may_have_openvino:  # it was refused
        return ""
    if "onnxruntime-openvino" in flavours:
        return "on x86 --provider openvino is mostly faster"
    return f"on x86 the provider openvino is mostly faster: {how_to_install('openvino')}"
