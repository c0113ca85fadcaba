"""The one definition of the pixels that a model sees: training, calibration and runs all use it.

In order: decoding (a JPEG at a fraction of its size, where the model file says so), colour (first
frame, 8 bits, alpha on white, RGB), fit and resize, orientation. A second resize anywhere else
would be train/serve skew.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from scene_batch.errors import ModelError
from scene_batch.model.geometry import (
    Box,
    Centre,
    Rounding,
    Size,
    centred,
    centred_box,
    kept_shape,
)
from scene_batch.model.resizing import Alpha, to_rgb_resized
from scene_batch.records import Pixels

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
Fit = Literal["crop", "stretch", "shorter", "longer"]
Orientation = Literal["exif", "exif-first", "stored"]
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
_SIDEWAYS, _FROM_THE_RIGHT, _FROM_BELOW = {5, 6, 7, 8}, {2, 3, 7, 8}, {3, 4, 6, 7}
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
    """How a photo becomes the model's input; travels in the model file as JSON.

    ``fit`` is what of the photo the model sees:

    - ``crop``: its largest centred part with the input's aspect, resized in one step;
    - ``stretch``: all of it, resized to ``resize`` without keeping its shape;
    - ``shorter``: its shorter edge is resized to ``resize``, the other one in proportion;
    - ``longer``: its longer edge is.

    Behind the last three comes the middle of that, as large as the input; what is missing there is
    ``pad``. The fields behind ``decoding``, and their values, are format 2 of the description.
    """

    height: int
    width: int
    filter: Filter = "bilinear"
    """Resampling filter, as Pillow defines it: always antialiased when shrinking."""
    fit: Fit = "crop"
    orientation: Orientation = "exif"
    """``exif``: turned as its EXIF says, behind resizing, which is cheaper; ``exif-first``: before
    it; ``stored``: as the pixels lie in the file."""
    decoding: Decoding = "full"
    """``scaled``: a JPEG much larger than the model's input is decoded at 1/2, 1/4 or 1/8 by its
    DCT, which is several times faster and changes pixels slightly; ``full``: never."""
    resize: tuple[int, int] | None = None
    """(height, width) to which the photo is resized before its middle is taken; None: the input's.
    """
    rounding: Rounding = "down"
    """Of the edge that is resized in proportion; see ``geometry.kept_shape``."""
    centre: Centre = "rounded"
    """Where the middle begins if the margin is odd; see ``geometry.centred``."""
    pad: tuple[int, int, int] = (0, 0, 0)
    """The colour around a photo that does not fill the input, RGB."""
    alpha: Alpha = "white"
    """What is seen of a transparent photo."""

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
        if self.resize is not None and not _are_whole(self.resize, 2, 1, _LONGEST_EDGE):
            raise ModelError(f"preprocess: resize {self.resize!r} is not (height, width)")
        if self.resize is not None and self.fit == "crop":
            raise ModelError("preprocess: fit 'crop' has no resize; take 'shorter'")
        if not _are_whole(self.pad, 3, 0, 255):
            raise ModelError(f"preprocess: pad {self.pad!r} is no colour (red, green, blue)")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pixels: height, width, channels."""
        return self.height, self.width, 3

    @property
    def size(self) -> Size:
        """Of the pixels: width, height."""
        return self.width, self.height

    @property
    def needs_format_2(self) -> bool:
        """Whether format 1 of the description cannot say it."""
        return bool(self._in_format_2()) or any(
            getattr(self, name) in choices for name, choices in _OF_FORMAT_2.items()
        )

    def resized(self, size: Size) -> Size:
        """What a photo of a size is resized to, before its middle is taken where that is less."""
        target = self.size if self.resize is None else (self.resize[1], self.resize[0])
        if self.fit in ("crop", "stretch"):
            return target
        return kept_shape(size, target, longer=self.fit == "longer", rounding=self.rounding)

    def scale_at_least(self, image: Image.Image) -> int:
        """How much smaller ``apply`` decodes an opened photo, or even more so: 1, 2, 4 or 8."""
        if self.decoding != "scaled" or image.format not in _SCALABLE:
            return 1
        return _scale(min(image.size) / max(*self.size, *(self.resize or ())))

    def to_json(self) -> dict[str, Any]:
        """The JSON object that ``from_json`` reads."""
        values = asdict(self)
        return {name: values[name] for name in _FORMAT_1} | self._in_format_2()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preprocess:
        """Read what ``to_json`` gave.

        Raises:
            ModelError: A key is missing or unknown, or this version does not know its value.
        """
        rows = {name: tuple(v) for name, v in value.items() if isinstance(v, list)}
        try:
            return cls(**{**value, **rows})
        except TypeError as error:
            raise ModelError(f"preprocess: {error}; this version cannot follow it") from None

    def apply(self, image: Image.Image) -> Pixels:
        """Turn an opened photo into ``uint8 (height, width, 3)``, RGB.

        Raises whatever Pillow raises while decoding; ``decode.py`` turns that into codes.
        """
        scaled = self.decoding == "scaled" and image.format in _SCALABLE
        if not scaled:
            image.load()  # reading a PNG's EXIF would load it too, and only the first try raises
        turn = 1 if self.orientation == "stored" else _exif_orientation(image)
        size = _swapped(self.size, turn)
        target = _swapped(self.resized(_swapped(image.size, turn)), turn)
        box = centred_box(image.size, size) if self.fit == "crop" else (0.0, 0.0, *image.size)
        if scaled:
            box = _load_scaled(image, box, target)
        first = turn in _TURNS and self.orientation == "exif-first"
        if first:
            target = _swapped(target, turn)
            box = _turned(box, image.size, turn)
            image = image.transpose(_TURNS[turn])
        small = to_rgb_resized(
            image, target, Image.Resampling[self.filter.upper()], box, self.alpha
        )
        if turn in _TURNS and not first:
            small = small.transpose(_TURNS[turn])
        small = centred(small, self.size, self.centre, self.pad)
        return np.frombuffer(small.tobytes(), np.uint8).reshape(self.height, self.width, 3)

    def _in_format_2(self) -> dict[str, Any]:
        """Those of the fields that format 1 has not, and that are not as it takes them."""
        return {
            each.name: value
            for each in fields(self)
            if each.name not in _FORMAT_1 and (value := getattr(self, each.name)) != each.default
        }


