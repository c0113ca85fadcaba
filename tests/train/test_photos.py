"""Labelled photos: found, decoded, augmented; the unreadable ones left out by name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scene_batch.errors import TrainingError
from scene_batch.model.preprocess import Preprocess
from scene_batch_train import photos
from scene_batch_train.augment import augment, mix
from scene_batch_train.recipe import Augment
from support import save_shade


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    for number in range(30):
        save_shade(tmp_path / ("cat" if number < 20 else "dog") / f"{number:02}.png", number)
    (tmp_path / "dog" / "broken.jpg").write_bytes(b"no photo")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


def test_each_folder_is_a_class_in_sorted_order(labelled: Path) -> None:
    found, classes = photos.find_photos(labelled)
    assert classes == ["cat", "dog"]
    assert Counter(photo.class_index for photo in found) == {0: 20, 1: 11}
    assert [photo.ref.path for photo in found] == sorted(photo.ref.path for photo in found)


def test_unreadable_photos_are_left_out_by_name(labelled: Path) -> None:
    found, _ = photos.find_photos(labelled)
    loaded, unreadable = photos.load(found, Preprocess(8, 8), "decode")
    assert (loaded.pixels.shape, loaded.pixels.dtype) == ((30, 8, 8, 3), np.uint8)
    assert len(loaded.class_indices) == 30
    assert [(photo.ref.path, photo.code) for photo in unreadable] == [
        (f"{labelled}/dog/broken.jpg", "unknown_format")
    ]


@pytest.mark.parametrize("folders", [[], ["only"], ["one", "empty"]])
def test_too_few_classes_or_photos_are_refused(folders: list[str], tmp_path: Path) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir()
    if folders:
        save_shade(tmp_path / folders[0] / "a.png", 1)
    with pytest.raises(TrainingError):
        photos.find_photos(tmp_path)
    with pytest.raises(TrainingError, match="no such directory"):
        photos.find_photos(tmp_path / "gone")


_PHOTO = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)


def test_no_change_is_no_change() -> None:
    same = augment(_PHOTO, Augment(flip=False), np.random.default_rng(1))
    assert np.array_equal(same, _PHOTO)


def test_flip_mirrors_about_half() -> None:
    kinds = Counter(
        "same" if np.array_equal(got, _PHOTO) else "mirrored" * np.array_equal(got, _PHOTO[:, ::-1])
        for seed in range(200)
        for got in [augment(_PHOTO, Augment(flip=True), np.random.default_rng(seed))]
    )
    assert set(kinds) == {"same", "mirrored"}
    assert 60 < kinds["same"] < 140


def test_shear_slants_and_keeps_the_middle() -> None:
    photo = np.zeros((41, 41, 3), np.uint8)
    photo[:, 19:22] = 255  # an upright bar
    seen = set()
    for seed in range(20):
        got = augment(photo, Augment(flip=False, shear=20), np.random.default_rng(seed))
        tilt = [int(np.argmax(got[row, :, 0])) for row in (8, 20, 32)]
        assert abs(tilt[1] - 19) <= 1
        assert abs((tilt[0] - 20) + (tilt[2] - 20)) <= 3  # as far left above as right below
        seen.add(tilt[0] > tilt[2])
    assert seen == {True, False}


def test_a_change_is_random_but_repeatable() -> None:
    change = Augment(
        rotate=5, shear=5, zoom=0.2, shift=0.1, brightness=0.2, contrast=0.2, saturation=0.2
    )
    once, again, other = (
        augment(_PHOTO, change, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert (once.shape, once.dtype) == (_PHOTO.shape, np.uint8)


def test_mixing_keeps_photos_and_classes_in_step() -> None:
    pixels = np.repeat(np.array([[0], [100], [200]], np.uint8), 40 * 30 * 3, axis=1)
    pixels = pixels.reshape(3, 40, 30, 3)
    one_hot = np.eye(3, dtype=np.float32)
    values = np.array([0, 100, 200])
    changed = 0
    for seed in range(50):
        mixed, classes = mix(pixels, one_hot, Augment(mix=0.8), np.random.default_rng(seed))
        assert (mixed.dtype, classes.dtype) == (np.uint8, np.float32)
        assert classes.sum(axis=1) == pytest.approx(1)
        # Each photo is of one shade: its mean is the mean of the shades by the classes' shares.
        assert mixed.mean(axis=(1, 2, 3)) == pytest.approx(classes @ values, abs=0.6)
        changed += not np.array_equal(mixed, pixels)
    assert 20 < changed < 50
    assert mix(pixels, one_hot, Augment(), np.random.default_rng(1))[0] is pixels
