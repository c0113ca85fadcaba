"""Bytes become pixels or a reason, never an exception."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scene_batch.decode import FORMATS, decode, one_line
from scene_batch.preprocess import Preprocess
from scene_batch.records import Decoded, ImageRef, Unreadable
from support import HARD

_REF = ImageRef("photo")
_SMALL = Preprocess(8, 8)


def _encoded(file_format: str, size: tuple[int, int] = (24, 20)) -> bytes:
    pixels = np.random.default_rng(5).integers(0, 256, (*size[::-1], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format)
    return file.getvalue()


def _png_of(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


def _code(data: bytes) -> str:
    photo = decode(_REF, data, _SMALL)
    return photo.code if isinstance(photo, Unreadable) else "ok"


@pytest.mark.parametrize("file_format", [*FORMATS, "MPO"])
def test_every_format_is_opened_by_its_content(file_format: str) -> None:
    photo = decode(ImageRef("named.wrong"), _encoded(file_format), _SMALL)
    assert isinstance(photo, Decoded)
    assert (photo.pixels.shape, photo.pixels.dtype) == ((8, 8, 3), np.uint8)
    assert photo.ref.path == "named.wrong"


@pytest.mark.parametrize("file_format", ["PPM", "ICO", "PCX", "EPS"])
def test_other_formats_that_pillow_knows_are_not_opened(file_format: str) -> None:
    assert _code(_encoded(file_format)) == "unknown_format"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"a letter", "unknown_format"),
        (_encoded("JPEG", (200, 200))[:3000], "truncated"),
        (_encoded("PNG", (200, 200))[:3000], "truncated"),
        (_png_of(60_000, 60_000), "too_large"),
        (_png_of(13_380, 13_380), "too_large"),
        (_encoded("PNG").replace(b"IDATx\x9c", b"IDAT\0\0"), "corrupt"),
    ],
    ids=["empty", "text", "cut-jpeg", "cut-png", "bomb", "over-the-limit", "bad-data"],
)
def test_a_broken_photo_is_a_reason(data: bytes, code: str) -> None:
    assert _code(data) == code


@pytest.mark.parametrize("size", [(1, 1), (1, 65_000), (65_000, 1)])
def test_the_thinnest_photos_are_photos(size: tuple[int, int]) -> None:
    assert _code(_encoded("PNG", size)) == "ok"


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    st.floats(0, 1),
)
def test_damaged_bytes_give_a_reason_or_pixels(
    file_format: str, changes: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(_encoded(file_format))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    photo = decode(_REF, bytes(data[: int(keep * len(data))]), _SMALL)
    if isinstance(photo, Unreadable):
        assert photo.message
        assert "\n" not in photo.message
        assert len(photo.message) <= 160


def test_a_message_is_one_short_line() -> None:
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
    assert len(one_line(ValueError("x" * 500))) == 160
    assert one_line(ValueError()) == "ValueError"


def test_the_hard_samples_are_read_or_say_why() -> None:
    codes = {
        path.name: _code(path.read_bytes()) for path in Path(HARD).rglob("*") if path.is_file()
    }
    broken = {name: code for name, code in codes.items() if code != "ok"}
    assert broken == {
        "truncated.jpg": "truncated",
        "truncated.png": "truncated",
        "zero-bytes.jpg": "empty",
        "text.jpg": "unknown_format",
    }
    assert {"cmyk.jpg", "gray-16-bit.png", "alpha.png", "inside.webp"} < set(codes)