_FORMAT_1 = ("height", "width", "filter", "fit", "orientation", "decoding")
_OF_FORMAT_2 = {
    "filter": ("box", "hamming"),
    "fit": ("shorter", "longer"),
    "orientation": ("exif-first",),
}
_LONGEST_EDGE = 1 << 14
_CHOICES = {
    "filter": get_args(Filter),
    "fit": get_args(Fit),
    "orientation": get_args(Orientation),
    "decoding": get_args(Decoding),
    "rounding": get_args(Rounding),
    "centre": get_args(Centre),
    "alpha": get_args(Alpha),
}


def _are_whole(values: object, count: int, least: int, most: int) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == count
        and all(type(value) is int and least <= value <= most for value in values)
    )


def _swapped(size: Size, turn: int) -> Size:
    """A size of the photo as it is stored, from that of the upright one, or the reverse."""
    return size[::-1] if turn in _SIDEWAYS else size


def _turned(box: Box, size: Size, turn: int) -> Box:
    """The same box of an image of a size, once that is turned."""
    left, upper, right, lower = box
    if turn in _FROM_THE_RIGHT:
        left, right = size[0] - right, size[0] - left
    if turn in _FROM_BELOW:
        upper, lower = size[1] - lower, size[1] - upper
    return (upper, left, lower, right) if turn in _SIDEWAYS else (left, upper, right, lower)


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


def is_sideways(image: Image.Image) -> bool:
    """Whether a photo that is loaded is turned by a right angle as its EXIF says."""
    return _exif_orientation(image) in _SIDEWAYS


def _exif_orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where the EXIF block is damaged: the photo still counts."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except DAMAGED_EXIF:
        return 1
    return value if value in _TURNS else 1
