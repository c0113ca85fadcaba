"""What scaled decoding does to classes: ``python benchmarks/scaled_decoding.py PHOTOS [N]``.

Makes a 12-megapixel JPEG of every Nth photo (``photos.py``) and classifies it by the embedded
model, decoded in full and as the model file says. Prints the share of equal classes, both
accuracies (the folders are the classes) and the differences of probabilities.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from machine import described
from photos import enlarged_jpeg

sys.path[:0] = [str(Path(__file__).parents[1] / "runner")]

from scene_batch.model.compute_options import ComputeOptions  # noqa: E402
from scene_batch.model.decode import decode  # noqa: E402
from scene_batch.model.predictor import Predictor  # noqa: E402 - where the repository is
from scene_batch.records import Decoded, ImageRef, Pixels  # noqa: E402


def both(photo: Path, number: int) -> tuple[Pixels, Pixels]:
    """The pixels of a large photo, decoded in full and at a fraction."""
    file = io.BytesIO()
    enlarged_jpeg(photo, number, file)
    said = _classifier().card.preprocess
    ways = (replace(said, decoding="full"), replace(said, decoding="scaled"))
    full, scaled = (decode(ImageRef(str(photo)), file.getvalue(), way) for way in ways)
    if not (isinstance(full, Decoded) and isinstance(scaled, Decoded)):
        raise SystemExit(f"{photo}: {full}, {scaled}")
    return full.pixels, scaled.pixels


@cache
def _classifier() -> Predictor:
    return Predictor.open(options=ComputeOptions("cpu", threads=1))


def _every(photos: list[Path]) -> Iterator[tuple[Pixels, Pixels]]:
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(both, photos, range(len(photos)))


def main() -> None:
    """Compare and print."""
    step = int(sys.argv[2]) if len(sys.argv) > 2 else 1  # noqa: PLR2004
    photos = sorted(Path(sys.argv[1]).rglob("*.jpg"))[::step]
    predictor = _classifier()
    full, scaled = zip(*_every(photos), strict=True)
    with_full, with_scaled = (predictor.session.probabilities(some) for some in (full, scaled))
    names = predictor.card.classes
    labels = np.array([names.index(photo.parent.name) for photo in photos])
    pixels = np.abs(np.stack(full).astype(np.int16) - np.stack(scaled)).mean()
    equal = with_full.argmax(1) == with_scaled.argmax(1)
    difference = np.abs(with_full - with_scaled)
    print(
        f"{described()}\n\n"
        f"{len(photos)} photos: the same class for {equal.sum()} ({equal.mean():.4f}); accuracy"
        f" {(with_full.argmax(1) == labels).mean():.4f} in full,"
        f" {(with_scaled.argmax(1) == labels).mean():.4f} scaled; pixels differ by"
        f" {pixels:.2f} of 255, probabilities by {difference.mean():.4f} (at most"
        f" {difference.max():.2f})"
    )


if __name__ == "__main__":
    main()
