"""Which threads do what."""

from __future__ import annotations

from dataclasses import dataclass

from scene_batch.model.session import Session
from scene_batch.processors import usable_cpus

REMOTE_READERS = 32
"""Photos on their way at once where they come over a network; a waiting thread costs nothing."""


@dataclass(frozen=True, slots=True)
class ThreadPlan:
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
    def of(cls, session: Session, *, workers: int | None, remote: bool) -> ThreadPlan:
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
