"""Memory and continuing as the work grows: ``python benchmarks/memory_and_scale.py [FOLDER]``.

Makes 10,000 and 1,000,000 photos (hard links to 100 files, in folders of 1,000; and one flat folder
of a million), runs a one-layer model over them, and prints peak memory, rate, and how soon a
half-done run of a million classifies again. It works in FOLDER or a temporary one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "runner")]

from support import save_colour_model, save_shade  # noqa: E402 - it lives with the tests

FILES = 100
FOLDER_SIZE = 1000
SMALL, LARGE = 10_000, 1_000_000


def make(folder: Path, count: int, files: list[Path], *, flat: bool) -> Path:
    """Fill a folder with links to a few files (ext4 allows 65,000 to each)."""
    for number in range(count):
        place = folder if flat else folder / f"{number // FOLDER_SIZE:04}"
        if number % FOLDER_SIZE == 0:
            place.mkdir(parents=True, exist_ok=True)
        os.link(files[number % FILES], place / f"photo-{number:07}.png")
    return folder


def command(photos: Path, out: Path, model: Path, *options: str) -> list[str]:
    """The words of one run."""
    code = "from scene_batch.cli import program; program()"
    words = ["run", str(photos), "--out", str(out), "--model", str(model), "--overwrite", *options]
    return [sys.executable, "-c", code, *words]


def measured(words: list[str]) -> tuple[float, float]:
    """Peak memory in MB and seconds of a whole process."""
    begun = time.perf_counter()
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {' '.join(words)}")
    return usage.ru_maxrss / 1024, time.perf_counter() - begun


FIRST_ROWS = """
import sys, time
begun = time.perf_counter()
from scene_batch.pipeline import run as pipeline
from scene_batch.model.predictor import Predictor

def watch(tally):
    print(tally.rows, time.perf_counter() - begun)
    raise KeyboardInterrupt

photos, out, model = sys.argv[1:]
try:
    job = pipeline.Job((photos,), out, overwrite=True)
    pipeline.run(job, Predictor.open(model), watch)
except KeyboardInterrupt:
    pass
"""


def half_done(words: list[str], seconds: float) -> str:
    """Kill a run in the middle; how soon it classifies again when it is continued."""
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    photos, out, model = words[4], words[6], words[8]
    again = [sys.executable, "-c", FIRST_ROWS, photos, out, model]
    done = subprocess.run(again, check=True, capture_output=True, text=True)
    rows, waited = done.stdout.split()
    return f"continued at row {rows}: the first batch {float(waited):.2f} s after the start"


def main() -> None:
    """Measure and print."""
    place = sys.argv[1] if len(sys.argv) > 1 else None
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        model = save_colour_model(folder / "m.onnx")
        files = [save_shade(folder / "files" / f"{number}.png", number) for number in range(FILES)]
        peaks = {}
        for name, count, flat in (
            ("10 k in folders", SMALL, False),
            ("1 M in folders", LARGE, False),
            ("10 k flat", SMALL, True),
            ("1 M flat", LARGE, True),
        ):
            photos = make(folder / name.replace(" ", "-"), count, files, flat=flat)
            words = command(photos, folder / "p.parquet", model)
            peaks[name], seconds = measured(words)
            print(f"{name}: peak {peaks[name]:.0f} MB, {count / seconds:.0f} photos/s", flush=True)
            if name == "1 M in folders":
                print(f"  {half_done(words, seconds / 2)}")
                peak, _ = measured(words)
                print(f"  and to the end: peak {peak:.0f} MB", flush=True)
            shutil.rmtree(photos)
        print(
            f"in folders: {peaks['1 M in folders'] / peaks['10 k in folders']:.2f} times the memory"
        )
        more = (peaks["1 M flat"] - peaks["10 k flat"]) * 2**20 / (LARGE - SMALL)
        print(f"flat: {more:.0f} bytes more for each name")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
