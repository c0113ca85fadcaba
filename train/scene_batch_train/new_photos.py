"""New labelled photos beside those that a run was trained on: found, checked, split."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scene_batch.errors import TrainingError
from scene_batch.records import ImageRef, unprintable
from scene_batch_train.data_set import DataSet, check_readable, decode, fingerprint
from scene_batch_train.photos import LabelledPhoto, PhotoSet, class_folders, list_photos
from scene_batch_train.recipe import Recipe
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.splitting import TRAIN, VALIDATION, read_split, split
from scene_batch_train.survey import Survey, survey

NEW_VALIDATION = 0.25
"""Share of the new photos that is held back: they are few, and have to decide."""
NEW_SHARE = 0.1
"""New photos are repeated until they are this share of what is trained on, ..."""
MOST_REPEATS = 10
"""... but not more often than this."""


@dataclass(frozen=True, slots=True)
class Extended:
    """A run's photos and the new ones."""

    data: DataSet
    """To train on: everything, the new photos repeated."""
    old_validation: PhotoSet
    new_validation: PhotoSet


@dataclass(frozen=True, slots=True)
class _Member:
    """A photo that is old, with its part, or new."""

    photo: LabelledPhoto
    part: str | None = None
    """Of an old photo; None: it is new, and has none yet."""
    held_before: bool = False
    """Whether it is a corrected photo that was held back: it must not be learned now."""


def extend(run: RunFolder, added: Path, recipe: Recipe, least: int) -> Extended:
    """Put new photos beside those of a run.

    A photo that the run has already is corrected if its class is another, and is else not new.
    Near duplicates of a photo that was trained on are trained on, those of a validation photo, and
    corrected validation photos themselves, are held back.

    Args:
        run: A finished run, whose photos lie where split.csv says.
        added: A folder with one folder for each class, or a CSV table: columns path and class.
        recipe: Says how photos are decoded and how many may be unreadable.
        least: New photos that there must be.

    Raises:
        TrainingError: The photos cannot be used, or they are too few.
    """
    classes = run.read_classes()
    members = _members(run, find_new(added, classes), classes)
    seen = survey([member.photo for member in members.values()])
    check_readable(seen, len(members), recipe.max_unreadable, classes)
    read = [members[photo.ref.path] for photo in seen.photos]
    read, kept = _without_known(seen, read)
    count = sum(read[index].part is None for index in kept)
    if count < least:
        raise TrainingError(
            f"{str(added)!r} holds {count} photos that are new or corrected, fewer than {least}:"
            " too few to tell a better model from luck; add more, or lower --min-photos"
        )
    parts = _parts([read[index] for index in kept], seen.groups[kept], recipe.seed)
    sides: dict[tuple[bool, str], list[LabelledPhoto]] = {
        (new, part): [] for new in (False, True) for part in (TRAIN, VALIDATION)
    }
    for index, part in zip(kept, parts, strict=True):
        sides[read[index].part is None, part].append(read[index].photo)
    old, new = sides[False, TRAIN], sides[True, TRAIN]
    repeats = min(max(1, round(NEW_SHARE * len(old) / max(1, len(new)))), MOST_REPEATS)
    train = decode([*old, *new * repeats], recipe, TRAIN)
    held = [*sides[False, VALIDATION], *sides[True, VALIDATION]]
    validation = decode(held, recipe, VALIDATION)
    border = len(sides[False, VALIDATION])
    data = DataSet(
        classes=classes,
        train=train,
        validation=validation,
        rows=[
            (read[index].photo.ref, classes[read[index].photo.class_index], part)
            for index, part in zip(kept, parts, strict=True)
        ],
        description={
            "folder": run.read_config()["data"]["folder"],
            "sha256": fingerprint(train),
            "validation_sha256": fingerprint(validation),
            "added": added.name,
            "new": count,
        },
    )
    return Extended(
        data,
        PhotoSet(validation.pixels[:border], validation.class_indices[:border]),
        PhotoSet(validation.pixels[border:], validation.class_indices[border:]),
    )


