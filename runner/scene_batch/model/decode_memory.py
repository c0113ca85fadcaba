"""How much memory a photo takes while it is decoded: known before, from its head alone.

The figures for each format are what its decoder holds at one time; benchmarks/decode_memory.py
measures them in processes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from PIL import Image

from scene_batch.model.preprocess import Preprocess
from scene_batch.model.resizing import working_bytes

MOST_SCANS = 500
"""Scans of a progressive JPEG that are decoded; encoders make ten or so, and each of them goes
through the whole photo."""

SMALL_PIXELS, _SMALL_FILE = 1 << 19, 4 << 20
"""A photo up to these is decoded without counting its memory."""

_ONE_BYTE, _TWO_BYTES = {"1", "L", "P"}, {"I;16", "I;16L", "I;16B", "I;16N"}
_WEBP_EACH = 13
"""Bytes for each pixel beside Pillow's image: two canvases, a frame, and the decoder's own."""
_HALF_COLOURS = 1
"""4:2:0, as libheif counts: two planes of colours are as large as half a plane."""
_COPIES = {"WEBP": 2, "AVIF": 1, "HEIF": 1}
"""Copies of the encoded photo that the decoder makes."""
_SURE = 8 << 20
"""A JPEG of fewer pixels is taken to be in several scans, which saves looking."""

_TIFF_WIDTH, _TIFF_BITS, _TIFF_COMPRESSION, _TIFF_ROWS = 256, 258, 259, 278
_TIFF_ORIENTATION, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 274, 322, 323
_TIFF_UNCOMPRESSED, _TIFF_JPEG = 1, (6, 7)
_TIFF_PLAIN = {1, 2, 3, 4, 5, 8, 32773, 32946}
"""Compressions whose decoder holds little beside its result: LZW, deflate, fax, PackBits."""

_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""In a JPEG's coded data; there FF00 is a byte FF, and FFD0 to FFD7 say nothing."""
_START_OF_SCAN, _END_OF_IMAGE, _LONE_MARKERS = 0xDA, 0xD9, range(0xD0, 0xD9)


def decoding_bytes(image: Image.Image, data: bytes, preprocess: Preprocess) -> int:
    """Most bytes that an opened photo takes until it is the model's pixels, ``data`` included.

    What every photo takes (code, a strip that is converted, ends of blocks) is left out: some
    32 MiB in all.
    """
    kind = image.format or ""
    width, height = image.size
    scale = preprocess.scale_at_least(image)
    width, height = -(-width // scale), -(-height // scale)
    pixels = width * height
    each = 1 if image.mode in _ONE_BYTE else 2 if image.mode in _TWO_BYTES else 4
    resized = preprocess.resized(image.size)
    sideways = preprocess.resized(image.size[::-1])
    cropped, first = preprocess.fit == "crop", preprocess.orientation == "exif-first"
    working = max(  # it may be turned, before resizing or behind it
        working_bytes(photo, size, cropped=cropped)
        for photo in {(width, height), (height, width) if first else (width, height)}
        for size in (resized, resized[::-1], sideways, sideways[::-1])
    )
    return (
        len(data) * (1 + _COPIES.get(kind, 0))
        + pixels * each * (2 if first else 1)
        + working
        + _beside(image, data, pixels * each)
    )


def is_small(image: Image.Image, data: bytes, preprocess: Preprocess) -> bool:
    """Whether a photo takes so little, some 10 MB, that counting it would cost more than it helps.

    A TIFF never is: its tiles may be larger than its picture.
    """
    width, height = preprocess.resized(image.size)
    pixels = max(image.width * image.height, width * height)
    return pixels <= SMALL_PIXELS and len(data) <= _SMALL_FILE and image.format != "TIFF"


def least_bytes(data: bytes) -> int:
    """What a photo takes as soon as it is opened, told by its first bytes."""
    copied = data[:4] == b"RIFF" or data[4:8] == b"ftyp"
    return len(data) * (3 if copied else 1)


def too_many_scans(image: Image.Image, data: bytes) -> bool:
    """Whether a progressive JPEG has more than ``MOST_SCANS`` scans."""
    if not image.info.get("progressive"):
        return False
    return any(number > MOST_SCANS for number, _ in enumerate(_scans(data), 1))


def _beside(image: Any, data: bytes, decoded: int) -> int:  # noqa: ANN401 - of any plugin
    """Bytes that the decoder of a format needs in addition."""
    pixels = int(image.width * image.height)
    if image.format in ("JPEG", "MPO"):
        return _coefficients(image, data)
    if image.format == "TIFF":
        turned = image.tag_v2.get(_TIFF_ORIENTATION, 1) != 1
        return _tiff_chunk(image) + (decoded if turned else 0)
    if image.format == "BMP" and image.tile and image.tile[0][0] == "bmp_rle":
        return 3 * pixels  # a growing bytearray, and its copy
    if image.format == "WEBP":
        return _WEBP_EACH * pixels
    if image.format in ("AVIF", "HEIF"):
        return _planes(image) * pixels
    return 0


def _planes(image: Image.Image) -> int:
    """Bytes for each pixel that libavif or libheif hold: planes, twice where turned, and RGB."""
    channels = len(image.getbands())
    if image.format == "AVIF":  # of its depth Pillow says nothing: 16 bits
        return 2 * channels + channels + 1
    two_bytes = image.info.get("bit_depth", 8) > 8  # noqa: PLR2004
    fine = image.info.get("chroma") != _HALF_COLOURS
    planes = (channels if fine or channels == 1 else channels - 1) * (2 if two_bytes else 1)
    return 2 * planes + channels


def _coefficients(image: Any, data: bytes) -> int:  # noqa: ANN401
    """Of a JPEG in several scans all coefficients are kept, 2 bytes each."""
    layers = [(max(1, across), max(1, down)) for _, across, down, _ in image.layer]
    if image.width * image.height > _SURE and not image.info.get("progressive"):
        first = next(_scans(data), None)
        if first is not None and data[first + 2 : first + 3] == bytes([len(layers)]):
            return 0
    most_across = max((across for across, _ in layers), default=1)
    most_down = max((down for _, down in layers), default=1)
    blocks: int = -(-image.width // (8 * most_across)) * -(-image.height // (8 * most_down))
    return int(2 * 64 * blocks * sum(across * down for across, down in layers))


def _scans(data: bytes) -> Iterator[int]:
    """Where the scans of a JPEG begin: at the length of each one's header."""
    at = 2
    while found := _NEXT_MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            return
        if marker == _START_OF_SCAN:
            yield at
        if marker not in _LONE_MARKERS:
            at += int.from_bytes(data[at : at + 2])


def _tiff_chunk(image: Any) -> int:  # noqa: ANN401
    """The strip or tile that libtiff decodes at a time, which may be the whole photo."""
    tags = image.tag_v2
    compression = tags.get(_TIFF_COMPRESSION, _TIFF_UNCOMPRESSED)
    if compression == _TIFF_UNCOMPRESSED:
        return 0
    width, height = tags.get(_TIFF_TILE_WIDTH), tags.get(_TIFF_TILE_HEIGHT)
    if not (width and height):
        width = tags.get(_TIFF_WIDTH, image.width)
        height = min(tags.get(_TIFF_ROWS, image.height), max(image.size))
    bits = sum(_numbers(tags.get(_TIFF_BITS, 1))) or 1
    size = int(width * height * bits) // 8
    if compression in _TIFF_JPEG:
        return 2 * size + int(width * height) * 4  # its coefficients, and RGBA
    return size if compression in _TIFF_PLAIN else 3 * size


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) if isinstance(value, int) else ()
