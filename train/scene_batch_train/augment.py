"""Random changes of training photos, on the pixels that the model sees, one resampling each."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
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
    """Mirror, rotate, shear, zoom and shift as one affine map; outside, the photo is mirrored."""
    angle = math.radians(generator.uniform(-change.rotate, change.rotate))
    scale = math.exp(generator.uniform(-1, 1) * math.log1p(change.zoom))
    right, down = generator.uniform(-change.shift, change.shift, 2)
    slant = math.tan(math.radians(generator.uniform(-change.shear, change.shear)))
    mirror = -1 if change.flip and generator.random() < 0.5 else 1  # noqa: PLR2004 - half of them
    width, height = image.size
    margin = max(width, height) // 2
    wide = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    # Pillow maps output (x, y) to input (a x + b y + c, d x + e y + f); the centre stays.
    a, b, d, e = mirror * cos, mirror * (slant * cos - sin), sin, cos + slant * sin
    centre_x, centre_y = width / 2, height / 2
    c = margin + centre_x + right * width - a * centre_x - b * centre_y
    f = margin + centre_y + down * height - d * centre_x - e * centre_y
    return Image.fromarray(wide).transform(
        image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC
    )


MIXUP_ALPHA = 0.2
"""Of the Beta distribution of a mixup's share (Zhang et al. 2018, mixup, section 3)."""


def mix(
    pixels: npt.NDArray[np.uint8],
    one_hot: npt.NDArray[np.float32],
    change: Augment,
    generator: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Mix the photos of a batch two by two, and their classes in the same shares.

    Half of the mixed batches by mixup (each pixel blended), half by cutmix (a box from the other
    photo; Yun et al. 2019, CutMix, equations 1 and 2).

    Args:
        pixels: ``uint8 (batch, height, width, 3)``.
        one_hot: ``float32 (batch, classes)``.
        change: Says how often.
        generator: Decides.

    Returns:
        The same, mixed or as they were.
    """
    if generator.random() >= change.mix:
        return pixels, one_hot
    partner = generator.permutation(len(pixels))
    if generator.random() < 0.5:  # noqa: PLR2004 - half of them
        share = generator.beta(MIXUP_ALPHA, MIXUP_ALPHA)
        blended = share * pixels + (1 - share) * pixels[partner]
        mixed = np.rint(blended).astype(np.uint8)
    else:
        mixed, share = _cut(pixels, pixels[partner], generator)
    return mixed, np.float32(share) * one_hot + np.float32(1 - share) * one_hot[partner]


def _cut(
    pixels: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8], generator: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], float]:
    """Paste one box of the others over photos; the share that is left of the photos."""
    height, width = pixels.shape[1:3]
    side = math.sqrt(1 - generator.uniform())
    middle_y, middle_x = generator.uniform(0, height), generator.uniform(0, width)
    top, bottom = (int(np.clip(middle_y + way * side * height / 2, 0, height)) for way in (-1, 1))
    left, right = (int(np.clip(middle_x + way * side * width / 2, 0, width)) for way in (-1, 1))
    mixed = pixels.copy()
    mixed[:, top:bottom, left:right] = others[:, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
