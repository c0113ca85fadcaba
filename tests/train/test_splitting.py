"""The split: by class and seed, near duplicates on one side; and what counts as one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from scene_batch.records import ImageRef
from scene_batch_train.photos import LabelledPhoto, find_photos
from scene_batch_train.similarity import groups_of, similar_pairs
from scene_batch_train.splitting import TRAIN, VALIDATION, read_split, split, write_split
from scene_batch_train.survey import survey


def _photos(*counts: int) -> list[LabelledPhoto]:
    return [
        LabelledPhoto(ImageRef(f"{index}/{number}.jpg"), index)
        for index, count in enumerate(counts)
        for number in range(count)
    ]


def _held(photos: list[LabelledPhoto], parts: list[str]) -> Counter[int]:
    return Counter(
        photo.class_index for photo, part in zip(photos, parts, strict=True) if part == VALIDATION
    )


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_the_split_is_by_class_and_by_seed(share: float) -> None:
    photos = _photos(20, 11, 2)
    alone = np.arange(33)
    parts = split(photos, alone, share, 7)
    assert parts == split(photos, alone, share, 7)
    assert parts != split(photos, alone, share, 8)
    assert _held(photos, parts) == {0: round(20 * share), 1: max(1, round(11 * share)), 2: 1}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60),
    st.floats(0.05, 0.6),
    st.integers(0, 9),
)
def test_no_group_is_on_both_sides(rows: list[tuple[int, int]], share: float, seed: int) -> None:
    photos = [LabelledPhoto(ImageRef(f"{n}.jpg"), c) for n, (c, _) in enumerate(rows)]
    groups = np.array([group for _, group in rows])
    parts = split(photos, groups, share, seed)
    assert set(parts) <= {TRAIN, VALIDATION}
    for group in np.unique(groups):
        assert len({parts[index] for index in np.flatnonzero(groups == group)}) == 1
    assert TRAIN in parts


def test_a_large_group_is_not_held_back_where_smaller_ones_can_be() -> None:
    photos = _photos(100)
    groups = np.where(np.arange(100) < 80, 0, np.arange(100))
    for seed in range(30):
        assert _held(photos, split(photos, groups, 0.1, seed)) == {0: 10}
    pairs = np.arange(100) // 50
    assert _held(photos, split(photos, pairs, 0.1, 1)) == {0: 50}


def test_many_photos_of_the_same_are_joined_by_as_many_pairs() -> None:
    random = np.random.default_rng(6)
    scene = random.integers(40, 200, (16, 16, 3))
    frames = scene + random.integers(-4, 5, (3000, 16, 16, 3))
    pairs = similar_pairs(frames.astype(np.uint8))
    assert len(pairs) < 2 * 3000
    assert len(set(groups_of(3000, pairs).tolist())) == 1


def test_a_split_is_read_as_it_was_written(tmp_path: Path) -> None:
    name = b'caf\xe9, "x".jpg'.decode("utf-8", "surrogateescape")
    rows = [(ImageRef(name), "a,b", TRAIN), (ImageRef("y.jpg"), "c", VALIDATION)]
    write_split(tmp_path / "split.csv", rows)
    assert read_split(tmp_path / "split.csv", TRAIN) == [(ImageRef(name), "a,b")]


def test_groups_join_what_pairs_join() -> None:
    groups = groups_of(6, np.array([[0, 3], [3, 5], [1, 2]]))
    assert groups[0] == groups[3] == groups[5]
    assert groups[1] == groups[2] != groups[4]
    assert len(set(groups_of(4, np.empty((0, 2), np.int64)).tolist())) == 4


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """Forty different photos, five changed copies of one of them, and three blank ones."""
    random = np.random.default_rng(1)
    for number in range(40):
        small = random.integers(0, 256, (6, 8, 3), np.uint8)
        photo = Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        photo.save(tmp_path / "ab"[number % 2] / f"{number:02}.png")
    original = Image.open(tmp_path / "a" / "10.png")
    original.save(tmp_path / "a" / "small-file.jpg", quality=20)
    original.resize((200, 150)).save(tmp_path / "a" / "small.png")
    ImageEnhance.Brightness(original).enhance(0.8).save(tmp_path / "a" / "darker.png")
    original.crop((3, 2, 318, 238)).save(tmp_path / "a" / "cropped.png")
    (tmp_path / "b" / "same-bytes.png").write_bytes((tmp_path / "a" / "10.png").read_bytes())
    for number in range(3):
        Image.new("RGB", (90, 90), (200, 200, 200 + number)).save(tmp_path / f"b/blank{number}.png")
    (tmp_path / "b" / "broken.jpg").write_bytes(b"no photo")
    return tmp_path


def test_near_duplicates_are_one_group_and_nothing_else_is(twins: Path) -> None:
    seen = survey(find_photos(twins)[0])
    assert [photo.ref.path for photo in seen.unreadable] == [f"{twins}/b/broken.jpg"]
    names = [Path(photo.ref.path).name for photo in seen.photos]
    members: dict[int, set[str]] = {}
    for name, group in zip(names, seen.groups.tolist(), strict=True):
        members.setdefault(group, set()).add(name)
    copies = {"small-file.jpg", "small.png", "darker.png", "cropped.png", "same-bytes.png"}
    assert [group for group in members.values() if len(group) > 1] == [{"10.png", *copies}]
    (pair,) = seen.identical
    assert {names[index] for index in pair} == {"10.png", "same-bytes.png"}
    (pair,) = seen.conflicting(seen.identical)
    assert len(seen.conflicting(seen.similar)) == 1  # copies are found by their likeness to one
    looks = {Path(look.photo.ref.path).name: look for look in seen.looks}
    look = looks["small-file.jpg"]
    assert (look.width, look.height, look.mode, look.format) == (320, 240, "RGB", "JPEG")
