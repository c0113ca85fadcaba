"""Pixels by a description of a pipeline, as hashes that can be held against an original's."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from scene_batch.model.preprocess import Filter
from scene_batch.records import Pixels
from scene_batch_export.adopted import image_processor, pretrained_cfg
from scene_batch_export.adopted.pipeline import Pipeline, with_values
from scene_batch_export.adopted.presets import PRESETS

EXPECTED = Path(__file__).parent / "export" / "expected_pixels.json"
SHORT = 12
"""Hexadecimal digits of a hash that is one among many."""


def pipeline_from(description: Mapping[str, Any]) -> Pipeline:
    """The pipeline of a preset (and what is said beside it), or of a file of another library."""
    if "pretrained_cfg" in description:
        return pretrained_cfg.pipeline_of(description)
    if "image_processor" in description:
        return image_processor.pipeline_of(description["image_processor"])
    width, height = description["size"]
    preset = PRESETS[description["preset"]]((width, height))
    return with_values(preset, description.get("values", {}))


def pixels_of(pipeline: Pipeline, photo: bytes) -> Pixels:
    """What the network sees of a photo's file."""
    with Image.open(io.BytesIO(photo)) as image:
        return pipeline.preprocess.apply(image)


def digest(pixels: Pixels) -> str:
    """Sha256 of the pixels and of their shape."""
    shape = "x".join(map(str, pixels.shape))
    return hashlib.sha256(shape.encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def digest_of_all(digests: list[str]) -> str:
    """One hash of those of all photos."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def pillows_own(photos: Mapping[str, bytes]) -> str:
    """A hash of what this Pillow, and nothing else, makes of the photos by each filter we know.

    Where it differs from the one that was noted, hashes of pixels say nothing.
    """
    digests = []
    for photo in photos.values():
        with Image.open(io.BytesIO(photo)) as image:
            rgb = image.convert("RGB").crop((0, 0, 160, 120))
        # By name: newer versions know more.
        methods = [Image.Resampling[name.upper()] for name in get_args(Filter)]
        # The second size is where Pillow 13 resizes vertically first, and older ones do not.
        for size in ((67, 51), (150, 40)):
            digests += [digest(np.asarray(rgb.resize(size, method))) for method in methods]
    return digest_of_all(digests)
