"""How many threads read, decode and call the model."""

from __future__ import annotations

from dataclasses import dataclass

from scene_batch.model.session import Session
from scene_batch.processors import usable_cpus

REMOTE_READERS = 32
"""Photos that are fetched at once over a network; a waiting thread costs nothing."""


@dataclass(frozen=True, slots=True)
class ThreadPlan:
    """The threads of a run."""

    workers: int
    """Threads that decode; they also read where ``readers`` is None, and call where ``shared``."""
    readers: int | None
    """Threads that only read; None: the workers read."""
    calls: int
    """Calls of the model side by side."""
    shared: bool
    """Whether the workers call the model, too: where a processor computes, more threads than it has
    cores only take turns (docs/decisions/010)."""

    @classmethod
    def of(cls, session: Session, *, workers: int | None, remote: bool) -> ThreadPlan:
        """What suits a session; ``workers`` None are as many as this process may use."""
        workers = workers or usable_cpus()
        shared = session.provider == "cpu" and session.calls == workers
        return cls(workers, REMOTE_READERS if remote else None, session.calls, shared)

    def threads(self) -> dict[str, int]:
        """Threads by stage."""
        readers = self.readers or self.workers
        return {"list": 1, "read": readers, "decode": self.workers, "infer": self.calls, "write": 1}

    def sharing(self, stage: str) -> list[str]:
        """The stages that share their threads with a stage, itself included."""
        together = ["decode", "infer"] if self.shared else ["decode"]
        together += ["read"] if self.readers is None else []
        return together if stage in together else [stage]
