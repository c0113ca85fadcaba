"""Hard photos through a whole run: each ends as pixels by a defined conversion, or says why not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scene_batch.model.decode import decode
from scene_batch.model.predictor import Predictor
from scene_batch.model.preprocess import Preprocess
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import Decoded, ImageRef, Unreadable
from scene_batch.sources.listing import Listing
from scene_batch.sources.reading import read
from support import encode, save_photo, scene_batch

_GREEN = Image.new("RGB", (40, 30), (0, 200, 0))


def _palette(**more: Any) -> bytes:
    image = _GREEN.quantize(4)
    return encode(image, "PNG", **more)


def _deep_tiff(mode: str, value: float) -> bytes:
    return encode(Image.new(mode, (40, 30), value), "TIFF")


_GRAY = np.uint16(40_000)
_FRAMES = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        (encode(_GREEN, "JPEG", progressive=True), (0, 200, 0)),
        (encode(_GREEN.convert("CMYK"), "JPEG"), (0, 200, 0)),
        (encode(_GREEN.convert("YCbCr"), "JPEG"), (0, 200, 0)),
        (encode(_GREEN.convert("L"), "JPEG"), (117, 117, 117)),
        (_palette(), (0, 200, 0)),
        (_palette(transparency=0), (255, 255, 255)),
        (encode(_GREEN.convert("RGBA"), "PNG"), (0, 200, 0)),
        (encode(_GREEN.convert("1"), "PNG"), None),
        (encode(_GREEN, "TIFF", compression="tiff_lzw"), (0, 200, 0)),
        (encode(_GREEN.convert("CMYK"), "TIFF", compression="tiff_adobe_deflate"), (0, 200, 0)),
        (_deep_tiff("I;16", int(_GRAY)), (156, 156, 156)),
        (_deep_tiff("I", int(_GRAY)), (156, 156, 156)),
        (_deep_tiff("F", 0.5), (128, 128, 128)),
        (encode(_FRAMES[0], "GIF", save_all=True, append_images=_FRAMES[1:]), (254, 0, 0)),
        (encode(_FRAMES[0], "WEBP", save_all=True, append_images=_FRAMES[1:], lossless=True), None),
        (encode(_FRAMES[0], "TIFF", save_all=True, append_images=_FRAMES[1:]), (255, 0, 0)),
        (encode(_FRAMES[0], "PNG", save_all=True, append_images=_FRAMES[1:]), (255, 0, 0)),
        (encode(_FRAMES[0], "MPO", save_all=True, append_images=_FRAMES[1:]), (254, 0, 0)),
        (encode(_GREEN.convert("RGBA"), "BMP"), (0, 200, 0)),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)
def test_a_container_ends_as_pixels(data: bytes, colour: tuple[int, int, int] | None) -> None:
    photo = decode(ImageRef("x"), data, Preprocess(8, 8))
    assert isinstance(photo, Decoded)
    if colour is not None:
        assert np.abs(photo.pixels.astype(int) - colour).max() <= 2


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter (pytest's own are for one user)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def another_user() -> Iterator[None]:
    """Root may read everything: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_photo_without_permission_is_a_row(open_folder: Path, another_user: None) -> None:
    os.seteuid(os.getuid())
    secret = save_photo(open_folder / "secret.png")
    secret.chmod(0)
    save_photo(open_folder / "open.png")
    if os.getuid() == 0:
        os.seteuid(65534)
    outcomes = {Path(ref.path).name: read(ref) for ref in Listing([str(open_folder)])}
    assert isinstance(outcomes["open.png"], bytes)
    secret_outcome = outcomes["secret.png"]
    assert isinstance(secret_outcome, Unreadable)
    assert secret_outcome.code == "permission"


def test_a_folder_without_permission_stops_the_run(open_folder: Path, another_user: None) -> None:
    os.seteuid(os.getuid())
    (open_folder / "closed").mkdir(mode=0)
    save_photo(open_folder / "open.png")
    if os.getuid() == 0:
        os.seteuid(65534)
    with pytest.raises(Exception, match=r"cannot list .*closed.*: Permission denied; make it"):
        list(Listing([str(open_folder)]))


_NAMES = [
    b"new\nline.png",
    "🌲 forest.png".encode(),
    b"caf\xe9.png",
    b'"quoted",.png',
    b"tab\t.png",
]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_odd_names_travel_to_every_format(suffix: str, colour_model: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in _NAMES:
        save_photo(tmp_path / "x.png", "lime")
        (tmp_path / "x.png").rename(tmp_path / "photos" / os.fsdecode(name))
    out = tmp_path / f"p{suffix}"
    done = scene_batch("run", "photos", "--out", out, "--model", colour_model, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if suffix == ".parquet":
        rows = pq.read_table(out).to_pylist()
    elif suffix == ".csv":
        with out.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    else:
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    want = [b"photos/" + name for name in sorted(_NAMES)]
    assert [row["path"] for row in rows] == [n.decode("utf-8", "backslashreplace") for n in want]
    assert {row["class"] for row in rows} == {"green"}


def test_an_odd_name_in_an_error_is_one_line(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/gone\n\xe9\x1b[31m")
    done = scene_batch("run", name, "--out", tmp_path / "p.csv")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"\x1b" not in done.stderr


def test_a_photo_that_vanishes_or_shrinks_is_a_row(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    for name in ("a", "b", "c"):
        save_photo(photos / f"{name}.png", size=(200, 200))
    refs = list(Listing([str(photos)]))
    (photos / "a.png").unlink()
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes()[:100])
    monkeypatch.setattr("scene_batch.sources.listing.Listing._refs", lambda self: iter(refs))
    record = run(Job((str(photos),), str(tmp_path / "p.parquet")), colours)
    assert record.photos == 3
    errors = [row["error"] for row in pq.read_table(tmp_path / "p.parquet").to_pylist()]
    assert errors[0] == "missing: no such file"
    assert errors[1].startswith("truncated: ")
    assert errors[2] is None


def test_things_that_are_no_files_are_rows(
    colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    save_photo(photos / "x.jpg" / "in a folder.png")
    os.mkfifo(photos / "fifo.jpg")
    (photos / "device.jpg").symlink_to("/dev/zero")
    (photos / "null.jpg").symlink_to("/dev/null")
    (photos / "dangling.jpg").symlink_to("nowhere")
    (photos / "circle.jpg").symlink_to("circle.jpg")
    monkeypatch.chdir(photos)  # a socket's path may have 108 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
    run(Job((str(photos),), str(tmp_path / "p.parquet")), colours)
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    codes = {Path(row["path"]).name: (row["error"] or "ok").split(":")[0] for row in rows}
    assert codes == {
        "circle.jpg": "not_a_file",
        "dangling.jpg": "missing",
        "device.jpg": "not_a_file",
        "fifo.jpg": "not_a_file",
        "in a folder.png": "ok",
        "null.jpg": "not_a_file",
        "socket.jpg": "not_a_file",
    }
