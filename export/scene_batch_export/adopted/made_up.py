"""Photos made by a formula, for proofs and for golden vectors where no photos are named."""

from __future__ import annotations

import numpy as np

from scene_batch.model.geometry import Size
from scene_batch.records import Pixels

_SEED = 20


def noise(size: Size, count: int) -> list[Pixels]:
    """Random pixels, ``uint8 (height, width, 3)`` each."""
    width, height = size
    random = np.random.default_rng(_SEED)
    return list(random.integers(0, 256, (count, height, width, 3), np.uint8))


def textures(size: Size, count: int) -> list[Pixels]:
    """Waves of colours: smooth as photos are, and unlike each other."""
    width, height = size
    random = np.random.default_rng(_SEED)
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    found = []
    for _ in range(count):
        waves = np.zeros((height, width, 3))
        for _ in range(6):
            f_down, f_across = random.normal(0, 6, 2)
            phase = random.uniform(0, 2 * np.pi)
            wave = np.sin(2 * np.pi * (f_down * down + f_across * across) + phase)
            waves += wave[..., None] * random.uniform(-1, 1, 3)
        base = random.uniform(60, 190, 3)
        found.append(np.clip(base + 45 * waves, 0, 255).astype(np.uint8))
    return found
