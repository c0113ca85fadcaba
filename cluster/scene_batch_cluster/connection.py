"""The connection to a Ray cluster: made and ended, its noise kept, its errors named."""

from __future__ import annotations

import atexit
import logging
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from scene_batch.errors import SceneBatchError
from scene_batch.processors import usable_cpus
from scene_batch.threads import begin

MOST_LINES = 30
"""Lines that are kept of what a process says, to be shown if it dies."""
_MOST_PROCESSES = 1000
_END_SECONDS = 20.0


class ClusterError(SceneBatchError):
    """The cluster cannot be reached, or does not answer any more."""


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
def connected(address: str, cpus: int) -> Iterator[Sayings]:
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
        more["num_cpus"] = max(usable_cpus(), cpus)
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


def head_address() -> str:
    """Where the head is; empty where Ray does not say, as by ``ray://``."""
    import ray

    context: Any = ray.get_runtime_context()
    return str(getattr(context, "gcs_address", ""))


def let_go() -> None:
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
def telling() -> Iterator[None]:
    """Turn an error of Ray's into a message of one line; raises ClusterError."""
    from ray import exceptions

    try:
        yield
    except (exceptions.RayError, ConnectionError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ClusterError(
            f"the cluster does not answer any more ({first}); what is done is kept, and the same"
            " command continues"
        ) from None
