"""What a folder of labelled photos holds, said before it is trained on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from scene_batch.errors import TrainingError
from scene_batch.records import listed, printable
from scene_batch.sources.directory import has_photo_suffix
from scene_batch_train.photos import LabelledPhoto, class_folders
from scene_batch_train.splitting import TRAIN, VALIDATION
from scene_batch_train.survey import Survey

_MOST_NAMED = 12
"""Classes, or kinds of files, that are named one by one."""
_FEW = 10
"""A class with fewer validation photos cannot be judged: each is a tenth of its recall. With fewer
training photos it is hardly learned."""
_PARTS = {TRAIN: "training", VALIDATION: "validation"}
_SHOWN = 3
"""Pairs of photos with different classes that are named."""


def refuse_nested(data: Path) -> None:
    """Refuse a tree that holds class folders one floor lower, such as ``train/`` and ``test/``.

    Raises:
        TrainingError: It is one; the folder that was probably meant is named.
    """
    folders = class_folders(data)
    if any(_has_photos(folder) for folder in folders):
        return
    inner = {folder: {each.name for each in class_folders(folder)} for folder in folders}
    split = [folder for folder, names in inner.items() if len(names) > 1]
    alike = any(
        len(inner[one] & inner[two]) > 1 for one in split for two in split if one.name < two.name
    )
    if alike or len(folders) == len(split) == 1:
        meant = next((f for f in split if "train" in f.name.lower()), split[0])
        names = ", ".join(repr(printable(f.name)) for f in folders[:4])
        raise TrainingError(
            f"{str(data)!r} holds {names}, whose folders are the classes: name one of them, such"
            f" as {str(meant)!r}"
        )


def _has_photos(folder: Path) -> bool:
    return any(each.is_file() and has_photo_suffix(os.fsencode(each.name))
               for each in folder.iterdir())  # fmt: skip


def found_in_words(
    data: Path, photos: Sequence[LabelledPhoto], classes: Sequence[str]
) -> Iterator[str]:
    """How many photos are of each class, and which files are none."""
    counts = Counter(photo.class_index for photo in photos)
    each = [counts[index] for index in range(len(classes))]
    if len(classes) <= _MOST_NAMED:
        words = ", ".join(f"{listed(c)} {count}" for c, count in zip(classes, each, strict=True))
    else:
        least, most = int(np.argmin(each)), int(np.argmax(each))
        words = f"from {each[least]} ({classes[least]}) to {each[most]} ({classes[most]}) each"
    yield f"{len(photos)} photos of {len(classes)} classes: {words}"
    kinds, loose = _others(data)
    if kinds:
        named = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_MOST_NAMED))
        yield f"no photos by their names, ignored: {named}"
    if loose:
        yield f"in no class folder, ignored: {loose} photos directly in {str(data)!r}"


def _others(data: Path) -> tuple[Counter[str], int]:
    """Files that are no photos, by suffix; and photos that lie in no class folder."""
    kinds, loose = Counter[str](), 0
    for root, folders, names in os.walk(data):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            if not has_photo_suffix(os.fsencode(name)):
                kinds[printable(Path(name).suffix.lower()) or "without a suffix"] += 1
            elif Path(root) == data:
                loose += 1
    return kinds, loose


def seen_in_words(seen: Survey, classes: Sequence[str]) -> Iterator[str]:
    """Which photos show the same, each pair counted once, and where their classes differ."""
    pairs = np.unique(np.concatenate([seen.identical, seen.similar]), axis=0)
    if not len(pairs):
        return
    copies = len({int(second) for _, second in seen.identical})
    groups = np.bincount(seen.groups)
    near = int(groups[groups > 1].sum())
    yield (
        f"{near} photos are copies or near copies of each other ({copies} of them byte by byte):"
        " such stay on one side of the split"
    )
    conflicts = seen.conflicting(pairs)
    if len(conflicts):
        yield f"{len(conflicts)} pairs of them have different classes; label them alike:"
    for first, second in conflicts[:_SHOWN]:
        one, two = seen.photos[first], seen.photos[second]
        yield (
            f"  {printable(one.ref.path)} ({classes[one.class_index]}) and"
            f" {printable(two.ref.path)} ({classes[two.class_index]})"
        )
    if len(conflicts) > _SHOWN:
        yield "  …; scene-batch explore lists all"


def judged_in_words(
    photos: Sequence[LabelledPhoto], parts: Sequence[str], classes: Sequence[str]
) -> Iterator[str]:
    """Which classes have too few photos to be learned, or for their figures to say much."""
    for part, why in ((TRAIN, "to learn from"), (VALIDATION, "to judge them one by one")):
        held = Counter(
            photo.class_index for photo, its in zip(photos, parts, strict=True) if its == part
        )
        few = sorted((held[i], name) for i, name in enumerate(classes) if held[i] < _FEW)
        if few:
            named = ", ".join(f"{listed(name)} {count}" for count, name in few[:_MOST_NAMED])
            more = f" and {len(few) - _MOST_NAMED} more" if len(few) > _MOST_NAMED else ""
            yield (
                f"{len(few)} classes have fewer than {_FEW} {_PARTS[part]} photos, too few {why}:"
                f" {named}{more}"
            )
