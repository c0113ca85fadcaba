"""The pixels that a model sees, whatever the photo's size, mode and orientation."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scene_batch.errors import ModelError
from scene_batch.model.geometry import centred_box
from scene_batch.model.preprocess import Preprocess
from scene_batch.model.resizing import to_rgb
from support import encode

# What each EXIF orientation does to the upright photo's pixels when it is stored (Exif 2.32).
_STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def _noise(height: int, width: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def _stored(pixels: np.ndarray[Any, Any], orientation: int) -> Image.Image:
    """A PNG as a camera held another way stores it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored = _STORED[min(max(orientation, 1), 8)](pixels)
    Image.fromarray(np.ascontiguousarray(stored)).save(file, "PNG", exif=exif)
    return Image.open(file)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(12, 20), (31, 17)])
def test_every_orientation_gives_the_upright_pixels(
    orientation: int, size: tuple[int, int]
) -> None:
    pixels = _noise(*size)
    want = Preprocess(*size).apply(Image.fromarray(pixels))
    assert np.array_equal(want, pixels)
    assert np.array_equal(Preprocess(*size).apply(_stored(pixels, orientation)), pixels)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turning_and_resizing_commute(orientation: int) -> None:
    pixels, small = _noise(90, 60), Preprocess(32, 32)
    upright = small.apply(Image.fromarray(pixels)).astype(int)
    turned = small.apply(_stored(pixels, orientation)).astype(int)
    assert np.abs(turned - upright).max() <= 1  # Pillow rounds after each of its two passes


def test_stored_orientation_leaves_the_pixels_as_they_lie() -> None:
    pixels = _noise(20, 20)
    got = Preprocess(20, 20, orientation="stored").apply(_stored(pixels, 6))
    assert np.array_equal(got, np.rot90(pixels))


@pytest.mark.parametrize("orientation", [0, 9, 4000])
def test_an_orientation_out_of_range_says_nothing(orientation: int) -> None:
    pixels = _noise(8, 8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    assert np.array_equal(Preprocess(8, 8).apply(Image.open(file)), pixels)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["crop", "stretch"]),
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
)
def test_any_size_becomes_the_models_size(width: int, height: int, fit: Any, name: Any) -> None:
    photo = Image.new("RGB", (width, height), (200, 100, 50))
    pixels = Preprocess(16, 24, name, fit).apply(photo)
    assert (pixels.shape, pixels.dtype) == ((16, 24, 3), np.uint8)
    assert (pixels == (200, 100, 50)).all()  # one colour stays that colour at every edge


@given(st.tuples(*[st.integers(1, 5000)] * 2), st.tuples(*[st.integers(1, 600)] * 2))
def test_the_box_is_centred_of_the_targets_shape_and_as_large_as_it_can_be(
    size: tuple[int, int], target: tuple[int, int]
) -> None:
    left, upper, right, lower = centred_box(size, target)
    assert left + right == pytest.approx(size[0])
    assert upper + lower == pytest.approx(size[1])
    assert (right - left) * target[1] == pytest.approx((lower - upper) * target[0])
    assert left == pytest.approx(0) or upper == pytest.approx(0)
    assert left > -1e-6
    assert upper > -1e-6


@pytest.mark.parametrize("side", [71, 150, 224, 299])
def test_no_size_is_refused_for_its_rounding(side: int) -> None:
    """Pillow raises where a box is outside by one bit: 1944x2592 at 150 pixels, for one."""
    for shorter in range(1, 6001):
        for size in ((shorter, shorter + 1), (shorter + 1, shorter), (shorter, 2 * shorter)):
            left, upper, right, lower = centred_box(size, (side, side))
            assert 0 <= left < right <= size[0]
            assert 0 <= upper < lower <= size[1]


def test_a_camera_of_five_megapixels_is_read() -> None:
    assert Preprocess(150, 150).apply(Image.new("RGB", (2592, 1944))).shape == (150, 150, 3)


