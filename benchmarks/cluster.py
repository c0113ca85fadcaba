"""What sharing costs: machines side by side, many small shares, many GPUs.

    python benchmarks/cluster.py speed PHOTOS      one run, one node, two nodes, of one CPU each
    python benchmarks/cluster.py shares            a thousand shares of one photo each
    python benchmarks/cluster.py gpus              64 GPUs that are none, and 80 shares

The nodes are of ``ray.cluster_utils``, on this machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import described
from PIL import Image

_COMMAND = [sys.executable, "-c", "from scene_batch.cli import program; program()"]
_STORE = {"object_store_memory": 80 << 20}


@contextmanager
def cluster(*nodes: dict[str, int]) -> Iterator[str]:
    """A head without CPUs and some nodes; its address."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, **_STORE}
    found: Any = Cluster(initialize_head=True, head_node_args=head)
    for node in nodes:
        found.add_node(**node, **_STORE)
    try:
        yield str(found.address)
    finally:
        found.shutdown()


def record_of(*words: str) -> tuple[dict[str, Any], float]:
    """The record of a command's table, and the seconds that the command took."""
    begun = time.perf_counter()
    out = words[words.index("--out") + 1]
    subprocess.run([*_COMMAND, *words, "--quiet"], check=True)
    return json.loads(Path(f"{out}.run.json").read_text()), time.perf_counter() - begun


def speed(photos: str, folder: Path) -> None:
    """Photos/s once it runs: from the first photo of the first share to the last of all."""
    one = ("--threads", "1", "--workers", "1")
    run, _ = record_of("run", photos, "--out", f"{folder}/run.parquet", *one)
    print(f"run, one CPU: {run['photos_per_second']} photos/s", flush=True)
    for nodes in (1, 2):
        with cluster(*[{"num_cpus": 1}] * nodes) as address:
            out = f"{folder}/{nodes}.parquet"
            words = ("distribute", photos, "--out", out, "--cpus", "1", "--address", address)
            found, seconds = record_of(*words, "--shares", str(2 * nodes))
        of_shares = sum(s["photos"] for s in found["shares"])
        busy = sum(s["seconds"] for s in found["shares"])
        print(
            f"{nodes} nodes: {found['photos_per_second']} photos/s,"
            f" {of_shares / busy:.1f} in a share's own seconds; the command took {seconds:.0f} s",
            flush=True,
        )


def _tiny(folder: Path, count: int) -> str:
    for number in range(count):
        Image.new("RGB", (8, 8), (number % 256, 9, 9)).save(folder / f"{number:05}.png")
    return str(folder)


def shares(folder: Path) -> None:
    """Seconds that a share costs beside its photos."""
    photos = folder / "photos"
    photos.mkdir()
    with cluster({"num_cpus": 1}) as address:
        took = {}
        for count in (10, 1000):
            found, seconds = record_of(
                *("distribute", _tiny(photos, 1000), "--out", f"{folder}/{count}.parquet"),
                *("--cpus", "1", "--address", address, "--shares", str(count)),
            )
            took[count] = seconds
            print(f"{len(found['shares'])} shares of 1,000 photos: {seconds:.1f} s", flush=True)
    print(f"a share: {(took[1000] - took[10]) / 990 * 1000:.0f} ms")


def gpus(folder: Path) -> None:
    """How many tasks run at a time where there are 64 GPUs."""
    import ray

    from scene_batch.model.model_file import EMBEDDED, sha256
    from scene_batch.outputs.shared import SharedOutput, output_of_share
    from scene_batch.pipeline.job import Job
    from scene_batch.sources.span import Span
    from scene_batch_cluster.connection import connected
    from scene_batch_cluster.machines import Machines, Needs
    from scene_batch_cluster.share import Order

    photos = folder / "photos"
    photos.mkdir()
    names = sorted(Path(_tiny(photos, 80)).iterdir())
    keys = [None, *((0, 0, str(name).encode()) for name in names[:-1]), None]
    out, needs = f"{folder}/p.parquet", Needs(1, 1)
    with (
        cluster({"num_cpus": 64, "num_gpus": 64}) as address,
        SharedOutput(out, {}) as output,
        connected(address, 1),
    ):
        machines = Machines(needs, EMBEDDED.read_bytes())
        output.begin([{}] * 80)
        print(f"slots: {machines.slots}", flush=True)
        digest = sha256(EMBEDDED)
        for share in range(80):
            span = Span(keys[share], keys[share + 1])
            job = Job((str(photos),), output_of_share(out, share), span=span, keeps_parts=True)
            machines.submit(Order(share, 1, job, out, output.run, 1, digest), set())
        most, kinds = 0, []
        while len(machines):
            most = max(most, len(machines.look()))
            kinds += [outcome.kind for _, outcome in machines.ended(0.2)]
        print(f"done: {kinds.count('done')} of {len(kinds)}; most at a time: {most}")
        del ray


if __name__ == "__main__":
    print(described())
    with tempfile.TemporaryDirectory() as name:
        if sys.argv[1] == "speed":
            speed(sys.argv[2], Path(name))
        else:
            {"shares": shares, "gpus": gpus}[sys.argv[1]](Path(name))
