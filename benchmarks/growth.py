"""What a photo costs as the work grows: ``python benchmarks/growth.py [PHOTOS] [--plot FILE.png]``.

Runs a one-layer model, so that what is left is the runner itself, over 1,000 to 1,000,000 photos of
150x150: hard links to 100 of PHOTOS, or to photos of noise. Prints photos/s and peak memory of the
whole process, start-up included, as a Markdown table, and plots both.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from machine import described
from memory_and_scale import FILES, command, make, measured  # it also finds tests/ and runner/
from photos import SMALL, save_noise

from scene_batch.model.preprocess import Preprocess
from support import save_colour_model

SIZES = (1_000, 10_000, 100_000, 1_000_000)


class Point(NamedTuple):
    """One run."""

    photos: int
    rate: float
    """Photos/s of the whole process."""
    peak: float
    """MB."""


def files_in(folder: Path, source: Path | None) -> list[Path]:
    """The files that all photos are links to; a file can only have 65,000 (ext4)."""
    folder.mkdir()
    names = [folder / f"{number}.jpg" for number in range(FILES)]
    if source is None:
        return [save_noise(path, number) for number, path in enumerate(names)]
    photos = sorted(source.rglob("*.jpg"))
    if not photos:
        raise SystemExit(f"no .jpg under {source}")
    return [
        shutil.copyfile(photos[number * len(photos) // FILES], path)
        for number, path in enumerate(names)
    ]


def measure(folder: Path, source: Path | None, sizes: list[int]) -> list[Point]:
    """One run for each size."""
    model = save_colour_model(folder / "m.onnx", preprocess=Preprocess(SMALL, SMALL))
    files = files_in(folder / "files", source)
    points = []
    for count in sizes:
        photos = make(folder / str(count), count, files, flat=False)
        peak, seconds = measured(command(photos, folder / "preds.parquet", model, "--quiet"))
        shutil.rmtree(photos)
        points.append(Point(count, count / seconds, peak))
        print(f"| {count:,} | {count / seconds:,.0f} | {peak:.0f} |", flush=True)
    return points


def plot(points: list[Point], path: Path) -> None:
    """Draw both over the number of photos."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    rate, memory = figure.subplots(1, 2)
    counts = [point.photos for point in points]
    for axes, values, title in (
        (rate, [point.rate for point in points], "photos/s, whole process"),
        (memory, [point.peak for point in points], "peak memory, MB"),
    ):
        axes.plot(counts, values, "o-")
        axes.set(title=title, xlabel="photos", xscale="log", ylim=(0, 1.1 * max(values)))
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print and plot."""
    parser = argparse.ArgumentParser(description="What a photo costs as the work grows.")
    parser.add_argument("source", type=Path, nargs="?", metavar="PHOTOS")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--place", type=Path, help="a folder for the links; else a temporary one")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    print(f"\n## Cost as the work grows\n\n{described()}\n")
    print("| photos | photos/s, whole process | peak memory, MB |\n| --- | --- | --- |")
    folder = Path(tempfile.mkdtemp(dir=options.place))
    try:
        points = measure(folder, options.source, options.sizes)
    finally:
        shutil.rmtree(folder)
    if options.plot:
        plot(points, options.plot)


if __name__ == "__main__":
    main()
