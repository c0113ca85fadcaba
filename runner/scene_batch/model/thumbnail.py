"""Small pictures for people, by the one decoder: upright, and all of the photo."""

from __future__ import annotations

import numpy as np
from PIL import Image

from scene_batch.memory import decoding_budget
from scene_batch.model.attempt import Attempt, Limits
from scene_batch.model.decode import decode
from scene_batch.model.preprocess import Preprocess, is_sideways
from scene_batch.records import ImageRef, Pixels, Unreadable


class _Whole(Preprocess):
    """A photo of which the longer edge is resized to the input's, without the pad around it."""

    def apply(self, image: Image.Image) -> Pixels:
        """Turn an opened photo into ``uint8 (height, width, 3)``, RGB."""
        size = image.size  # before a JPEG is decoded at a fraction of it
        padded = Preprocess.apply(self, image)
        width, height = self.resized(size[::-1] if is_sideways(image) else size)
        left, upper = (self.width - width) // 2, (self.height - height) // 2  # as geometry.centred
        return np.ascontiguousarray(padded[upper : upper + height, left : left + width])


def thumbnail(ref: ImageRef, data: bytes, longest: int) -> Pixels | Unreadable:
    """Decode a photo into a small one of its own shape.

    Args:
        ref: The photo.
        data: Its file's bytes.
        longest: Its longer edge in pixels; a smaller photo is made larger.

    Returns:
        ``uint8 (height, width, 3)``, RGB, or why there is none.
    """
    whole = _Whole(longest, longest, fit="longer", decoding="scaled")
    found = decode(ref, data, whole, Limits(decoding_budget(), Attempt()))
    return found if isinstance(found, Unreadable) else found.pixels
