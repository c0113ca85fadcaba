"""Preprocessing that only format 2 can say: resize and then crop, padding, filters, alpha."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from scene_batch.errors import ModelError
from scene_batch.memory import Budget
from scene_batch.model import resizing
from scene_batch.model.attempt import Attempt, Limits
from scene_batch.model.card import ModelCard
from scene_batch.model.decode import decode
from scene_batch.model.geometry import kept_shape
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import Decoded, ImageRef
from support import encode

_TODAY = {
    "height": 8,
    "width": 9,
    "filter": "bilinear",
    "fit": "crop",
    "orientation": "exif",
    "decoding": "full",
}
_NEW: list[dict[str, Any]] = [
    {"fit": "shorter", "resize": [10, 10]},
    {"fit": "longer", "pad": [1, 2, 3]},
    {"fit": "stretch", "resize": [10, 11]},
    {"fit": "shorter", "rounding": "nearest"},
    {"fit": "shorter", "centre": "floor"},
    {"orientation": "exif-first"},
    {"alpha": "dropped"},
    {"filter": "hamming"},
    {"filter": "box"},
]


def _photo(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(width * height)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("new", _NEW)
def test_format_2_is_written_only_where_it_is_needed(new: dict[str, Any]) -> None:
    card = ModelCard(("a", "b"), Preprocess.from_json(_TODAY | new), "m", "1", "now", "fp32")
    metadata = card.to_metadata()
    assert metadata["scene_batch.format"] == "2"
    assert card.preprocess == ModelCard.from_metadata(metadata, __file__).preprocess  # type: ignore[arg-type]
    old = ModelCard(("a", "b"), Preprocess.from_json(_TODAY), "m", "1", "now", "fp32")
    assert old.to_metadata()["scene_batch.format"] == "1"
    assert old.preprocess.to_json() == _TODAY


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ({"resize": [8, 8]}, "fit 'crop' has no resize"),
        ({"fit": "shorter", "resize": [8]}, "is not \\(height, width\\)"),
        ({"fit": "shorter", "resize": [8, 1 << 20]}, "is not \\(height, width\\)"),
        ({"fit": "shorter", "resize": [8, 0.5]}, "is not \\(height, width\\)"),
        ({"pad": [0, 0, 256]}, "is no colour"),
        ({"pad": "black"}, "is no colour"),
        ({"rounding": "up"}, "rounding 'up' is not one of down, nearest"),
        ({"alpha": "black"}, "alpha 'black' is not one of white, dropped"),
        ({"zoom": 2}, "this version cannot follow it"),
    ],
)
def test_what_cannot_be_followed_is_refused(new: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Preprocess.from_json(_TODAY | new)


@given(st.tuples(*[st.integers(1, 5000)] * 2), st.tuples(*[st.integers(1, 600)] * 2), st.booleans())
def test_one_edge_is_the_targets_and_the_other_in_proportion(
    size: tuple[int, int], target: tuple[int, int], longer: bool
) -> None:
    for rounding in ("down", "nearest"):
        found = kept_shape(size, target, longer=longer, rounding=rounding)  # type: ignore[arg-type]
        assert found[0] == target[0] or found[1] == target[1]
        fits = [a <= b for a, b in zip(found, target, strict=True)]
        covers = [a >= b for a, b in zip(found, target, strict=True)]
        assert all(fits if longer else covers)
        off = abs(found[0] * size[1] - found[1] * size[0])
        assert off <= max(size) or 1 in found


def test_pad_is_around_a_photo_that_does_not_fill_the_input() -> None:
    letterbox = Preprocess(10, 10, fit="longer", pad=(9, 8, 7))
    pixels = letterbox.apply(Image.new("RGB", (40, 20), (200, 0, 0)))
    assert (pixels[[0, 1, 7, 8, 9]] == (9, 8, 7)).all()
    assert (pixels[2:7] == (200, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("fit", ["crop", "stretch", "shorter", "longer"])
@pytest.mark.parametrize("strips", [False, True])
def test_turned_first_is_as_if_the_photo_lay_upright(
    fit: Any, orientation: int, strips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if strips:
        monkeypatch.setattr(resizing, "_DIRECT_PIXELS", 0)
        monkeypatch.setattr(resizing, "STRIP_PIXELS", 130)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    _photo(63, 41).convert("CMYK").save(file, "JPEG", exif=exif)
    preprocess = Preprocess(20, 24, "bicubic", fit, "exif-first")
    upright = ImageOps.exif_transpose(Image.open(file))
    got = preprocess.apply(Image.open(file))
    assert np.array_equal(got, preprocess.apply(upright))
    scaled = Preprocess(5, 4, "bicubic", fit, "exif-first", "scaled")
    plain = Preprocess(5, 4, "bicubic", fit, "exif-first")
    far = np.abs(scaled.apply(Image.open(file)).astype(int) - plain.apply(Image.open(file)))
    assert far.mean() < 12


def test_a_sliver_is_refused_before_it_becomes_gigabytes() -> None:
    preprocess = Preprocess(224, 224, fit="shorter", resize=(256, 256))
    limits = Limits(Budget(256 << 20), Attempt())
    for long, is_read in ((200, True), (2000, False), (60_000, False)):
        for size in ((1, long), (long, 1)):
            data = encode(Image.new("RGB", size), "PNG")
            got = decode(ImageRef("x"), data, preprocess, limits)
            assert isinstance(got, Decoded) if is_read else got.code == "too_large"  # type: ignore[union-attr]


def test_dropped_alpha_shows_the_colours_below() -> None:
    for mode, colour, want in (("RGBA", (9, 80, 7, 0), (9, 80, 7)), ("LA", (50, 0), (50,) * 3)):
        image = Image.new(mode, (3, 3), colour)
        assert (Preprocess(3, 3, alpha="dropped").apply(image) == want).all()
        assert (Preprocess(3, 3).apply(image) == 255).all()
