"""AVIF and HEIC give the pixels of the picture, upright, whatever turns them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scene_batch.model import containers
from scene_batch.model.decode import decode
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import Decoded, ImageRef, Pixels, Unreadable
from support import HEIC, encode, small_picture

_WHOLE = Preprocess(32, 48)
_AS_STORED = {  # how the picture lies in a file that says how to turn it (Exif 2.32)
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, 1),
    8: lambda pixels: np.rot90(pixels, -1),
}


def _pixels(data: bytes) -> Pixels:
    photo = decode(ImageRef("photo"), data, _WHOLE)
    assert isinstance(photo, Decoded), photo
    return photo.pixels


def _differ(data: bytes, want: Pixels | None = None) -> float:
    """The mean difference of a photo from the picture, 0 to 255."""
    picture = np.asarray(small_picture()) if want is None else want
    return float(np.abs(_pixels(data).astype(int) - picture).mean())


@pytest.mark.parametrize("name", ["upright", "turned", "mirrored", "ten-bit", "several"])
def test_a_heic_shows_the_picture_upright(name: str) -> None:
    assert _differ((HEIC / f"{name}.heic").read_bytes()) < 4


@pytest.mark.parametrize("orientation", _AS_STORED)
def test_an_avif_shows_the_picture_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(_AS_STORED[orientation](np.asarray(small_picture())))
    data = encode(Image.fromarray(stored), "AVIF", quality=95, subsampling="4:4:4", exif=exif)
    assert _differ(data) < 4


def test_alpha_is_laid_on_white() -> None:
    want = np.asarray(small_picture()).copy()
    want[:, :24] = 255
    assert _differ((HEIC / "alpha.heic").read_bytes(), want) < 4
    alpha = Image.new("L", (48, 32), 255)
    alpha.paste(0, (0, 0, 24, 32))
    picture = small_picture()
    picture.putalpha(alpha)
    assert _differ(encode(picture, "AVIF", quality=95, subsampling="4:4:4"), want) < 4


def test_of_an_avif_sequence_the_first_picture_counts() -> None:
    second = Image.new("RGB", (48, 32))
    options = {"quality": 95, "subsampling": "4:4:4", "append_images": [second]}
    assert _differ(encode(small_picture(), "AVIF", save_all=True, **options)) < 4


def test_without_pi_heif_a_heic_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_pi_heif", None)
    containers._heif.cache_clear()
    photo = decode(ImageRef("named.jpg"), (HEIC / "upright.heic").read_bytes(), _WHOLE)
    assert isinstance(photo, Unreadable)
    assert (photo.code, photo.message) == (
        "unknown_format",
        "a HEIC photo: pip install 'scene-batch[heif]'",
    )
    containers._heif.cache_clear()


def test_brands_tell_what_a_file_holds(tmp_path: Path) -> None:
    def kind(*brands: bytes) -> str | None:
        box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
        return containers.container_kind((len(box) + 4).to_bytes(4) + box + b"heic")

    assert kind(b"heic", b"mif1") == kind(b"mif1", b"heic") == kind(b"mif1") == "HEIF"
    assert kind(b"avif", b"mif1") == kind(b"mif1", b"avif") == kind(b"avis") == "AVIF"
    assert kind(b"isom", b"mp42") is None  # a video
    assert containers.container_kind(b"") is None
    video = decode(ImageRef("a.heic"), b"\0\0\0\x14ftypisom\0\0\0\0mp42" + bytes(99), _WHOLE)
    assert isinstance(video, Unreadable)
    assert video.code == "unknown_format"


def test_a_sequence_whose_clock_stands_still_is_damaged() -> None:
    options = {"save_all": True, "append_images": [Image.new("RGB", (48, 32))]}
    data = encode(small_picture(), "AVIF", **options)
    clock = data.index(b"mdhd") + 4
    version = data[clock]
    at = clock + (20 if version else 12)  # ISO 14496-12: the ticks of a second
    photo = decode(ImageRef("photo"), data[:at] + bytes(4) + data[at + 4 :], _WHOLE)
    assert isinstance(photo, Unreadable)
    assert (photo.code, photo.message) == ("corrupt", "division by zero")
