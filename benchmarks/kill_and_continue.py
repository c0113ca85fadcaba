"""Ten SIGKILLs in one run: ``python benchmarks/kill_and_continue.py PHOTOS [FOLDER]``.

Compares the table with an undisturbed run's, and the time with that run's plus the starts. FOLDER
is where the tables go (a temporary one where it is not named).
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

KILLS = 10


def command(photos: str, out: Path, *options: str) -> list[str]:
    """The words of one run."""
    code = "from scene_batch.cli import program; program()"
    return [sys.executable, "-c", code, "run", photos, "--out", str(out), "--quiet", *options]


def timed(words: list[str]) -> float:
    """Seconds of a whole process that must succeed."""
    begun = time.perf_counter()
    subprocess.run(words, check=True)
    return time.perf_counter() - begun


def disturbed(words: list[str], seconds: float) -> tuple[float, int]:
    """Seconds until the table is there, with kills at random moments; and how many there were."""
    moments = random.Random(7)
    begun, kills = time.perf_counter(), 0
    while kills < KILLS:
        with subprocess.Popen(words) as process:
            try:
                if process.wait(moments.uniform(0.2, seconds / 4)) == 0:
                    return time.perf_counter() - begun, kills
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
    timed(words)
    return time.perf_counter() - begun, kills


def main() -> None:
    """Measure and print."""
    photos, *place = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=place[0] if place else None) as folder:
        start = timed(command(photos, Path(folder) / "start.parquet", "--limit", "1"))
        whole = timed(command(photos, Path(folder) / "whole.parquet"))
        words = command(photos, Path(folder) / "killed.parquet")
        seconds, kills = disturbed(words, whole)
        tables = [pq.read_table(Path(folder) / f"{name}.parquet") for name in ("whole", "killed")]
        same = tables[0].replace_schema_metadata() == tables[1].replace_schema_metadata()
        left = sorted(path.name for path in Path(folder).glob("killed*"))
    allowed = 1.6 * whole + kills * start
    print(f"undisturbed {whole:.1f} s, a start {start:.2f} s")
    print(f"{kills} kills: {seconds:.1f} s, allowed 1.6 x + {kills} starts = {allowed:.1f} s")
    print(f"{'the same table' if same else 'ANOTHER TABLE'}, left: {', '.join(left)}")


if __name__ == "__main__":
    main()
