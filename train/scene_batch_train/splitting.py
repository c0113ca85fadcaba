"""Which photos are trained on and which are held back to choose by: split.csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import chain
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
    class with at least two groups has at least one on each side; no group that is larger than the
    share is held back unless all are.

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
        wanted, held = max(1, round(share * total)), []
        for group in own[:-1]:  # one at least is trained on
            if len(members[group]) <= wanted:
                held.append(group)
                wanted -= len(members[group])
        if not held and len(own) > 1:  # every group is too large
            held = [min(own, key=lambda group: len(members[group]))]
        for member in chain.from_iterable(members[group] for group in held):
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
