"""What the server takes, and what it does with more: ``python benchmarks/load/limits.py PHOTOS``.

In turn, so that noise hits both: a run's photos/s, and those of the server, 24 photos at a time.
Then three times of that for some time: what is answered, how fast, and the memory; and then again
what a calm server answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from open_loop import Client, Seen
from servers import HERE, PHOTO, URL, serving

sys.path.insert(0, str(HERE.parent))
from machine import described

_AT_A_TIME, _LEAST = 24, 20.0


def run_rate(photos: Path) -> float:
    """A run's photos/s from the moment its model is ready."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "p.parquet")
        words = [sys.executable, "-m", "scene_batch", "run", str(photos), "--out", str(out)]
        subprocess.run([*words, "--quiet"], check=True)
        return float(json.loads(Path(f"{out}.run.json").read_text())["photos_per_second"])


def megabytes(pid: int) -> float:
    """The memory of a process."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in x)
    return int(line.split()[1]) / 1000


def _said(seen: Seen) -> str:
    counts = ", ".join(f"{status}: {count}" for status, count in sorted(seen.statuses.items()))
    return f"{seen.rate:.1f}/s; median {seen.at(0.5):.0f} ms, 95 % {seen.at(0.95):.0f} ms; {counts}"


async def overload(pid: int, rate: float, seconds: float) -> None:
    """Ask for so much for some time, and print the memory at ten moments."""
    client = Client(URL, PHOTO)
    task = asyncio.create_task(client.at_rate(rate, seconds))
    memory = []
    for _ in range(10):
        await asyncio.sleep(seconds / 10)
        memory.append(f"{megabytes(pid):.0f}")
    print(f"at {rate:.0f}/s for {seconds:.0f} s: {_said(await task)}")
    print(f"memory in MB meanwhile: {' '.join(memory)}")


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--overload-seconds", type=float, default=600.0)
    options = parser.parse_args()
    print(described(), end="\n\n")
    rates, shares = [], []
    for _ in range(options.rounds):
        ours = run_rate(options.photos)
        with serving("ours", "--max-wait", "60s"):
            client = Client(URL, PHOTO)
            seen = asyncio.run(client.at_a_time(_AT_A_TIME, options.seconds))
        rates.append(seen.rate)
        shares.append(seen.rate / ours)
        print(f"a run {ours:.1f}/s; the server {_said(seen)}; share {shares[-1]:.2f}", flush=True)
    print(f"median share {statistics.median(shares):.2f}")
    rate = 3 * max(statistics.median(rates), _LEAST)
    with serving("ours") as pid:
        asyncio.run(overload(pid, rate, options.overload_seconds))
        time.sleep(1)
        seen = asyncio.run(Client(URL, PHOTO).at_rate(10, 5))
        print(f"afterwards, at 10/s: {_said(seen)}; {megabytes(pid):.0f} MB")


if __name__ == "__main__":
    main()
