"""What a training says of its photos before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scene_batch.errors import TrainingError
from scene_batch_train import inventory
from scene_batch_train.data_set import prepare
from scene_batch_train.photos import find_photos
from scene_batch_train.survey import survey
from small import small_recipe
from support import save_photo


def test_it_says_what_it_found(
    labelled: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:  # type: ignore[type-arg]
    photos = Path(shutil.copytree(labelled, tmp_path / "photos"))
    (photos / "notes.txt").write_text("x")
    (photos / "dark" / "clip.MP4").write_text("x")
    (photos / "dark" / ".hidden.jpg").write_text("x")
    save_photo(photos / "loose.png")
    shutil.copy(photos / "dark" / "00.png", photos / "bright" / "again.png")
    shutil.copy(photos / "dark" / "00.png", photos / "dark" / "twice.png")
    prepare(photos, small_recipe(max_unreadable=0.5))
    said = capfd.readouterr().err
    for line in (
        "27 photos of 2 classes: bright 13, dark 14",
        "no photos by their names, ignored: 1 .txt, 1 .mp4",
        f"in no class folder, ignored: 1 photos directly in '{photos}'",
        "left out, unreadable: ",
        "3 photos are copies or near copies of each other (2 of them byte by byte)",
        "2 pairs of them have different classes; label them alike:",
        "bright/again.png (bright) and ",
        "2 classes have fewer than 10 validation photos, too few to judge them one by one: ",
    ):
        assert line in said, (line, said)


def test_many_classes_are_said_in_a_line(tmp_path: Path) -> None:
    for number in range(20):
        for photo in range(1 + number):
            save_photo(tmp_path / f"c{number:02}" / f"{photo}.png")
    photos, classes = find_photos(tmp_path)
    (line,) = inventory.found_in_words(tmp_path, photos, classes)
    assert line == "210 photos of 20 classes: from 1 (c00) to 20 (c19) each"


@pytest.mark.parametrize(
    ("folders", "meant"),
    [
        (("test/a", "test/b", "train/a", "train/b"), "train"),
        (("seg_test/x/a", "seg_train/a", "seg_train/b", "seg_test/a", "seg_test/b"), "seg_train"),
        (("photos/a", "photos/b"), "photos"),
    ],
)
def test_a_tree_of_trees_is_refused_with_what_was_meant(
    folders: tuple[str, ...], meant: str, tmp_path: Path
) -> None:
    for folder in folders:
        save_photo(tmp_path / folder / "1.png")
    with pytest.raises(TrainingError, match=rf"name one of them, such as '.*/{meant}'"):
        prepare(tmp_path, small_recipe())


def test_folders_within_class_folders_are_no_mistake(tmp_path: Path) -> None:
    for folder in ("cat/2024", "cat/2025", "dog/home", "dog/park"):
        save_photo(tmp_path / folder / "1.png")
    inventory.refuse_nested(tmp_path)
    save_photo(tmp_path / "dog" / "1.png")
    for name in ("2024", "2025"):
        save_photo(tmp_path / "dog" / name / "1.png")
    inventory.refuse_nested(tmp_path)


def test_nothing_is_said_of_photos_that_all_differ(labelled: Path) -> None:
    photos, classes = find_photos(labelled)
    assert list(inventory.seen_in_words(survey(photos), classes)) == []


def test_classes_with_too_few_photos_are_named(tmp_path: Path) -> None:
    for name, count in {"one, or two": 3, "many": 40}.items():
        for photo in range(count):
            save_photo(tmp_path / name / f"{photo}.png")
    photos, classes = find_photos(tmp_path)
    parts = ["validation" if number % 3 == 0 else "train" for number in range(len(photos))]
    assert list(inventory.judged_in_words(photos, parts, classes)) == [
        '1 classes have fewer than 10 training photos, too few to learn from: "one, or two" 2',
        "1 classes have fewer than 10 validation photos, too few to judge them one by one:"
        ' "one, or two" 1',
    ]
