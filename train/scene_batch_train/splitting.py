"""Which photos are trained on and which are held back to choose by: split.csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scene_batch.records import ImageRef
from scene_batch_train.photos import LabelledPhoto

TRAIN, VALIDATION, UNREADABLE = "train", "validation", "unreadable"


def split(
    photos: Sequence[LabelledPhoto], groups: npt.NDArray[np.int64], share: float, seed: int
) -> list[str]:
    """Choose ``train`` or ``validation`` for each photo: the same share of every class.

    Photos of one group go to one side: near duplicates of what was trained on prove nothing. Each
    class with at least two groups has at least one photo on each side.

    Args:
        photos: The photos.
        groups: Which belong together, int64 ``(photos,)``; a group of several classes goes with
            that of its first photo.
        share: Of each class, held back.
        seed: Decides which.
    """
    parts = [TRAIN] * len(photos)
    generator = np.random.default_rng(seed)
    _, firsts, group_of = np.unique(groups, return_index=True, return_inverse=True)
    class_of = np.array([photo.class_index for photo in photos], np.int64)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    for class_index in np.unique(class_of):
        own = generator.permutation(np.flatnonzero(class_of[firsts] == class_index))
        total = sum(len(members[group]) for group in own)
        wanted, held = max(1, round(share * total)), 0
        for group in own[:-1]:  # one at least is trained on
            if held + len(members[group]) <= wanted or not held:
                held += len(members[group])
                for member in members[group]:
                    parts[member] = VALIDATION
    return parts


def write_split(path: Path, rows: Sequence[tuple[ImageRef, str, str]]) -> None:
    """Write which photo was in which part: columns path, class, part."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(["path", "class", "part"])
        table.writerows((ref.path, name, part) for ref, name, part in rows)


def read_split(path: Path, part: str) -> list[tuple[ImageRef, str]]:
    """Read the photos of one part, each with its class name."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [
            (ImageRef(row["path"]), row["class"])
            for row in csv.DictReader(file)
            if row["part"] == part
        ]
