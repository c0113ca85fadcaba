"""Measure what the project promises on this machine: ``python benchmarks/check_figures.py PHOTOS``.

PHOTOS holds one folder of labelled photos for each class of the embedded model.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

HELP = [sys.executable, "-c", "from scene_batch.cli import main; main(['--help'])"]
CLICK = [sys.executable, "-c", "import click"]
ROUNDS = 15


def table_of(photos: str, *options: str) -> list[dict[str, Any]]:
    """The rows of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "preds.parquet")
        code = "from scene_batch.cli import program; program()"
        words = [sys.executable, "-c", code, "run", photos, "--out", out, *options]
        subprocess.run(words, check=True)
        rows: list[dict[str, Any]] = pq.read_table(out).to_pylist()
        return rows


def accuracy(rows: list[dict[str, Any]]) -> str:
    """Accuracy by parent folder, with the 95 % interval (Wilson 1927)."""
    n, z = len(rows), 1.96
    p = sum(Path(row["path"]).parent.name == row["class"] for row in rows) / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return f"{p:.4f} ({middle - half:.4f} to {middle + half:.4f}) on {n} photos"


def furthest(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> str:
    """How far the rows of two runs are from each other."""
    same = [(r["path"], r["class"]) for r in rows] == [(r["path"], r["class"]) for r in others]
    difference = max(
        abs(r["probability"] - o["probability"]) for r, o in zip(rows, others, strict=True)
    )
    return (
        f"{'the same classes' if same else 'OTHER CLASSES'}, probabilities within {difference:.1e}"
    )


def start_up() -> str:
    """``--help`` against a bare ``import click``, in turn."""
    times: dict[str, list[float]] = {"help": [], "click": []}
    for _ in range(ROUNDS):
        for name, words in (("help", HELP), ("click", CLICK)):
            begun = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - begun)
    ours, bare = (statistics.median(times[name]) for name in ("help", "click"))
    return (
        f"--help {ours * 1000:.0f} ms, import click {bare * 1000:.0f} ms, ratio {ours / bare:.2f}"
    )


def main() -> None:
    """Measure and print."""
    photos = sys.argv[1]
    print(f"start-up: {start_up()}")
    rows = table_of(photos, "--overwrite")
    paths = [row["path"].encode() for row in rows]
    print(f"rows: {len(rows)}, {'sorted' if paths == sorted(paths) else 'NOT SORTED'}")
    print(f"accuracy: {accuracy(rows)}")
    for batch_size in (1, 3, 8):
        for workers in (1, 4):
            options = ["--batch-size", str(batch_size), "--workers", str(workers)]
            others = table_of(photos, "--quiet", "--limit", "300", *options)
            print(f"batch {batch_size}, workers {workers}: {furthest(rows[:300], others)}")


if __name__ == "__main__":
    main()
