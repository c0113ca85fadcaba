"""Small pictures: all of the photo, upright, in its shape; broken ones say why."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from made_up_photos import made_up_photos
from scene_batch.model.thumbnail import thumbnail
from scene_batch.records import ImageRef, Unreadable

REF = ImageRef("a")
LONGEST = 48


@pytest.mark.parametrize("name", ["270x180", "61x181", "7x1", *(f"exif-{n}" for n in range(1, 9))])
def test_it_is_the_photo_upright_and_in_its_shape(name: str) -> None:
    data = made_up_photos()[name]
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    scale = LONGEST / max(upright.size)
    width, height = (max(1, int(edge * scale)) for edge in upright.size)
    found = thumbnail(REF, data, LONGEST)
    assert not isinstance(found, Unreadable)
    assert found.shape == (height, width, 3)
    want = np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR), int)
    assert np.abs(found - want).max() <= 1


def test_a_large_jpeg_is_as_well() -> None:
    slope = np.linspace(0, 255, 2001, dtype=np.uint8)
    image = Image.fromarray(np.broadcast_to(slope, (1001, 2001)))
    file = io.BytesIO()
    image.save(file, "JPEG")
    found = thumbnail(REF, file.getvalue(), LONGEST)
    assert not isinstance(found, Unreadable)
    assert found.shape == (24, LONGEST, 3)
    assert (np.diff(found[12, :, 0].astype(int)) > 0).all()


def test_what_cannot_be_decoded_says_why() -> None:
    found = thumbnail(REF, b"no photo", LONGEST)
    assert isinstance(found, Unreadable)
    assert found.code == "unknown_format"
