"""Bytes become pixels or a reason, never an exception."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from scene_batch.model.decode import FORMATS, decode, one_line
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import Decoded, ImageRef, Unreadable
from support import HARD, HEIC, encode

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


@pytest.mark.parametrize("file_format", [*FORMATS, "MPO", "AVIF"])
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


def _seeds() -> dict[str, bytes]:
    """Valid files of each format, in the variants that have code of their own in the decoders."""
    pixels = np.random.default_rng(5).integers(0, 256, (20, 24, 3), np.uint8)
    image, gray = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    exif = Image.Exif()
    exif[0x0112] = 6

    def frames() -> dict[str, Any]:  # anew each time: a save leaves its options on an image
        return {"save_all": True, "append_images": [image.rotate(90)]}

    return {
        "jpeg": _encoded("JPEG"),
        "jpeg progressive": encode(image, "JPEG", progressive=True, exif=exif),
        "jpeg cmyk": encode(image.convert("CMYK"), "JPEG"),
        "mpo": encode(image, "MPO", **frames()),
        "png": encode(image, "PNG", exif=exif),
        "png palette": encode(image.quantize(16), "PNG", transparency=3),
        "png 16 bit": encode(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG"),
        "png animated": encode(image, "PNG", **frames()),
        "png gray alpha": encode(gray.convert("LA"), "PNG"),
        "webp": _encoded("WEBP"),
        "webp lossless alpha": encode(image.convert("RGBA"), "WEBP", lossless=True),
        "webp animated": encode(image, "WEBP", **frames()),
        "bmp": _encoded("BMP"),
        "bmp palette": encode(image.quantize(16), "BMP"),
        "gif": _encoded("GIF"),
        "gif animated": encode(image.quantize(8), "GIF", **frames()),
        "tiff": encode(image, "TIFF", exif=exif),
        "tiff lzw": encode(image, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encode(image, "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": encode(image, "TIFF", compression="jpeg"),
        "tiff packbits": encode(gray.convert("1"), "TIFF", compression="packbits"),
        "tiff group 4": encode(gray.convert("1"), "TIFF", compression="group4"),
        "tiff float": encode(gray.convert("F"), "TIFF"),
        "tiff frames": encode(image, "TIFF", **frames()),
        "avif": encode(image, "AVIF", exif=exif),
        "avif alpha": encode(image.convert("RGBA"), "AVIF"),
        "avif sequence": encode(image, "AVIF", **frames()),
        **{f"heic {path.stem}": path.read_bytes() for path in sorted(HEIC.glob("*.heic"))},
    }


_SEEDS = _seeds()
_CHANGE = st.one_of(
    st.tuples(st.just("set"), st.floats(0, 1), st.integers(0, 255)),
    st.tuples(st.just("set"), st.floats(0, 0.2), st.sampled_from([0, 1, 127, 128, 255])),
    st.tuples(st.just("cut"), st.floats(0, 1), st.integers(1, 64)),
    st.tuples(st.just("double"), st.floats(0, 1), st.integers(1, 64)),
    st.tuples(st.just("end"), st.floats(0, 1), st.just(0)),
)


def _changed(data: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    """A file with bytes set, cut out, doubled, or its end cut off."""
    for kind, where, amount in changes:
        at = int(where * max(len(data) - 1, 0))
        if kind == "set":
            data = data[:at] + bytes([amount]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + amount :]
        elif kind == "double":
            data = data[: at + amount] + data[at:]
        else:
            data = data[:at]
    return data


@pytest.mark.parametrize("seed", _SEEDS)
def test_every_seed_is_a_photo(seed: str) -> None:
    assert _code(_SEEDS[seed]) == "ok"


@settings(deadline=None)
@example("tiff float", [("set", 0.07086579489269101, 127)])  # a signalling NaN
@given(st.sampled_from(sorted(_SEEDS)), st.lists(_CHANGE, min_size=1, max_size=12))
def test_damaged_bytes_give_a_reason_or_pixels(
    seed: str, changes: list[tuple[str, float, int]]
) -> None:
    photo = decode(_REF, _changed(_SEEDS[seed], changes), _SMALL)
    if isinstance(photo, Unreadable):
        assert photo.message
        assert "\n" not in photo.message
        assert len(photo.message) <= 160
    else:
        assert photo.pixels.shape == (8, 8, 3)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_says_nothing_and_the_photo_counts(file_format: str) -> None:
    assert _code(encode(Image.new("RGB", (9, 9)), file_format, exif=b"Exif\0\0MM\0*")) == "ok"


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
