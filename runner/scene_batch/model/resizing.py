"""Conversion to RGB and resizing, without a second whole image where a photo is large.

Pillow resizes in a horizontal pass over each row and then a vertical one, and rounds to 8 bits
between. So strips of rows can be converted and resized horizontally one after the other, and all of
them vertically at the end: the same pixels, bit for bit, as of the whole. From version 13 on Pillow
begins with the vertical pass where that takes away much more; then the strips are of columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

from scene_batch.model.geometry import Box, Size

Alpha = Literal["white", "dropped"]
"""What becomes of transparency: it is laid on white, or the colours below it are seen."""

STRIP_PIXELS = 1 << 18
"""Pixels that are converted at a time; few enough for a processor's cache."""
_DIRECT_PIXELS = 1 << 20
"""A photo up to this size is converted as a whole, which is a little faster."""
_MAY_BEGIN_DOWNWARDS = int(PIL.__version__.split(".")[0]) >= 13  # noqa: PLR2004 - Pillow #9549


def to_rgb_resized(
    image: Image.Image, size: Size, resample: Image.Resampling, box: Box, alpha: Alpha = "white"
) -> Image.Image:
    """``to_rgb(image, alpha=alpha).resize(size, resample, box)``, of a loaded image.

    A photo of that very size is left as it is. Beside the image this takes ``working_bytes``.
    """
    if _is_rgb(image) or image.width * image.height <= _DIRECT_PIXELS:
        whole = to_rgb(image, alpha=alpha)
        return whole if image.size == size else whole.resize(size, resample, box)
    full = _full_scale(_strips(image)) if image.mode == "F" else None
    left, upper, right, lower = box
    if _begins_downwards(image.size, size):
        lowered = Image.new("RGB", (image.width, size[1]))
        for edge, strip in _columns(image, full, alpha):
            part = strip.resize((strip.width, size[1]), resample, (0, upper, strip.width, lower))
            lowered.paste(part, (edge, 0))
        return lowered.resize(size, resample, (left, 0, right, size[1]))
    # Pixels that are made wider would take more memory than the photo: only fewer are made here.
    narrow = size[0] < image.width
    width = size[0] if narrow else image.width
    narrowed = Image.new("RGB", (width, image.height))
    for top, strip in _rows(image, full, alpha):
        if narrow:
            within = (left, 0, right, strip.height)
            strip = strip.resize((width, strip.height), resample, within)  # noqa: PLW2901
        narrowed.paste(strip, (0, top))
    rest: Box = (0, upper, width, lower) if narrow else box
    return narrowed if image.size == size else narrowed.resize(size, resample, rest)


def working_bytes(photo: Size, size: Size, *, cropped: bool) -> int:
    """Most bytes that ``to_rgb_resized`` takes beside a photo, both (width, height).

    What a strip or a photo that is converted as a whole takes is left out: some megabytes.
    """
    width, height = photo
    if _begins_downwards(photo, size):
        tall = height if height > STRIP_PIXELS else 0
        return 4 * (width * size[1] + size[0] * size[1] + tall)
    wide = size[0] if size[0] < width or not cropped else width
    return 4 * (wide * height + size[0] * size[1] + (width if width > STRIP_PIXELS else 0))


def _begins_downwards(photo: Size, size: Size) -> bool:
    """Whether this Pillow resizes vertically first."""
    fewer_columns, fewer_rows = photo[0] - size[0], photo[1] - size[1]
    return _MAY_BEGIN_DOWNWARDS and fewer_rows > max(0, 2 * fewer_columns)


def to_rgb(image: Image.Image, full: float | None = None, alpha: Alpha = "white") -> Image.Image:
    """Convert an image of any mode that Pillow opens to RGB, 8 bits a channel.

    16-bit grays are scaled (65535 becomes 255), 32-bit integers are taken as 16-bit ones, floats
    as 0 to 1 (or 0 to 255 where one is above 1).

    Args:
        image: Of any mode.
        full: What is white in a float image; None: found out from its values.
        alpha: What becomes of transparency.
    """
    if _is_rgb(image):
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _gray_to_8_bits(image, full).convert("RGB")
    if alpha == "white" and image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _is_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def _rows(
    image: Image.Image, full: float | None, alpha: Alpha
) -> Iterator[tuple[int, Image.Image]]:
    """Strips of whole rows in RGB, each with the row at its top."""
    if image.width <= STRIP_PIXELS:
        for (_, top), strip in _strips(image):
            yield top, to_rgb(strip, full, alpha)
        return
    row = Image.new("RGB", (image.width, 1))
    for (left, top), piece in _strips(image):
        row.paste(to_rgb(piece, full, alpha), (left, 0))
        if left + piece.width == image.width:
            yield top, row


def _columns(
    image: Image.Image, full: float | None, alpha: Alpha
) -> Iterator[tuple[int, Image.Image]]:
    """Strips of whole columns in RGB, each with its left edge."""
    height, width = image.height, max(1, STRIP_PIXELS // image.height)
    for left in range(0, image.width, width):
        right = min(left + width, image.width)
        strip = Image.new("RGB", (right - left, height))
        for top in range(0, height, STRIP_PIXELS):
            piece = image.crop((left, top, right, min(top + STRIP_PIXELS, height)))
            strip.paste(to_rgb(piece, full, alpha), (0, top))
        yield left, strip


def _strips(image: Image.Image) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    """Pieces of ``STRIP_PIXELS`` at most, row by row, each with its left and upper edge."""
    width = min(image.width, STRIP_PIXELS)
    height = max(1, STRIP_PIXELS // width)
    for top in range(0, image.height, height):
        for left in range(0, image.width, width):
            right, bottom = min(left + width, image.width), min(top + height, image.height)
            yield (left, top), image.crop((left, top, right, bottom))


def _full_scale(strips: Iterator[tuple[tuple[int, int], Image.Image]]) -> float:
    """White in a float image: 255 where a value is above 1."""
    return max(_white(_values(strip)) for _, strip in strips)


def _white(values: npt.NDArray[np.float64]) -> float:
    return 255.0 if values.max(initial=0.0) > 1.0 else 1.0


def _values(image: Image.Image) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return np.nan_to_num(np.asarray(image).astype(np.float64))


def _gray_to_8_bits(image: Image.Image, full: float | None) -> Image.Image:
    values = _values(image)
    white = 65535.0 if image.mode != "F" else full or _white(values)
    return Image.fromarray(np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8))
