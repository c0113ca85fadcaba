"""The page of a large table: ``python benchmarks/report_page.py [ROWS ...]``.

Makes tables of so many rows (100,000 and 1,000,000) of six classes, a twentieth wrong, whose paths
lead to 1,200 photos of 640x480, and their pages; prints how large a page is, how long it takes and
what memory, how soon Chromium shows it, and how regularly it draws while it scrolls: from the first
photo to the last, and by leaps. Needs Debian's Chromium.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), *(str(ROOT / room) for room in ("runner", "report"))]

from machine import described  # noqa: E402

from browsers import chromium, opened  # noqa: E402 - they live with the tests
from made_up_tables import answer, save_table  # noqa: E402
from scene_batch.records import ImageRef, Row, Unreadable  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CLASSES = ("buildings", "forest", "glacier", "mountain", "sea", "street")
PHOTOS = 1_200
RIGHT, UNREADABLE_EACH = 0.95, 500
ROUNDS = 3
LATE = 34
"""Milliseconds: a frame that takes longer than two of 60 a second is seen as a stutter."""
COMMAND = "from scene_batch.cli import program; program()"

FRAMES = """(leap) => new Promise((resolve) => {
  const frames = [];
  let last = 0;
  const step = (now) => {
    if (last) frames.push(now - last);
    last = now;
    const end = document.documentElement.scrollHeight - innerHeight;
    if (frames.length === 300) return resolve(frames);
    scrollTo(0, leap ? Math.random() * end : Math.min(end, scrollY + 120));
    requestAnimationFrame(step);
  };
  document.getElementById("photos").scrollIntoView();
  requestAnimationFrame(step);
})"""


def save_photos(folder: Path) -> None:
    """Photos of soft noise, such as a JPEG is made for."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(PHOTOS):
        small = random.integers(0, 256, (24, 32, 3), np.uint8)
        photo = Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC)
        photo.save(folder / f"{number:04}.jpg", quality=85)


def rows(photos: Path, count: int) -> Iterator[Row]:
    """Rows with long paths: all but the last part is the class and the day."""
    random = np.random.default_rng(1)
    for number in range(count):
        truth = number % len(CLASSES)
        said = truth if random.random() < RIGHT else int(random.integers(len(CLASSES)))
        path = f"{photos}/{CLASSES[truth]}/day-{number // 1000:05}/{number % PHOTOS:04}.jpg"
        if number % UNREADABLE_EACH == 0:
            yield Unreadable(ImageRef(path, 1), "truncated", "image file is truncated")
            continue
        top = float(1 - random.random() ** 3 / 2)
        others = [name for at, name in enumerate(CLASSES) if at != said]
        yield answer(path, (CLASSES[said], top), *((name, (1 - top) / 5) for name in others))


def link(photos: Path, count: int) -> None:
    """Make the paths of the rows lead to photos."""
    for name in CLASSES:
        (photos / name).mkdir(exist_ok=True)
        for day in range(-(-count // 1000)):
            place = photos / name / f"day-{day:05}"
            if not place.is_symlink():
                place.symlink_to(photos)


def made(table: Path, page: Path, *options: str) -> tuple[float, float]:
    """Make a page; seconds and peak memory in MB of the whole process."""
    words = [sys.executable, "-c", COMMAND, "report", str(table), "--out", str(page), *options]
    begun = time.perf_counter()
    path = os.pathsep.join(str(ROOT / room) for room in ("runner", "report"))
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {' '.join(words)}")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def looked_at(browser: Browser, page: Path) -> str:
    """Seconds until the photos are drawn, and the frames while it scrolls."""
    seconds, texts = [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        with opened(browser, page, viewport={"width": 1280, "height": 800}) as found:
            found.wait_for_selector(".card")
            found.evaluate("new Promise((r) => requestAnimationFrame(() => setTimeout(r)))")
            seconds.append(time.perf_counter() - begun)
            if len(seconds) == ROUNDS:
                for leap in (False, True):
                    frames = sorted(found.evaluate(FRAMES, leap))
                    late = sum(frame > LATE for frame in frames) / len(frames)
                    middle, most = frames[len(frames) // 2], frames[int(len(frames) * 0.99)]
                    texts.append(f"{middle:.1f} / {most:.1f} ms, {late:.1%} over {LATE} ms")
    return f"{sorted(seconds)[1]:.2f} | {' | '.join(texts)}"


def main() -> None:
    """Make and look at the pages."""
    counts = [int(word.replace(",", "")) for word in sys.argv[1:]] or [100_000, 1_000_000]
    print(f"{described()}\n")
    print("| rows | truth | page, MB | made in, s | peak memory, MB | shown after, s |", end="")
    print(" frames scrolling, median / 99 % | frames leaping |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        photos = Path(scratch) / "photos"
        save_photos(photos)
        link(photos, max(counts))
        for count in counts:
            table = save_table(Path(scratch) / f"{count}.parquet", rows(photos, count), CLASSES)
            for truth in ("no", "yes"):
                page = Path(scratch) / f"{count}-{truth}.html"
                pattern = f"/(?P<class>{'|'.join(CLASSES)})/"
                options = ["--truth", pattern] if truth == "yes" else []
                seconds, memory = made(table, page, *options)
                size = page.stat().st_size / 1e6
                print(
                    f"| {count:,} | {truth} | {size:.1f} | {seconds:.1f} | {memory:.0f} |", end=""
                )
                print(f" {looked_at(browser, page)} |", flush=True)


if __name__ == "__main__":
    main()