def _members(
    run: RunFolder, given: Sequence[LabelledPhoto], classes: Sequence[str]
) -> dict[str, _Member]:
    """The run's photos and the given ones, by path; a corrected one is new.

    It keeps its old path, by whatever other one it is named.
    """
    members, path_of = {}, {}
    for part in (TRAIN, VALIDATION):
        for ref, name in read_split(run.split, part):
            members[ref.path] = _Member(LabelledPhoto(ref, classes.index(name)), part)
            path_of[os.path.realpath(ref.path)] = ref.path
    for photo in given:
        path = path_of.get(os.path.realpath(photo.ref.path), photo.ref.path)
        old = members.get(path)
        if old is None or old.photo.class_index != photo.class_index:
            members.pop(path, None)  # so that the new ones come last
            held = old is not None and (old.held_before or old.part == VALIDATION)
            corrected = dataclasses.replace(photo, ref=dataclasses.replace(photo.ref, path=path))
            members[path] = _Member(corrected, held_before=held)
    return members


def _without_known(
    seen: Survey, members: Sequence[_Member]
) -> tuple[list[_Member], npt.NDArray[np.int64]]:
    """The members, and which to keep: of an old photo and a new one with the same bytes, only one.

    With the same class the new one is not new; with another it corrects the old one, and stays
    where that was.
    """
    keep, corrected = np.ones(len(members), bool), list(members)
    for first, second in seen.identical:  # the old ones come first
        old, new = members[first], members[second]
        if old.part is not None and new.part is None:
            same = old.photo.class_index == new.photo.class_index
            keep[second if same else first] = False
            if not same and old.part == VALIDATION:
                corrected[second] = dataclasses.replace(new, held_before=True)
    return corrected, np.flatnonzero(keep)


def _parts(members: Sequence[_Member], groups: npt.NDArray[np.int64], seed: int) -> list[str]:
    """The part of each member: an old one's own, a new one's by its group or by the split."""
    of_group: dict[int, str] = {}
    for member, group in zip(members, groups.tolist(), strict=True):
        part = VALIDATION if member.held_before else member.part
        if part is not None and of_group.get(group) != TRAIN:
            of_group[group] = part
    free = [
        index
        for index, group in enumerate(groups.tolist())
        if members[index].part is None and group not in of_group
    ]
    new = split([members[i].photo for i in free], groups[free], NEW_VALIDATION, seed)
    drawn = dict(zip(free, new, strict=True))
    return [
        member.part or drawn.get(index) or of_group[group]
        for index, (member, group) in enumerate(zip(members, groups.tolist(), strict=True))
    ]


def find_new(added: Path, classes: Sequence[str]) -> list[LabelledPhoto]:
    """Find the photos of a folder of class folders, or of a table with columns path and class.

    Raises:
        TrainingError: It is neither, or has a class that the run does not know.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    if added.is_dir():
        labelled = [(ref, d.name) for d in class_folders(added) for ref in list_photos(d)]
    else:
        labelled = _read_table(added)
    unknown = sorted({name for _, name in labelled if name not in numbers})
    if unknown:
        raise TrainingError(
            f"{str(added)!r} has the class {unknown[0]!r}, which the run does not know (it has"
            f" {', '.join(classes)}); a new class needs a new training"
        )
    return [LabelledPhoto(ref, numbers[name]) for ref, name in labelled]


def _read_table(table: Path) -> list[tuple[ImageRef, str]]:
    labelled: dict[str, str] = {}
    try:
        # utf-8-sig and surrogateescape: spreadsheets' files, and names that are not UTF-8
        with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = csv.DictReader(file, restval="")
            if not {"path", "class"} <= set(rows.fieldnames or ()):
                raise TrainingError(f"{str(table)!r} needs the columns path and class")
            for row in rows:
                path, name = row["path"], row["class"].strip()
                if not path.strip() or not name:
                    raise TrainingError(
                        f"{str(table)!r}, line {rows.line_num}: a path and a class are needed"
                    )
                labelled[unprintable(path)] = name
    except (OSError, csv.Error) as error:
        raise TrainingError(
            f"cannot read {str(table)!r}: {error}; name a folder or a table"
        ) from None
    return [(ImageRef(path), name) for path, name in labelled.items()]
