"""The largest photos in a small container: ``python benchmarks/decode_memory.py [FOLDER]``.

Makes 300 ordinary photos and one of each kind near the limit of pixels, each in a process of its
own, then classifies them all in a memory cgroup of 1 GiB, and prints each large one's row and the
peak. After that it compares, for each kind at 36 megapixels, what a photo was said to need with
what it took. Needs root and cgroup v1; files that are in FOLDER already are kept (a HEIC, which
nothing here makes, can be put into FOLDER/photos/large).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "runner")]

import large_photos  # noqa: E402 - it lives with the tests
from scene_batch.model.decode import MAX_PIXELS  # noqa: E402

LIMIT = 1 << 30
LARGEST = int(MAX_PIXELS**0.5)
ORDINARY, SIDE = 300, 6000
KINDS = {
    "png 16 bit": "png",
    "png rgba": "png",
    "png gray alpha": "png",
    "png rgb": "png",
    "gif": "gif",
    "bmp": "bmp",
    "jpeg": "jpg",
    "jpeg progressive gray": "jpg",
    "jpeg progressive": "jpg",
    "tiff tiles": "tif",
    "tiff float strips": "tif",
    "tiff float": "tif",
    "webp": "webp",
    "avif": "avif",
}


def make(photos: Path) -> None:
    """Fill a folder, one large photo at a time."""
    scenes = sorted((ROOT / "samples" / "scenes").rglob("*.jpg"))
    (photos / "ordinary").mkdir(parents=True, exist_ok=True)
    (photos / "large").mkdir(exist_ok=True)
    for number in range(ORDINARY):
        photo = photos / "ordinary" / f"{number:03}.jpg"
        photo.write_bytes(scenes[number % len(scenes)].read_bytes())
    for kind, suffix in KINDS.items():
        photo = photos / "large" / f"{kind.replace(' ', '-')}.{suffix}"
        if not photo.exists():
            begun = time.perf_counter()
            subprocess.run([sys.executable, __file__, "--make", kind, photo], check=True)
            print(f"made {photo.name}: {time.perf_counter() - begun:.0f} s", flush=True)


def in_a_small_container(words: list[str]) -> tuple[int, int]:
    """Run a process that may have ``LIMIT`` bytes: its exit code, and its peak in bytes."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line.split(":", 2)[2] for line in lines if line.split(":")[1] == "memory")
    group = Path("/sys/fs/cgroup/memory", own.strip("/"), f"scene-batch-{os.getpid()}")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(LIMIT))
        shell = ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(group), *words]
        done = subprocess.run(shell, check=False)
        # Of the whole group, with what the system keeps of files, and of memory alone.
        return done.returncode, int((group / "memory.max_usage_in_bytes").read_text())
    finally:
        group.rmdir()


def classify(folder: Path) -> None:
    """Classify the folder's photos at the first attempt, and print what came of it."""
    import pyarrow.parquet as pq

    out = folder / "photos.parquet"
    code = "import resource, sys; sys.argv[0] = 'scene-batch'\n"
    code += "from scene_batch.cli import main\n"
    code += "try: main(standalone_mode=True)\n"
    code += "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000)"
    words = ["run", str(folder / "photos"), "--out", str(out), "--overwrite", "--restart"]
    os.environ["PYTHONPATH"] = str(ROOT / "runner")
    begun = time.perf_counter()
    exit_code, peak = in_a_small_container([sys.executable, "-c", code, *words])
    print(f"exit code {exit_code}, {time.perf_counter() - begun:.0f} s")
    print(f"the container's peak, files that the system keeps included: {peak // 10**6} MB")
    if exit_code not in (0, 3):
        raise SystemExit("the run did not end")
    table = pq.read_table(out).to_pylist()
    record = json.loads(Path(f"{out}.run.json").read_text())
    print(
        f"{len(table)} rows, attempts {record['attempts']}, {record['unreadable']},"
        f" decode_memory_bytes {record['settings']['decode_memory_bytes']}"
    )
    for row in table:
        if "/large/" in row["path"]:
            print(f"  {Path(row['path']).name}: {row['error'] or row['class']}")


def compare() -> None:
    """Print what each kind was said to need, and what it took."""
    from PIL import AvifImagePlugin  # noqa: F401 - loaded before, not while it is measured

    large_photos.decoded(large_photos.KINDS["png gray alpha"](1100))
    print(f"\n| kind, {SIDE}x{SIDE} | need, MB | peak, MB | peak beyond, MB |")
    print("| --- | --- | --- | --- |")
    for kind, made in large_photos.KINDS.items():
        _, need, peak = large_photos.measured(lambda made=made: made(SIDE))  # type: ignore[misc]
        figures = (round(value / 1e6) for value in (need, peak, peak - need))
        print(f"| {kind} | {' | '.join(map(str, figures))} |")


def main(arguments: list[str]) -> None:
    """Make, classify, compare."""
    if arguments[:1] == ["--make"]:
        Path(arguments[2]).write_bytes(large_photos.KINDS[arguments[1]](LARGEST))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments[0] if arguments else temporary)
        make(folder / "photos")
        classify(folder)
    compare()


if __name__ == "__main__":
    main(sys.argv[1:])
