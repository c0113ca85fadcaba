"""Make photos for the benchmarks: ``python benchmarks/photos.py SOURCE OUT COUNT``.

Writes COUNT 12-megapixel JPEGs made from the small ones under SOURCE, and keeps their class
folders. What is enlarged alone would be smooth and decode faster than a camera's photo, so grain of
two sizes is laid on it.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH, HEIGHT = 4000, 3000
QUALITY = 88
COARSE = 4
"""Pixels to a grain of the larger size."""
SMALL = 150


def make_large(source: Path, out: Path, count: int) -> None:
    """Write large photos made from evenly spaced ones of the small."""
    photos = sorted(source.rglob("*.jpg"))
    if not photos:
        raise SystemExit(f"no .jpg under {source}")
    for number in range(count):
        photo = photos[number * len(photos) // count]
        place = out / photo.parent.name
        place.mkdir(parents=True, exist_ok=True)
        # The rest of a division in the name: where COUNT is above what there is, none is lost.
        round_ = number // len(photos)
        name = f"{photo.stem}-{round_}.jpg" if round_ else photo.name
        with (place / name).open("wb") as file:
            enlarged_jpeg(photo, number, file)


def enlarged_jpeg(photo: Path, number: int, file: IO[bytes]) -> None:
    """Write a small photo as a large one, with its own grain for each number."""
    # The same grain at another height: making it anew takes longer than all the rest.
    large = _enlarged(photo) + np.roll(_grain(), number * 37 % HEIGHT, axis=0)
    pixels = np.clip(large, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)


def save_noise(path: Path, number: int) -> Path:
    """Save a small photo of smooth noise, another one for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(number)
    blobs = Image.fromarray(random.integers(0, 256, (10, 10, 3), dtype=np.uint8))
    smooth = np.asarray(blobs.resize((SMALL, SMALL), Image.Resampling.BICUBIC)).astype(np.int16)
    noise = random.integers(-12, 13, smooth.shape, dtype=np.int16)
    photo = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    Image.fromarray(photo).save(path, "JPEG", quality=QUALITY)
    return path


def _enlarged(photo: Path) -> npt.NDArray[np.int16]:
    with Image.open(photo) as image:
        square = image.convert("RGB").resize((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    upper = (WIDTH - HEIGHT) // 2
    return np.asarray(square.crop((0, upper, WIDTH, upper + HEIGHT)), np.int16)


@cache
def _grain() -> npt.NDArray[np.int16]:
    random = np.random.default_rng(0)
    fine = random.normal(0, 10, (HEIGHT, WIDTH)).astype(np.float32)
    small = random.normal(0, 8, (HEIGHT // COARSE, WIDTH // COARSE)).astype(np.float32)
    coarse = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray((fine + np.asarray(coarse))[..., None], np.int16)


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description="Make 12-megapixel JPEGs out of small ones.")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    make_large(options.source, options.out, options.count)


if __name__ == "__main__":
    main()
