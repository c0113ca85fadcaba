"""The machines of a Ray cluster: the one module that speaks with Ray."""

from __future__ import annotations

import atexit
import logging
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from scene_batch.errors import SceneBatchError
from scene_batch.memory import share_memory
from scene_batch.outputs.tally import Tally
from scene_batch.processors import usable_cpus
from scene_batch.threads import begin
from scene_batch_cluster.head import Head
from scene_batch_cluster.share import Order, Outcome, run_share

MOST_LINES = 30
"""Lines that are kept of what a process says, to be shown if it dies."""
_MOST_PROCESSES = 1000
_HEAD = "node:__internal_head__"
"""What Ray counts as a resource of the head alone."""
_LOOK_SECONDS, _END_SECONDS = 2.0, 20.0
_BEGIN_SECONDS = 600.0
"""How long a task waits for leave to begin: many that start at once keep a machine busy."""


class ClusterError(SceneBatchError):
    """The cluster cannot be reached, or does not answer any more."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What each task takes of a machine."""

    cpus: int
    gpus: float


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
        self._task = ray.remote(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=0)(_task)
        self._running: dict[Any, int] = {}
        self._known: list[Running] = []
        self._head = Head(_head_address())

    def head_answers(self) -> bool:
        """Whether the cluster's head does; until it does, nothing else must be asked.

        Raises:
            ClusterError: It has not for so long that it is taken for gone.
        """
        if self._head.answers():
            return True
        if self._head.is_gone:
            self._running = {}
            _let_go()
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
        with _telling():
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

        with _telling(), suppress(GetTimeoutError, RayActorError):
            self._known = self._ray.get(self._board.look.remote(), timeout=_LOOK_SECONDS)
        return self._known

    def close(self, closed: bool) -> None:
        """Let no share begin, or let them; those that run go on."""
        with _telling():
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
        with _telling():
            return [node for node in self._ray.nodes() if node["Alive"]]

    def _fitting(self, node: dict[str, Any]) -> int:
        has = node["Resources"]
        fits = int(has.get("CPU", 0) // self._needs.cpus)
        return min(fits, int(has.get("GPU", 0) // self._needs.gpus)) if self._needs.gpus else fits


def _task(order: Order, model: bytes, board: Any) -> Outcome:  # noqa: ANN401
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


class Sayings:
    """The last lines that each process has said, by its address and number."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], deque[str]] = {}

    def __call__(self, data: dict[str, Any]) -> None:
        """Take lines, as Ray hands them on."""
        key = (str(data.get("ip")), str(data.get("pid")))
        lines = self._lines.pop(key, deque(maxlen=MOST_LINES))
        lines.extend(str(line) for line in data.get("lines", ()))
        self._lines[key] = lines
        if len(self._lines) > _MOST_PROCESSES:
            del self._lines[next(iter(self._lines))]

    def of(self, address: str, pid: int) -> Sequence[str]:
        """What a process has said."""
        return tuple(self._lines.get((address, str(pid)), ()))


@contextmanager
def connected(address: str, needs: Needs) -> Iterator[Sayings]:
    """Connect to a cluster, or make one of this machine for the length of the block.

    Yields:
        What the processes say, which is not shown otherwise.

    Raises:
        ClusterError: There is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    before = signal.getsignal(signal.SIGTERM)
    more: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    if address == "local":
        more["num_cpus"] = max(usable_cpus(), needs.cpus)
    sayings = Sayings()
    try:
        _listen(sayings)
        ray.init(address, logging_level=logging.CRITICAL, log_to_driver=True, **more)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ClusterError(
            f"cannot reach a Ray cluster by --address {address}: {first}; start one, or give"
            " --address local"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    try:
        yield sayings
    finally:
        if ray.is_initialized():
            begin(ray.shutdown).wait(_END_SECONDS)
        signal.signal(signal.SIGTERM, before)


def _head_address() -> str:
    """Where the head is; empty where Ray does not say, as by ``ray://``."""
    import ray

    context: Any = ray.get_runtime_context()
    return str(getattr(context, "gcs_address", ""))


def _let_go() -> None:
    """Leave a cluster without asking it: at its end, too, Ray would wait for the head."""
    with suppress(ImportError, AttributeError):
        from ray._private import worker

        atexit.unregister(worker.shutdown)
        worker.global_worker.set_mode(None)  # type: ignore[arg-type]


def _listen(sayings: Sayings) -> None:
    """Keep what Ray would print; it has no public switch for that."""
    with suppress(ImportError, AttributeError):
        from ray._private import worker
        from ray._private.ray_logging import global_worker_stdstream_dispatcher

        worker._worker_logs_enabled = False
        global_worker_stdstream_dispatcher.add_handler("scene_batch", sayings)


@contextmanager
def _telling() -> Iterator[None]:
    from ray import exceptions

    try:
        yield
    except (exceptions.RayError, ConnectionError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ClusterError(
            f"the cluster does not answer any more ({first}); what is done is kept, and the same"
            " command continues"
        ) from None
