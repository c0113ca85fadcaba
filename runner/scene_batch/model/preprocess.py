"""The one definition of the pixels that a model sees: training, calibration and runs all use it.

In order: decoding (a JPEG at a fraction of its size, where the model file says so), colour (first
frame, 8 bits, alpha on white, RGB), fit and resize, orientation. A second resize anywhere else
would be train/serve skew.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from scene_batch.errors import ModelError
from scene_batch.model.resizing import Box, to_rgb_resized
from scene_batch.records import Pixels

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Fit = Literal["crop", "stretch"]
Orientation = Literal["exif", "stored"]
Decoding = Literal["full", "scaled"]

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a photo upright, by its EXIF orientation (Exif 2.32, tag 0x0112)."""
_SIDEWAYS = {5, 6, 7, 8}
_SCALABLE = {"JPEG", "MPO"}
_SCALES = (8, 4, 2)
"""Pillow can decode a JPEG at 1/8, 1/4 or 1/2 of its size."""
DAMAGED_EXIF = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    struct.error,
)
"""What Pillow raises on a damaged EXIF block."""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a photo becomes the model's input; travels in the model file as JSON."""

    height: int
    width: int
    filter: Filter = "bilinear"
    """Resampling filter, as Pillow defines it: always antialiased when shrinking."""
    fit: Fit = "crop"
    """``crop``: the largest centred part with the input's aspect; ``stretch``: all of the photo."""
    orientation: Orientation = "exif"
    """``exif``: turned as its EXIF says; ``stored``: as the pixels lie in the file."""
    decoding: Decoding = "full"
    """``scaled``: a JPEG much larger than the model's input is decoded at 1/2, 1/4 or 1/8 by its
    DCT, which is several times faster and changes pixels slightly; ``full``: never."""

    def __post_init__(self) -> None:
        """Refuse sizes that are not whole and positive, and unknown choices."""
        if not (type(self.height) is type(self.width) is int):
            raise ModelError("preprocess: height and width are whole numbers")
        if min(self.height, self.width) < 1:
            raise ModelError(f"preprocess: size {self.height}x{self.width} is not positive")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ModelError(
                    f"preprocess: {name} {getattr(self, name)!r} is not one of {', '.join(allowed)}"
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pixels: height, width, channels."""
        return self.height, self.width, 3

    def scale_at_least(self, image: Image.Image) -> int:
        """How much smaller ``apply`` decodes an opened photo, or even more so: 1, 2, 4 or 8."""
        if self.decoding != "scaled" or image.format not in _SCALABLE:
            return 1
        return _scale(min(image.size) / max(self.width, self.height))

    def to_json(self) -> dict[str, Any]:
        """The JSON object that ``from_json`` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preprocess:
        """Read what ``to_json`` gave.

        Raises:
            ModelError: A key is missing or unknown, or this version does not know its value.
        """
        try:
            return cls(**value)
        except TypeError as error:
            raise ModelError(f"preprocess: {error}; this version cannot follow it") from None

    def apply(self, image: Image.Image) -> Pixels:
        """Turn an opened photo into ``uint8 (height, width, 3)``, RGB.

        Raises whatever Pillow raises while decoding; ``decode.py`` turns that into codes.
        """
        scaled = self.decoding == "scaled" and image.format in _SCALABLE
        if not scaled:
            image.load()  # reading a PNG's EXIF would load it too, and only the first try raises
        turn = _exif_orientation(image) if self.orientation == "exif" else 1
        size = (self.height, self.width) if turn in _SIDEWAYS else (self.width, self.height)
        box = centred_box(image.size, size) if self.fit == "crop" else (0.0, 0.0, *image.size)
        if scaled:
            box = _load_scaled(image, box, size)
        small = to_rgb_resized(image, size, Image.Resampling[self.filter.upper()], box)
        if turn in _TURNS:
            small = small.transpose(_TURNS[turn])
        return np.frombuffer(small.tobytes(), np.uint8).reshape(self.height, self.width, 3)


_CHOICES = {
    "filter": get_args(Filter),
    "fit": get_args(Fit),
    "orientation": get_args(Orientation),
    "decoding": get_args(Decoding),
}


def centred_box(size: tuple[int, int], target: tuple[int, int]) -> Box:
    """The largest centred box of ``target``'s shape in ``size``, both (width, height)."""
    width, height = size
    scale = min(width / target[0], height / target[1])
    box_width, box_height = scale * target[0], scale * target[1]
    left, upper = max(0.0, (width - box_width) / 2), max(0.0, (height - box_height) / 2)
    # Rounding may put an edge a trifle outside, which Pillow refuses.
    return (left, upper, min(left + box_width, width), min(upper + box_height, height))


def _load_scaled(image: Image.Image, box: Box, target: tuple[int, int]) -> Box:
    """Load a JPEG at the smallest scale at which ``box`` is no smaller than ``target``.

    Returns:
        The same box in the pixels of the smaller image.
    """
    left, upper, right, lower = box
    room = min((right - left) / target[0], (lower - upper) / target[1])
    scale = _scale(room)
    if scale > 1:
        image.draft(image.mode, (image.width // scale, image.height // scale))
    image.load()
    return (left / scale, upper / scale, right / scale, lower / scale)


def _scale(room: float) -> int:
    """The largest scale for a photo that is ``room`` times as large as it need be."""
    return next((scale for scale in _SCALES if scale <= room), 1)


def _exif_orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where the EXIF block is damaged: the photo still counts."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except DAMAGED_EXIF:
        return 1
    return value if value in _TURNS else 1
