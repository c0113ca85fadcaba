"""Bytes to ``Decoded`` or ``Unreadable``; the only place that knows how photos can be broken."""

from __future__ import annotations

import io
import zlib

import numpy as np

# The plugins of FORMATS: without them here, Pillow would load all that it has while decoding.
from PIL import (  # noqa: F401
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from scene_batch.model.preprocess import DAMAGED_EXIF, Preprocess
from scene_batch.records import Decoded, ImageRef, Pixels, Unreadable, UnreadableCode

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats that are opened, told by content, not by suffix. (To Pillow a phone's MPO is a JPEG until
it is open.)"""

MAX_PIXELS = 178_956_970
"""The largest photo decoded, in pixels: where Pillow's bomb guard raises."""

_BROKEN = (*DAMAGED_EXIF, EOFError, zlib.error)
"""What Pillow's decoders raise on damaged bytes; anything else is a bug and stops the run."""


def decode(ref: ImageRef, data: bytes, preprocess: Preprocess) -> Decoded | Unreadable:
    """Decode one encoded photo into the pixels that the model sees."""
    if not data:
        return Unreadable(ref, "empty", "the file has no bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        return Unreadable(ref, "unknown_format", "not a photo in a known format")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return Unreadable(ref, "too_large", one_line(error))
    except _BROKEN as error:
        return Unreadable(ref, broken_code(error), one_line(error))
    with image:
        if image.width * image.height > MAX_PIXELS:
            size = f"{image.width}x{image.height}"
            return Unreadable(ref, "too_large", f"{size} is over {MAX_PIXELS} pixels")
        try:
            return Decoded(ref, preprocess.apply(image))
        except MemoryError:
            return Unreadable(ref, "too_large", "not enough memory to decode it")
        except _BROKEN as error:
            return Unreadable(ref, broken_code(error), one_line(error))


def decode_pixels(ref: ImageRef, pixels: Pixels, preprocess: Preprocess) -> Decoded:
    """Turn RGB pixels of any size into those that the model sees.

    Raises:
        ValueError: They are not ``uint8 (height, width, 3)``.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:  # noqa: PLR2004
        raise ValueError(
            f"pixels: need uint8 (height, width, 3), got {pixels.dtype} {pixels.shape}"
        )
    return Decoded(ref, preprocess.apply(Image.fromarray(pixels)))


def broken_code(error: Exception) -> UnreadableCode:
    """``truncated`` where the bytes end too soon, else ``corrupt``."""
    ended = isinstance(error, EOFError) or "truncated" in str(error).lower()
    return "truncated" if ended else "corrupt"


def one_line(error: BaseException, limit: int = 160) -> str:
    """An exception's text as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
