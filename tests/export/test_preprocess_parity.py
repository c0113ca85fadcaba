"""The same pixels as of the pipelines that a description speaks of, byte for byte.

``benchmarks/preprocess_parity.py`` noted the originals' as hashes; none of them is needed here.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import PIL
import pytest

from made_up_photos import FLAT_COLOUR, made_up_photos
from pixel_parity import (
    EXPECTED,
    SHORT,
    digest,
    digest_of_all,
    pillows_own,
    pipeline_from,
    pixels_of,
)
from scene_batch.errors import UsageError
from scene_batch.model.preprocess import Preprocess
from scene_batch_export.adopted.pipeline import Pipeline

_NOTED = json.loads(EXPECTED.read_text())
_CASES = [pytest.param(case, id=f"{case['original']}: {case['name']}") for case in _NOTED["cases"]]


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    """The photos, unless this Pillow makes other pixels of them than the one that was noted."""
    made = made_up_photos()
    assert list(made) == _NOTED["photos"]
    theirs = _NOTED["versions"]["pillow"]
    same = pillows_own(made) == _NOTED["pillows_own"]
    if not same and _minor(PIL.__version__) != _minor(theirs):
        pytest.skip(f"Pillow {PIL.__version__} resizes otherwise than {theirs} did")
    assert same, "the photos are not those whose pixels were noted"
    return made


@pytest.mark.parametrize("case", _CASES)
def test_pixels_are_the_originals(case: dict[str, Any], photos: dict[str, bytes]) -> None:
    preprocess = pipeline_from(case["description"]).preprocess
    digests = _digests(preprocess)
    noted = dict(zip(photos, case["each"].split(), strict=True))
    others = [
        name for name, each in zip(photos, digests, strict=True) if noted[name] != each[:SHORT]
    ]
    assert not others
    assert digest_of_all(list(digests)) == case["all"]


@pytest.mark.parametrize("case", _CASES)
def test_numbers_are_the_originals(case: dict[str, Any]) -> None:
    pipeline = pipeline_from(case["description"])
    pixel = np.array([[FLAT_COLOUR]], np.uint8)
    black_and_white = [np.full((1, 1, 3), level, np.uint8) for level in (0, 255)]
    width = float(np.ptp(pipeline.numbers(black_and_white)))
    assert pipeline.numbers([pixel])[0, 0, 0] == pytest.approx(case["colour"], abs=1e-6 * width)


@pytest.mark.parametrize(
    "description",
    [
        {"image_processor": {"image_processor_type": "ViTImageProcessor"} | value}
        for value in (
            {"size": {"shortest_edge": 224}},
            {"size": {"shortest_edge": 224, "longest_edge": 448}, "do_center_crop": True},
            {"do_resize": False},
            {"do_center_crop": True},
            {"do_pad": True, "pad_size": {"height": 256, "width": 256}},
            {"resample": 6},
            {"image_processor_type": "ConvNextImageProcessor", "size": {"height": 9, "width": 9}},
            {"image_processor_type": "ConvNextImageProcessor", "do_center_crop": True},
            {"image_processor_type": "SiglipImageProcessor", "size": 224},
            {"image_processor_type": "SamImageProcessor"},
        )
    ]
    + [
        {"pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "bicubic"} | value}
        for value in (
            {"interpolation": "random"},
            {"crop_mode": "corner"},
            {"input_size": [1, 28, 28]},
            {"input_size": [224, 224]},
            {"crop_pct": "all"},
        )
    ],
    ids=str,
)
def test_what_cannot_be_followed_is_refused(description: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        pipeline_from(description)


@cache
def _digests(preprocess: Preprocess) -> tuple[str, ...]:
    """Of all photos; many descriptions differ in their scaling only."""
    pipeline = Pipeline(preprocess)
    return tuple(digest(pixels_of(pipeline, photo)) for photo in made_up_photos().values())
