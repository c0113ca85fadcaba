"""A Ray cluster on this machine, whose nodes can be killed, and commands that use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support import command, process_environment, wait_for

_STORE_BYTES = 80 << 20
_QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 4,
}
"""So that the death of a node is seen within seconds."""


class SmallCluster:
    """A head without CPUs, and nodes of one."""

    def __init__(self, nodes: int) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": _QUICK}
        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args=head | {"object_store_memory": _STORE_BYTES}
        )
        self.nodes = [self.add() for _ in range(nodes)]

    def add(self, **resources: int) -> Any:
        """Add a node; from the main thread alone."""
        more = {"num_cpus": 1} | resources
        return self._cluster.add_node(object_store_memory=_STORE_BYTES, wait=False, **more)

    @property
    def address(self) -> str:
        """For ``--address``."""
        return str(self._cluster.address)

    def kill(self, node: Any) -> None:
        """SIGKILL to all of a node."""
        self._cluster.remove_node(node, allow_graceful=False)

    def raylet(self, node: Any) -> int:
        """The process that speaks for a node."""
        return int(node.all_processes["raylet"][0].process.pid)

    def kill_head(self) -> None:
        """SIGKILL to what holds the cluster together."""
        self._cluster.head_node.kill_gcs_server(check_alive=False)
        self._cluster.head_node.kill_raylet(check_alive=False)

    def shut(self) -> None:
        """End it."""
        with suppress(Exception):
            self._cluster.shutdown()


@contextmanager
def small_cluster(nodes: int = 2) -> Iterator[SmallCluster]:
    """One for the length of a block."""
    cluster = SmallCluster(nodes)
    try:
        yield cluster
    finally:
        cluster.shut()


def words(cluster: SmallCluster, *arguments: str | os.PathLike[str]) -> Sequence[str]:
    """The command, on a cluster; Ray's own warnings are no errors."""
    whole = command("distribute", *arguments, "--address", cluster.address, "--cpus", "1")
    return [word for word in whole if word not in ("-W", "error")] + ["--log-json"]


class Driver:
    """The command, running; to be entered."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments

    def __enter__(self) -> Driver:
        """Start it."""
        self.process = subprocess.Popen(
            self._arguments,
            env=process_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self, seconds: float = 150.0) -> tuple[int, list[dict[str, Any]]]:
        """Its exit code and its lines."""
        out, _ = self.process.communicate(timeout=seconds)
        lines = []
        for line in out.decode().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"text": line, "event": "noise"})
        return self.process.returncode, lines


def run_to_the_end(arguments: Sequence[str], seconds: float = 150.0) -> list[dict[str, Any]]:
    """Run the command, which must succeed and say nothing but its own lines."""
    with Driver(arguments) as driver:
        code, lines = driver.end(seconds)
    assert code == 0, texts(lines)
    assert [line for line in lines if line["event"] == "noise"] == []
    return lines


def texts(lines: list[dict[str, Any]]) -> str:
    """What lines say."""
    return "\n".join(str(line["text"]) for line in lines)


def tasks() -> list[int]:
    """The processes on this machine that are in a share."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and b"ray::task" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def kill_a_task() -> None:
    """SIGKILL to a process that is in a share, once there is one."""
    wait_for(tasks)
    os.kill(tasks()[0], signal.SIGKILL)
