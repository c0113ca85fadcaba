"""The machines of a Ray cluster, and the tasks that they are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from scene_batch_cluster.board import Board, Running, task
from scene_batch_cluster.connection import ClusterError, head_address, let_go, telling
from scene_batch_cluster.head import Head
from scene_batch_cluster.share import Order, Outcome

_HEAD = "node:__internal_head__"
"""What Ray counts as a resource of the head alone."""
_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What each task takes of a machine."""

    cpus: int
    gpus: float


class Machines:
    """The cluster, connected; see ``connected``."""

    def __init__(self, needs: Needs, model: bytes) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray: Any = ray
        self._needs = needs
        self._there = NodeAffinitySchedulingStrategy
        self._model = ray.put(model)
        # On the head, with which the job ends anyhow; wherever it was lost, it is made anew.
        board = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Board)
        heads = [n["NodeID"] for n in self._nodes() if _HEAD in n["Resources"]]
        place = {"scheduling_strategy": self._there(heads[0], soft=True)} if heads else {}
        self._board: Any = board.options(**place).remote()
        self._task = ray.remote(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=0)(task)
        self._running: dict[Any, int] = {}
        self._known: list[Running] = []
        self._head = Head(head_address())

    def head_answers(self) -> bool:
        """Whether the cluster's head does; until it does, nothing else must be asked.

        Raises:
            ClusterError: It has not for so long that it is taken for gone.
        """
        if self._head.answers():
            return True
        if self._head.is_gone:
            self._running = {}
            let_go()
            raise ClusterError(
                "the head of the cluster does not answer any more: start the cluster again; what is"
                " done is kept, and the same command continues"
            )
        return False

    @property
    def slots(self) -> int:
        """Tasks that the cluster as it is now can run at a time."""
        return sum(self._fitting(node) for node in self._nodes())

    def __len__(self) -> int:
        """Tasks that were submitted and have not ended."""
        return len(self._running)

    def submit(self, order: Order, avoid: set[str]) -> None:
        """Give a share to a machine, if there is one, that is none of some nodes."""
        task = self._task
        fits = [node["NodeID"] for node in self._nodes() if self._fitting(node)]
        if avoid and (others := sorted(set(fits) - avoid)):
            elsewhere = self._there(others[order.share % len(others)], soft=True)
            task = task.options(scheduling_strategy=elsewhere)
        self._running[task.remote(order, self._model, self._board)] = order.share

    def ended(self, seconds: float) -> Iterator[tuple[int, Outcome]]:
        """Wait a little, and yield what has ended."""
        if not self._running:
            return
        with telling():
            ready, _ = self._ray.wait(
                list(self._running), num_returns=len(self._running), timeout=seconds
            )
            for reference in ready:
                share = self._running.pop(reference)
                yield share, self._outcome(reference)
                self._board.forget.remote(share)

    def look(self) -> list[Running]:
        """All shares that run, as far as is known: a busy machine may be slow to say it."""
        from ray.exceptions import GetTimeoutError, RayActorError

        with telling(), suppress(GetTimeoutError, RayActorError):
            self._known = self._ray.get(self._board.look.remote(), timeout=_LOOK_SECONDS)
        return self._known

    def close(self, closed: bool) -> None:
        """Let no share begin, or let them; those that run go on."""
        with telling():
            self._board.close.remote(closed)

    def stop(self, seconds: float) -> None:
        """Tell all tasks to save what they have, and wait for them."""
        for reference in self._running:
            with suppress(Exception):
                self._ray.cancel(reference)
        with suppress(Exception):
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=seconds)
        self._running = {}

    def _outcome(self, reference: Any) -> Outcome:  # noqa: ANN401
        from ray import exceptions

        try:
            outcome: Outcome = self._ray.get(reference)
        except exceptions.TaskCancelledError:
            return Outcome("interrupted", "")
        except exceptions.OutOfMemoryError:
            return Outcome("failed", "", "its machine had no memory left, and ended the process")
        except exceptions.NodeDiedError:
            return Outcome("failed", "", "its machine is gone")
        except exceptions.WorkerCrashedError:
            return Outcome("failed", "", "its process was killed, or crashed")
        except exceptions.RayTaskError as error:
            cause = str(error).strip().splitlines()[-1]
            if "scene_batch" in cause and "ModuleNotFound" in cause:
                cause = "a machine has no scene-batch: install the same version everywhere"
                return Outcome("hopeless", "", cause)
            return Outcome("failed", "", cause, trace=str(error))
        except exceptions.RayError as error:
            return Outcome("failed", "", str(error).strip().splitlines()[0])
        return outcome

    def _nodes(self) -> list[dict[str, Any]]:
        with telling():
            return [node for node in self._ray.nodes() if node["Alive"]]

    def _fitting(self, node: dict[str, Any]) -> int:
        has = node["Resources"]
        fits = int(has.get("CPU", 0) // self._needs.cpus)
        return min(fits, int(has.get("GPU", 0) // self._needs.gpus)) if self._needs.gpus else fits
