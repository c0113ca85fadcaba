"""Photos in a bucket against the same on disk: ``python benchmarks/object_store.py PHOTOS``.

Serves PHOTOS from a real S3 server on loopback behind a front that makes faults, and prints: that
the rows are those of the disk with 8 % of the requests refused and 3 % of the bodies cut; that
three shards merged are the whole; that runs from bucket to bucket that are killed end in one table;
and the throughput with 20 ms more for each photo, run and servers on a core each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "runner")]

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from scene_batch.object_store.stores import Stores  # noqa: E402

ROUNDS = 3
PREFIX = "test"
COLUMNS = ["class", "probability", "top_k", "status", "error", "size_bytes"]
CODE = "from scene_batch.cli import program; program()"
SERVE = """
import logging, os, sys, threading
os.sched_setaffinity(0, {int(sys.argv[3])})
sys.path.insert(0, sys.argv[1])
logging.getLogger("werkzeug").setLevel(logging.ERROR)
import boto3
from moto.server import ThreadedMotoServer
from buckets import Bucket
from front import CUT, Fault, Front, slow_down
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://%s:%s" % server.get_host_and_port()
client = boto3.client("s3", endpoint_url=url)
client.create_bucket(Bucket="bench")
with Front(url) as front:
    bucket = Bucket("bench", front, client)
    from pathlib import Path
    bucket.fill(Path(sys.argv[2]), "test/")
    busy = slow_down()

    def bad(request):
        if not request.is_photo:
            return busy if request.total % 12 == 5 else None
        return busy if request.total % 100 < 8 else CUT if request.total % 100 < 11 else None

    modes = {
        "good": lambda request: None,
        "bad": bad,
        "slow": lambda request: Fault(delay=0.02) if request.is_photo else None,
    }
    print(front.url, flush=True)
    for line in sys.stdin:
        front.decide = modes[line.strip()]
        count = len(front.photos)
        front.requests.clear()
        print(count, flush=True)
"""


class Servers:
    """The S3 server and its front, in a process of their own."""

    def __init__(self, photos: Path, core: int) -> None:
        words = [sys.executable, "-c", SERVE, str(ROOT / "tests"), str(photos), str(core)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.url = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def become(self, mode: str) -> int:
        """Change what the front does; the number of photos asked for since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mode}\n")
        return int(self._line())

    def stop(self) -> None:
        """End them."""
        self._process.kill()


def words(source: str, out: str, *more: str) -> list[str]:
    """The words of one run."""
    return [sys.executable, "-c", CODE, "run", source, "--out", out, "--quiet", *more]


def run(source: str, out: str, *more: str, core: int | None = None) -> float:
    """Run in a process of its own, on one core where that is given; its seconds."""
    command = words(source, out, *more)
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begun


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables have the same rows, but for where the photos lie and when they came."""
    ends = [[path.rpartition("/")[2] for path in t["path"].to_pylist()] for t in (one, other)]
    return ends[0] == ends[1] and one.select(COLUMNS).equals(other.select(COLUMNS))


def record(out: Path) -> dict[str, object]:
    """A run's record."""
    return dict(json.loads(Path(f"{out}.run.json").read_text()))


SOURCE = f"s3://bench/{PREFIX}"


def faults(servers: Servers, folder: Path, whole: pa.Table) -> None:
    """Rows and retries behind a bad line."""
    servers.become("bad")
    out = folder / "bad.parquet"
    run(SOURCE, str(out))
    asked = servers.become("good")
    found = record(out)
    rows = "the same rows as" if same(pq.read_table(out), whole) else "OTHER ROWS THAN"
    print(
        f"8 % refused, 3 % cut: {rows} from disk; {found['unreadable']} unreadable;"
        f" {found['retries']} retries recorded, {asked - len(whole)} requests repeated",
        flush=True,
    )


def shards(folder: Path, whole: pa.Table) -> None:
    """Three shards against the whole, and what is refused."""
    names = [str(folder / f"shard{index}.parquet") for index in range(3)]
    for index, name in enumerate(names):
        run(SOURCE, name, "--shard", f"{index}/3")
    merge = [sys.executable, "-c", CODE, "merge", "--quiet"]
    merged = folder / "merged.parquet"
    subprocess.run([*merge, *names, "--out", str(merged)], check=True)
    print(f"three shards merged equal the whole: {pq.read_table(merged).equals(whole)}")
    for some in (names[:2], [*names, names[0]]):
        command = [*merge, *some, "--out", str(folder / "no.parquet")]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE)
        print(f"  exit code {done.returncode}: {done.stderr.decode().strip()}", flush=True)


def kills(folder: Path, whole: pa.Table) -> None:
    """A run from bucket to bucket, killed three times."""
    target, count = "s3://bench/out.parquet", 0
    for seconds in (2.5, 3.5, 3.0):
        cwd = Path(tempfile.mkdtemp(dir=folder))
        with subprocess.Popen(words(SOURCE, target), cwd=cwd) as process:
            time.sleep(seconds)
            count += process.poll() is None
            process.send_signal(signal.SIGKILL)
    subprocess.run(words(SOURCE, target, "--overwrite"), check=True, cwd=folder)
    store, key = Stores().find(target)
    table = pq.read_table(pa.BufferReader(bytes(store.get(key).bytes())))
    print(f"{count} SIGKILLs from bucket to bucket, the same table: {table.equals(whole)}")


def latency(servers: Servers, folder: Path, photos: Path, core: int) -> None:
    """20 ms more for each photo, against the disk."""
    servers.become("slow")
    rates: dict[str, list[float]] = {"local": [], "slow": []}
    for _ in range(ROUNDS):
        for name, where in (("local", str(photos)), ("slow", SOURCE)):
            out = folder / f"{name}.parquet"
            more = ("--threads", "1", "--workers", "1", "--overwrite")
            run(where, str(out), *more, core=core)
            rates[name].append(float(str(record(out)["photos_per_second"])))
    local, slow = (statistics.median(rates[name]) for name in ("local", "slow"))
    print(
        f"20 ms more for each photo, one core: {slow:.0f} photos/s against {local:.0f} from"
        f" disk: {slow / local:.2f} (rounds: {rates['slow']}, {rates['local']})"
    )


def main() -> None:
    """Measure and print."""
    photos = Path(sys.argv[1]).resolve()
    folder = Path(tempfile.mkdtemp())
    cores = sorted(os.sched_getaffinity(0))
    os.environ.update(
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench-secret",
        AWS_REGION="us-east-1",
        PYTHONPATH=str(ROOT / "runner"),
    )
    servers = Servers(photos, cores[-1])
    os.environ["AWS_ENDPOINT_URL"] = servers.url
    try:
        run(str(photos), str(folder / "disk.parquet"))
        faults(servers, folder, pq.read_table(folder / "disk.parquet"))
        run(SOURCE, str(folder / "whole.parquet"))
        whole = pq.read_table(folder / "whole.parquet")
        shards(folder, whole)
        kills(folder, whole)
        latency(servers, folder, photos, cores[0])
    finally:
        servers.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
