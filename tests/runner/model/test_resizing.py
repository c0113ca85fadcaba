"""Converting and resizing by strips gives the pixels that the whole gives, bit for bit."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scene_batch.model import resizing
from scene_batch.model.preprocess import Preprocess
from scene_batch.model.resizing import Alpha, to_rgb, to_rgb_resized
from support import encode

_FILTERS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def _image(mode: str, size: tuple[int, int]) -> Image.Image:
    random = np.random.default_rng(size[0] * size[1])
    shape = size[::-1]
    if mode in ("I;16", "I", "F"):
        values = random.integers(0, 65536, shape)
        # A single value above 1, in the last row, decides what is white.
        floats = np.where(np.arange(values.size).reshape(shape) == values.size - 3, 200.0, 0.7)
        image = Image.fromarray(
            {"I;16": values.astype(np.uint16), "I": values.astype(np.int32)}.get(
                mode, (floats * values / 65536).astype(np.float32)
            )
        )
        assert image.mode == mode
        return image
    pixels = random.integers(0, 256, (*shape, 4), np.uint8)
    if mode == "P transparent":
        image = Image.fromarray(pixels[..., :3]).quantize(32)
        image.info["transparency"] = bytes(range(0, 256, 8))
    elif mode == "RGB transparent":
        image = Image.fromarray(pixels[..., :3] // 128)
        image.info["transparency"] = (1, 0, 1)
    elif mode == "P":
        image = Image.fromarray(pixels[..., :3]).quantize(64)
    else:
        image = Image.fromarray(pixels, "RGBA").convert(mode)
    return image


_MODES = (
    *("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"),
    *("P transparent", "RGB transparent"),
)


@pytest.mark.parametrize("filter_name", _FILTERS)
@pytest.mark.parametrize("mode", _MODES)
def test_strips_give_the_pixels_of_the_whole(
    mode: str, filter_name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in ((61, 47), (9, 201), (28, 71), (24, 16)):
        image = _image(mode, size)
        for fit in ("crop", "stretch"):
            for pixels in (20, 130, 1500):  # narrower than a row, some rows, many
                preprocess = Preprocess(16, 24, filter_name, fit)  # type: ignore[arg-type]
                monkeypatch.setattr(resizing, "_DIRECT_PIXELS", 1 << 20)
                whole = preprocess.apply(image)
                monkeypatch.setattr(resizing, "_DIRECT_PIXELS", 0)
                monkeypatch.setattr(resizing, "STRIP_PIXELS", pixels)
                assert np.array_equal(preprocess.apply(image), whole), (size, fit, pixels)


def test_a_large_photo_is_converted_by_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than a strip at a time, so that no second whole image is in memory."""
    converted = []

    def seen(image: Image.Image, full: float | None = None, alpha: Alpha = "white") -> Image.Image:
        converted.append(image.width * image.height)
        return to_rgb(image, full, alpha)

    monkeypatch.setattr(resizing, "to_rgb", seen)
    for size in ((1500, 1200), (1, 1_500_000), (1_500_000, 1)):
        converted.clear()
        small = to_rgb_resized(Image.new("LA", size), (8, 8), Image.Resampling.BOX, (0, 0, 1, 1))
        assert small.size == (8, 8)
        assert sum(converted) == size[0] * size[1]
        assert max(converted) <= resizing.STRIP_PIXELS


def test_a_large_file_gives_the_pixels_of_the_straightforward_way() -> None:
    image = _image("I;16", (1301, 1003))
    opened = Image.open(io.BytesIO(encode(image, "PNG")))
    straight = to_rgb(image).resize((32, 32), Image.Resampling.BILINEAR, box=(149, 0, 1152, 1003))
    assert np.array_equal(Preprocess(32, 32).apply(opened), np.asarray(straight))
