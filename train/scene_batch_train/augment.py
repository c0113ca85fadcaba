"""Random changes of training photos, on the pixels that the model sees, one resampling each."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageEnhance

from scene_batch.records import Pixels
from scene_batch_train.recipe import Augment


def augment(pixels: Pixels, change: Augment, generator: np.random.Generator) -> Pixels:
    """Change one photo at random, ``uint8 (height, width, 3)`` to the same."""
    image = _move(Image.fromarray(pixels), change, generator)
    for enhance, amount in (
        (ImageEnhance.Brightness, change.brightness),
        (ImageEnhance.Contrast, change.contrast),
        (ImageEnhance.Color, change.saturation),
    ):
        if amount:
            image = enhance(image).enhance(1 + generator.uniform(-amount, amount))
    return np.asarray(image)


def _move(image: Image.Image, change: Augment, generator: np.random.Generator) -> Image.Image:
    """Mirror, rotate, zoom and shift as one affine map; what comes from outside is mirrored."""
    angle = math.radians(generator.uniform(-change.rotate, change.rotate))
    scale = math.exp(generator.uniform(-1, 1) * math.log1p(change.zoom))
    right, down = generator.uniform(-change.shift, change.shift, 2)
    mirror = -1 if change.flip and generator.random() < 0.5 else 1  # noqa: PLR2004 - half of them
    width, height = image.size
    margin = max(width, height) // 2
    wide = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    # Pillow maps output (x, y) to input (a x + b y + c, d x + e y + f); the centre stays.
    a, b, d, e = mirror * cos, mirror * -sin, sin, cos
    centre_x, centre_y = width / 2, height / 2
    c = margin + centre_x + right * width - a * centre_x - b * centre_y
    f = margin + centre_y + down * height - d * centre_x - e * centre_y
    return Image.fromarray(wide).transform(
        image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC
    )