def test_crop_takes_the_middle_and_stretch_takes_all() -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    photo = Image.fromarray(pixels)
    assert (Preprocess(10, 10).apply(photo) == 255).all()
    assert Preprocess(10, 10, fit="stretch").apply(photo).mean() == pytest.approx(85, abs=2)


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.new("L", (2, 2), 100), (100, 100, 100)),
        (Image.new("P", (2, 2), 0), (0, 0, 0)),
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("YCbCr", (2, 2), (255, 128, 128)), (255, 255, 255)),
        (Image.new("HSV", (2, 2), (0, 255, 255)), (255, 0, 0)),
        (Image.new("RGBA", (2, 2), (0, 0, 255, 0)), (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (0, 0, 255, 255)), (0, 0, 255)),
        (Image.new("LA", (2, 2), (0, 51)), (204, 204, 204)),
        (Image.new("I;16", (2, 2), 65535), (255, 255, 255)),
        (Image.new("I;16", (2, 2), 25700), (100, 100, 100)),
        (Image.new("I", (2, 2), 25700), (100, 100, 100)),
        (Image.new("I", (2, 2), -5), (0, 0, 0)),
        (Image.new("F", (2, 2), 0.2), (51, 51, 51)),
        (Image.new("F", (2, 2), 51.0), (51, 51, 51)),
        (Image.new("F", (2, 2), float("nan")), (0, 0, 0)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else str(value),
)
def test_every_mode_has_a_defined_conversion(
    image: Image.Image, colour: tuple[int, int, int]
) -> None:
    converted = to_rgb(image)
    assert converted.mode == "RGB"
    assert converted.getpixel((0, 0)) == colour


def test_a_transparent_colour_is_laid_on_white() -> None:
    image = Image.new("RGB", (2, 2), (10, 20, 30))
    image.info["transparency"] = (10, 20, 30)
    assert to_rgb(image).getpixel((0, 0)) == (255, 255, 255)


def test_json_gives_the_same_back_and_nothing_unknown_is_followed() -> None:
    made = Preprocess(150, 100, "lanczos", "stretch", "stored", "scaled")
    assert Preprocess.from_json(made.to_json()) == made
    with pytest.raises(ModelError, match="cannot follow"):
        Preprocess.from_json(made.to_json() | {"colour": "BGR"})
    with pytest.raises(ModelError, match="not one of crop, stretch"):
        Preprocess.from_json(made.to_json() | {"fit": "pad"})
    with pytest.raises(ModelError, match="not positive"):
        Preprocess(0, 3)


def _jpeg(size: tuple[int, int], orientation: int = 1, mode: str = "RGB") -> Image.Image:
    """A smooth photo with a gradient in each direction."""
    height, width = size
    down, right = np.mgrid[0:height, 0:width]
    pixels = np.stack([down * 255 // height, right * 255 // width, (down + right) % 256], axis=2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored = _STORED[orientation](pixels.astype(np.uint8))
    image = Image.fromarray(np.ascontiguousarray(stored)).convert(mode)
    image.save(file, "JPEG", quality=95, subsampling=0, exif=exif)
    return Image.open(file)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_scaled_decoding_shows_what_full_decoding_shows(orientation: int, fit: Any) -> None:
    size = (803, 1201)  # no multiple of 8, nor of the model's size
    full = Preprocess(64, 48, fit=fit).apply(_jpeg(size, orientation)).astype(int)
    scaled = Preprocess(64, 48, fit=fit, decoding="scaled").apply(_jpeg(size, orientation))
    assert np.abs(scaled[..., :2] - full[..., :2]).max() <= 2  # the gradients: nothing has moved


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr"])
def test_scaled_decoding_keeps_the_colours_of_every_mode(mode: str) -> None:
    full = Preprocess(40, 40).apply(_jpeg((700, 700), mode=mode)).astype(int)
    scaled = Preprocess(40, 40, decoding="scaled").apply(_jpeg((700, 700), mode=mode))
    assert np.abs(scaled - full).mean() <= 2


@pytest.mark.parametrize(
    ("photo", "decoded"),
    [
        ((4000, 3000), (500, 375)),
        ((1600, 1601), (200, 201)),
        ((1599, 1600), (400, 400)),
        ((799, 800), (400, 400)),
        ((399, 400), (399, 400)),
        ((150, 150), (150, 150)),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_fraction_that_is_large_enough(
    photo: tuple[int, int], decoded: tuple[int, int]
) -> None:
    image = Image.open(io.BytesIO(encode(Image.new("RGB", photo), "JPEG")))
    Preprocess(200, 200, decoding="scaled").apply(image)
    assert image.size == decoded


def test_only_jpegs_are_scaled_and_only_where_the_model_says_so() -> None:
    pixels = _noise(400, 400)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    full, scaled = Preprocess(50, 50), Preprocess(50, 50, decoding="scaled")
    assert np.array_equal(full.apply(Image.open(png)), scaled.apply(Image.open(png)))
    jpeg = _jpeg((400, 400))
    full.apply(jpeg)
    assert jpeg.size == (400, 400)
    assert Preprocess.from_json({"height": 50, "width": 50}) == full  # files of before
