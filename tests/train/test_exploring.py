"""A look at a training set: what is said and written is what is there."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scene_batch.errors import TrainingError
from scene_batch_train.exploring import explore
from support import printed_by, scene_batch


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, Path]:
    """Nine cats and three dogs, a conflict among them, a leak, and a broken file."""
    random = np.random.default_rng(4)
    data, test = tmp_path / "data", tmp_path / "test"
    for folder, name, count in (
        (data, "cat", 9),
        (data, "dog", 3),
        (test, "cat", 2),
        (test, "dog", 2),
    ):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
            photo = small.resize((160, 120), Image.Resampling.BICUBIC)
            photo.save(folder / name / f"{number}.png")
    (data / "dog" / "twin.png").write_bytes((data / "cat" / "0.png").read_bytes())
    with Image.open(data / "cat" / "1.png") as photo:
        photo.resize((80, 60)).save(test / "cat" / "leak.jpg", quality=60)
        photo.convert("L").save(data / "cat" / "grey.png")
    (data / "dog" / "broken.jpg").write_bytes(b"no photo")
    return data, test


def test_everything_that_is_there_is_said(photos: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = "\n".join(explore(*photos, out))
    assert "19 photos in 2 classes" in said
    assert "cat: 10, 3 for testing" in said
    assert "dog: 4, 2 for testing" in said
    assert "unbalanced, 2.5 to 1" in said
    assert "80x60 to 160x120, median 160x120" in said
    assert "modes: RGB 18, L 1; formats: PNG 18, JPEG 1" in said
    assert "exact duplicates: 1 pairs, 1 with conflicting classes, 0 between" in said
    assert "near duplicates: 1 pairs, 0 with conflicting classes, 1 between data and test" in said
    assert f"{photos[0]}/dog/broken.jpg: unknown_format" in said
    with (out / "photos.csv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 20
    grouped = [path for path, row in rows.items() if row["group"]]
    assert len(grouped) == 4
    assert rows[f"{photos[0]}/dog/broken.jpg"]["error"].startswith("unknown_format")
    with (out / "duplicates.csv").open(newline="") as file:
        kinds = [
            (row["kind"], row["first_class"], row["second_class"], row["leak"])
            for row in csv.DictReader(file)
        ]
    assert kinds == [("exact", "cat", "dog", "no"), ("near", "cat", "cat", "yes")]
    assert {path.name for path in out.glob("*.png")} == {
        "classes.png",
        "sizes.png",
        "duplicates.png",
    }


def test_the_command_says_it_and_does_not_overwrite(
    photos: tuple[Path, Path], tmp_path: Path
) -> None:
    data, _ = photos
    done = scene_batch("explore", str(data), "--out", str(tmp_path / "out"))
    assert done.returncode == 0
    assert b"14 photos in 2 classes" in done.stdout
    again = scene_batch("explore", str(data), "--out", str(tmp_path / "out"))
    assert again.returncode == 1
    assert b"give --out a new folder" in again.stderr


def test_photos_that_cannot_be_looked_at_are_said(
    photos: tuple[Path, Path], tmp_path: Path
) -> None:
    data, _ = photos
    with pytest.raises(TrainingError, match="are the same photos"):
        explore(data, data, tmp_path / "out")
    for photo in data.rglob("*.png"):
        photo.write_bytes(b"no photo")
    with pytest.raises(TrainingError, match=r"no photo of .* can be read"):
        explore(data, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_class_names_are_not_formulas(photos: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = photos
    (data / "cat").rename(data / "$_$")
    explore(data, None, tmp_path / "out")
    assert (tmp_path / "out" / "classes.png").exists()
    os.rename(os.fsencode(data / "dog"), os.fsencode(data) + b"/caf\xe9")  # noqa: PTH104
    with pytest.raises(TrainingError, match="has a name that is not UTF-8"):
        explore(data, None, tmp_path / "out2")


def test_exploring_needs_no_tensorflow() -> None:
    code = "import sys, scene_batch_train.exploring; print('keras' in sys.modules)"
    assert printed_by(code).strip() == "False"
