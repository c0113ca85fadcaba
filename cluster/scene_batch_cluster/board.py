"""Where tasks say how far they are, and what a task does."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from scene_batch.memory import share_memory
from scene_batch.outputs.tally import Tally
from scene_batch_cluster.share import Order, Outcome, run_share

_BEGIN_SECONDS = 600.0
"""How long a task waits for leave to begin: many that start at once keep a machine busy."""


@dataclass(frozen=True, slots=True)
class Running:
    """A share that a machine was found for."""

    share: int
    attempt: int
    node: str
    machine: str
    rows: int = 0
    seconds: float = 0.0
    address: str = ""
    pid: int = 0


class Board:
    """Where tasks say how far they are; on the driver's machine, in a process of its own."""

    def __init__(self) -> None:
        self._running: dict[int, Running] = {}
        self._closed = False

    def close(self, closed: bool) -> None:
        """Let no task begin, or let them."""
        self._closed = closed

    def tell(self, running: Running) -> bool:
        """Take note of a share; whether it may begin, or go on."""
        before = self._running.get(running.share)
        if before is None and self._closed:
            return False
        if before is not None and before.attempt > running.attempt:
            return False
        self._running[running.share] = running
        return True

    def forget(self, share: int) -> None:
        """Take a share off, which has ended."""
        self._running.pop(share, None)

    def look(self) -> list[Running]:
        """All that run."""
        return list(self._running.values())


def task(order: Order, model: bytes, board: Any) -> Outcome:  # noqa: ANN401
    """What runs on a machine."""
    import platform

    import ray

    context: Any = ray.get_runtime_context()
    now = Running(
        order.share,
        order.attempt,
        context.get_node_id(),
        platform.node(),
        address=str(ray.util.get_node_ip_address()),  # type: ignore[no-untyped-call]
        pid=os.getpid(),
    )
    # Not by ray.get: while a task waits in that, Ray gives its CPUs to another one.
    if not board.tell.remote(now).future().result(_BEGIN_SECONDS):
        return Outcome("not begun", now.machine)

    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["NodeID"] == now.node:
            share_memory(
                min(1.0, (order.job.workers or 1) / max(1.0, node["Resources"].get("CPU", 1.0)))
            )

    def tell(tally: Tally) -> None:
        board.tell.remote(replace(now, rows=tally.rows, seconds=tally.elapsed))

    return run_share(order, model, tell)
