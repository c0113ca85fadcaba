"""How often a model is right on other photos: dark, turned, blurred, without colour."""

from __future__ import annotations

import io
from collections.abc import Callable

import keras
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from scene_batch_train.batches import Batches
from scene_batch_train.figures import accuracy
from scene_batch_train.photos import PhotoSet

MOST_PHOTOS = 300

Change = Callable[[Image.Image], Image.Image]


def _recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=10)
    return Image.open(file)


def _small(image: Image.Image) -> Image.Image:
    quarter = (max(1, image.width // 4), max(1, image.height // 4))
    return image.resize(quarter, Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


CHANGES: dict[str, Change] = {
    "unchanged": lambda image: image,
    "without colour": lambda image: image.convert("L"),
    "half as bright": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "a quarter of the resolution": _small,
    "blurred, radius 3 pixels": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "JPEG quality 10": _recompressed,
    "turned by 90 degrees": lambda image: image.rotate(90, expand=True).resize(image.size),
    "upside down": lambda image: image.rotate(180),
}
"""What is done to photos as the model sees them, by the words of the model's card."""


def robustness(model: keras.Model, photos: PhotoSet) -> dict[str, float]:
    """The accuracy on at most ``MOST_PHOTOS`` photos, evenly chosen, after each change."""
    count = len(photos.pixels)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_PHOTOS)).astype(np.int64))
    class_indices = photos.class_indices[chosen]
    found = {}
    for name, change in CHANGES.items():
        pixels = np.stack(
            [
                np.asarray(change(Image.fromarray(photos.pixels[index])).convert("RGB"))
                for index in chosen
            ]
        )
        batches = Batches(pixels, class_indices, model.output_shape[-1], batch_size=32)
        found[name] = round(accuracy(model.predict(batches, verbose=0), class_indices), 4)
    return found
