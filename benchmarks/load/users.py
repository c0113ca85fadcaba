"""The load table, by Locust: ``python benchmarks/load/users.py PHOTOS``.

100 users and 10 requests/s, then 500 and 50, against each server in turn. Locust takes about a
tenth of a core here at 50 requests/s.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from servers import HERE, NAMES, URL, serving

sys.path.insert(0, str(HERE.parent))
from machine import described

STEPS = ((100, 10), (500, 50))
BEGINNING = 40
"""Seconds in which the users come. Locust lets those of a second begin, and ask, at one moment: in
ten seconds, that would be bursts of 50 photos, and the answers to the last one are counted."""


def measure(photos: Path, users: int, seconds: int) -> dict[str, str]:
    """Locust's figures for so many users."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SCENE_BATCH_LOAD_PHOTOS": str(photos)}
        words = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--host", URL]
        words += ["-f", str(HERE / "locustfile.py"), "-u", str(users), "-r", str(users / BEGINNING)]
        words += ["-t", f"{seconds + BEGINNING}s", "--reset-stats", "--csv", f"{folder}/x"]
        subprocess.run(words, env=environment, check=False, capture_output=True)
        with Path(folder, "x_stats.csv").open(encoding="utf-8") as file:
            return next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seconds", type=int, default=60, help="of each step")
    parser.add_argument("--only", default=",".join(NAMES))
    options = parser.parse_args()
    print(described(), end="\n\n")
    print("| server | users | asked/s | answered/s | failed | mean ms | median ms | 95 % ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.only.split(","):
        for users, rate in STEPS:
            with serving(name):
                row = measure(options.photos, users, options.seconds)
            count, failed = int(row["Request Count"]), int(row["Failure Count"])
            share = f"{100 * failed / max(count, 1):.1f} %"
            figures = [f"{float(row['Requests/s']):.1f}", share]
            figures += [f"{float(row['Average Response Time']):.0f}", row["50%"], row["95%"]]
            print(f"| {NAMES[name]} | {users} | {rate} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
