"""What each rival does around its tool: arguments, photos, pixels, the CSV and the report.

Plain code with Pillow, as a user of these tools writes it: a photo is decoded in full, whatever the
model file allows, and its EXIF is not looked at. For photos without EXIF the pixels equal the
runner's.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


class Card(NamedTuple):
    """What a rival needs to know of a model file."""

    height: int
    width: int
    classes: list[str]

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Card:
        """Read it from an ONNX file's metadata."""
        preprocess = json.loads(metadata["scene_batch.preprocess"])
        if (preprocess["filter"], preprocess["fit"]) != ("bilinear", "crop"):
            raise SystemExit("the rivals only know models of filter bilinear and fit crop")
        classes = json.loads(metadata["scene_batch.classes"])
        return cls(preprocess["height"], preprocess["width"], classes)

    @classmethod
    def from_file(cls, model: Path) -> Card:
        """Read it from an ONNX file, for a tool that does not open ONNX files."""
        import onnx

        return cls.of({entry.key: entry.value for entry in onnx.load(model).metadata_props})


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The arguments that all rivals take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, help="stop after so many photos")
    return parser


def pixels_of(path: str, card: Card) -> Pixels:
    """Decode a photo and resize the largest centred part of the model's shape."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    scale = min(rgb.width / card.width, rgb.height / card.height)
    width, height = scale * card.width, scale * card.height
    left, upper = (rgb.width - width) / 2, (rgb.height - height) / 2
    box = (left, upper, left + width, upper + height)
    return np.asarray(rgb.resize((card.width, card.height), Image.Resampling.BILINEAR, box=box))


class Run:
    """One run of a rival; its clock starts when it is made."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.out: Path = options.out
        self._begun = self._ready = time.perf_counter()
        self.photos = sorted(map(str, options.photos.rglob("*.jpg")))[: options.limit]

    def ready(self) -> None:
        """Say that the model is ready and the first photo comes now."""
        self._ready = time.perf_counter()

    def finish(self, rows: npt.NDArray[np.float32], classes: list[str], version: str) -> None:
        """Write the CSV and print the report."""
        best = rows.argmax(axis=1)
        with self.out.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "class", "probability"])
            for path, row, number in zip(self.photos, rows, best, strict=True):
                table.writerow([path, classes[number], float(row[number])])
        ended = time.perf_counter()
        report = {
            "photos": len(self.photos),
            "seconds": round(ended - self._begun, 3),
            "seconds_when_ready": round(ended - self._ready, 3),
            "version": version,
        }
        print(json.dumps(report))
