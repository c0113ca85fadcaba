"""Bytes to ``Decoded`` or ``Unreadable``; the only place that knows how photos can be broken."""

from __future__ import annotations

import io
import zlib
from typing import IO, cast

import numpy as np

# The plugins of FORMATS: without them here, Pillow would load all that it has while decoding.
from PIL import (  # noqa: F401
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from scene_batch.memory import Budget, give_to_system, needs_too_much
from scene_batch.model.attempt import Limits, StoppableFile
from scene_batch.model.containers import (
    DamagedContainerError,
    HeifMissingError,
    container_kind,
    open_container,
)
from scene_batch.model.decode_memory import (
    MOST_SCANS,
    decoding_bytes,
    is_small,
    least_bytes,
    too_many_scans,
)
from scene_batch.model.geometry import Size
from scene_batch.model.preprocess import DAMAGED_EXIF, Preprocess
from scene_batch.records import Decoded, ImageRef, Pixels, Unreadable, UnreadableCode

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats that are opened beside AVIF and HEIC, told by content, not by suffix. (To Pillow, a
phone's MPO is a JPEG until it is open.)"""

MAX_PIXELS = 178_956_970
"""The largest photo decoded, in pixels: where Pillow's bomb guard raises."""

_BROKEN = (*DAMAGED_EXIF, EOFError, zlib.error, DamagedContainerError)
"""What the decoders raise on damaged bytes; anything else is a bug and stops the run."""


_TRIMMED = 64 << 20
"""After a photo that needed so much, the memory that was freed goes back to the system."""


def decode(
    ref: ImageRef, data: bytes, preprocess: Preprocess, limits: Limits | None = None
) -> Decoded | Unreadable:
    """Decode one encoded photo into the pixels that the model sees.

    Args:
        ref: The photo.
        data: Its file's bytes.
        preprocess: The model's.
        limits: Of memory and time; once its attempt is given up, it does not matter what is
            returned. None: there are none.
    """
    if not data:
        return Unreadable(ref, "empty", "the file has no bytes")
    if limits is not None:
        limits.attempt.begin()
        if (need := least_bytes(data)) > limits.budget.most:
            return _too_large(ref, need, limits.budget)
    try:
        image = _open(data)
    except (UnidentifiedImageError, HeifMissingError) as error:
        missing = isinstance(error, HeifMissingError)
        message = str(error) if missing else "not a photo in a known format"
        return Unreadable(ref, "unknown_format", message)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return Unreadable(ref, "too_large", one_line(error))
    except _BROKEN as error:
        return Unreadable(ref, broken_code(error), one_line(error))
    with image:
        if reason := _too_many_pixels(image.size, preprocess):
            return Unreadable(ref, "too_large", reason)
        try:
            if too_many_scans(image, data):
                return Unreadable(ref, "too_large", f"a JPEG of more than {MOST_SCANS} scans")
            if limits is None or is_small(image, data, preprocess):
                return Decoded(ref, preprocess.apply(image))
            need = decoding_bytes(image, data, preprocess)
            if need > limits.budget.most:
                return _too_large(ref, need, limits.budget)
            return Decoded(ref, _apply(image, preprocess, need, limits))
        except MemoryError:
            return Unreadable(ref, "too_large", "not enough memory to decode it")
        except _BROKEN as error:
            return Unreadable(ref, broken_code(error), one_line(error))


def _too_many_pixels(size: Size, preprocess: Preprocess) -> str:
    """Why a photo of a size is not decoded; empty where it is."""
    for (width, height), when in ((size, ""), (preprocess.resized(size), " when resized")):
        if width * height > MAX_PIXELS:
            return f"{width}x{height}{when} is over {MAX_PIXELS} pixels"
    return ""


def _open(data: bytes) -> Image.Image:
    """Open an encoded photo, told by its content."""
    kind = container_kind(data)
    if kind is not None:
        return open_container(data, kind)
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _apply(image: Image.Image, preprocess: Preprocess, need: int, limits: Limits) -> Pixels:
    """``preprocess.apply`` once there is memory for it, until it is given up."""
    limits.take(need)
    try:
        limits.attempt.go_on()
        if isinstance(image, ImageFile.ImageFile) and image.fp is not None:
            image.fp = cast(IO[bytes], StoppableFile(image.fp, limits.attempt))
        return preprocess.apply(image)
    finally:
        image.close()  # its memory is free before others take it
        vars(image).pop("_decoder", None)  # which has a WebP's canvases
        if need > _TRIMMED:
            give_to_system()
        limits.budget.give_back(need)


def _too_large(ref: ImageRef, need: int, budget: Budget) -> Unreadable:
    return Unreadable(ref, "too_large", needs_too_much(need, budget.most))


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
