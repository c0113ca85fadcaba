"""What a photo needs is known before it is decoded, and what it takes is no more."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from large_photos import KINDS, tiled_tiff
from scene_batch import memory
from scene_batch.memory import Budget, PhotoMemory
from scene_batch.model.attempt import Attempt, Limits
from scene_batch.model.decode import decode
from scene_batch.model.decode_memory import MOST_SCANS, decoding_bytes
from scene_batch.model.predictor import Predictor
from scene_batch.model.preprocess import Preprocess
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import ImageRef, Unreadable
from scene_batch.sources import reading
from support import HEIC, encode, printed_by

_SIDE, _CONSTANT = 2500, 16 << 20
_KINDS = (
    *("png 16 bit", "png gray alpha", "jpeg progressive 4:4:4"),
    *("webp", "tiff turned", "tiff one tile"),
)
_PREPROCESS = Preprocess(64, 64)

_MEASURE = f"""
import sys
sys.path.insert(0, {str(__file__).rpartition("/runner/")[0]!r})
import large_photos
from PIL import AvifImagePlugin
large_photos.decoded(large_photos.KINDS["png gray alpha"](1100))  # what is loaded only once
for kind in {_KINDS!r}:
    print(*large_photos.measured(lambda: large_photos.KINDS[kind]({_SIDE})))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork and /proc")
def test_the_peak_is_at_most_the_need_and_a_constant() -> None:
    lines = [line.split() for line in printed_by(_MEASURE).splitlines()]
    for kind, (code, need, peak) in zip(_KINDS, lines, strict=True):
        assert code == "ok", kind
        assert int(peak) <= int(need) + _CONSTANT, kind
        assert int(need) <= 3 * int(peak) + _CONSTANT, kind


def _decoded(data: bytes, budget: Budget) -> str:
    photo = decode(ImageRef("photo"), data, _PREPROCESS, Limits(budget, Attempt()))
    return f"{photo.code}: {photo.message}" if isinstance(photo, Unreadable) else "ok"


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_a_reason_and_the_memory_is_given_back(kind: str) -> None:
    data = KINDS[kind](750)
    with Image.open(io.BytesIO(data)) as image:
        need = decoding_bytes(image, data, _PREPROCESS)
    enough, short = Budget(need), Budget(need - 1)
    assert _decoded(data, enough) == "ok"
    assert _decoded(data, short).startswith("too_large: it needs")
    assert _decoded(data[: len(data) // 2], enough) != ""
    enough.take(need)
    short.take(need - 1)


def test_a_small_photo_is_not_counted_unless_it_is_a_tiff() -> None:
    nothing = Budget(100_000)  # more than the files, less than what is in them
    assert _decoded(KINDS["webp"](700), nothing) == "ok"
    assert _decoded(tiled_tiff(16, 16), nothing) == "ok"
    assert _decoded(tiled_tiff(16, 1024), nothing).startswith("too_large: it needs 4 MB")


def test_a_file_larger_than_the_memory_is_not_even_opened() -> None:
    webp = KINDS["webp"](64)
    assert "too_large: it needs" in _decoded(webp + bytes(1000), Budget(2 * len(webp)))


def _scans(number: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    data = encode(Image.new("L", (64, 64), 99), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    again = data[last:-2]
    return data[:last] + again * (number - data.count(b"\xff\xda") + 1) + b"\xff\xd9"


def test_an_absurd_number_of_scans_is_refused_before_decoding() -> None:
    assert _decoded(_scans(MOST_SCANS), Budget(1 << 30)) == "ok"
    begun = time.perf_counter()
    answer = _decoded(_scans(100_000), Budget(1 << 30))
    assert answer == f"too_large: a JPEG of more than {MOST_SCANS} scans"
    assert time.perf_counter() - begun < 1
    # What follows the photo, such as a phone's video, says nothing.
    assert _decoded(_scans(20) + b"\xff\xda\0\2" * 1000, Budget(1 << 30)) == "ok"
    # Nor do a comment's bytes hide what follows them.
    data = _scans(1000)
    start = data.index(b"\xff\xda")
    hidden = data[:start] + b"\xff\xfe\0\6\xff\xd9\xff\xd9" + data[start:]
    assert _decoded(hidden, Budget(1 << 30)).startswith("too_large")


def test_a_jpeg_that_is_decoded_smaller_needs_less() -> None:
    data = encode(Image.new("RGB", (4000, 3000)), "JPEG")
    with Image.open(io.BytesIO(data)) as image:
        full = decoding_bytes(image, data, Preprocess(64, 64))
        scaled = decoding_bytes(image, data, Preprocess(64, 64, decoding="scaled"))
    assert full - scaled > 12_000_000 * 3.9


def test_a_file_that_cannot_fit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (memory, reading):
        monkeypatch.setattr(module, "photo_memory", lambda: PhotoMemory(1000, 5_000_000))
    photo = tmp_path / "large.tif"
    with photo.open("wb") as file:
        file.truncate(5_000_001)
    reader = reading.Reader()
    read = reader.read(ImageRef(str(photo))).data
    assert isinstance(read, Unreadable)
    assert (read.code, read.message) == (
        "too_large",
        "it needs 6 MB of memory, and decoding may use 5 MB",
    )
    os.truncate(photo, 5_000_000)
    assert reader.read(ImageRef(str(photo))).data == bytes(5_000_000)


def test_an_iphones_folder_is_classified(colours: Predictor, tmp_path: Path) -> None:
    for number, suffix in enumerate(("HEIC", "heif", "avif", "heic")):
        name = tmp_path / "photos" / f"{number}.{suffix}"
        name.parent.mkdir(exist_ok=True)
        name.write_bytes((HEIC / "turned.heic").read_bytes())
    record = run(Job((str(tmp_path / "photos"),), str(tmp_path / "p.parquet")), colours)
    assert (record.photos, record.ok, record.ignored["other"]) == (4, 4, 0)
