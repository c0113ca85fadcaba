"""Photos to test on, held against those that a run was made from: copies of these test nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from scene_batch.errors import TrainingError
from scene_batch_train.photos import LabelledPhoto, find_photos
from scene_batch_train.run_folder import RunFolder
from scene_batch_train.splitting import TRAIN, VALIDATION, read_split
from scene_batch_train.survey import survey

MOST_NEAR = 0.01
"""Share of near copies that two sets of photos of the same things may have by chance."""


def near_copies(run: RunFolder, folder: Path) -> set[str]:
    """The paths of a folder's photos that nearly show what photos of the run show.

    Raises:
        TrainingError: A photo is one of the run's own or a copy of one, or near copies are too many
            for chance.
    """
    own = [ref for part in (TRAIN, VALIDATION) for ref, _ in read_split(run.split, part)]
    tested, _ = find_photos(folder)
    paths = {os.path.realpath(ref.path) for ref in own}
    for photo in tested:
        if os.path.realpath(photo.ref.path) in paths:
            raise _seen(f"{photo.ref.path!r} is one of the run's own photos")
    seen = survey([*(LabelledPhoto(ref, 0) for ref in own), *tested])
    names = [photo.ref.path for photo in seen.photos]
    ours = {ref.path for ref in own}
    is_own = np.array([name in ours for name in names])
    for first, second in seen.identical:
        if is_own[first] and not is_own[second]:
            raise _seen(f"{names[second]!r} is a copy of the run's {names[first]!r}")
    groups_of_own = set(seen.groups[is_own].tolist())
    found = {
        name
        for name, group, of_run in zip(names, seen.groups.tolist(), is_own, strict=True)
        if not of_run and group in groups_of_own
    }
    if len(found) > max(1, MOST_NEAR * len(tested)):
        raise _seen(f"{len(found)} of {len(tested)} photos, {min(found)!r} first, are near copies")
    return found


def _seen(what: str) -> TrainingError:
    return TrainingError(
        f"{what}, which test nothing: name photos by --test that had no part in the training"
    )
