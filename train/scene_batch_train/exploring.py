"""What is in a training set: tables, plots, and a summary in words."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scene_batch.errors import OutputExistsError, TrainingError
from scene_batch_train import pictures
from scene_batch_train.photos import LabelledPhoto, find_photos
from scene_batch_train.survey import Look, Survey, survey

_DATA, _TEST = "data", "test"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two photos that show the same."""

    first: Look
    second: Look
    kind: str
    """``exact``: the same bytes; ``near``: the same picture."""
    same_class: bool
    leak: bool
    """Whether one is of the data and one of the test photos."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """A look at the photos of a training set, and of a test set beside it."""

    seen: Survey
    classes: list[str]
    """Of the data, then those that only the test photos have."""
    part_of: dict[str, str]
    """``data`` or ``test``, by path."""
    class_of: dict[str, str]
    """Class names by path, of unreadable photos too."""

    def duplicates(self) -> list[Duplicate]:
        """All pairs, exact ones first; near ones that are exact are not there twice."""
        looks, exact = self.seen.looks, {tuple(pair) for pair in self.seen.identical.tolist()}
        near = [p for p in self.seen.similar.tolist() if not _same_bytes(looks, p)]
        return [
            self._duplicate(looks[first], looks[second], kind)
            for kind, pairs in (("exact", sorted(exact)), ("near", near))
            for first, second in pairs
        ]

    def _duplicate(self, first: Look, second: Look, kind: str) -> Duplicate:
        paths = first.photo.ref.path, second.photo.ref.path
        return Duplicate(
            first,
            second,
            kind,
            same_class=self.class_of[paths[0]] == self.class_of[paths[1]],
            leak=self.part_of[paths[0]] != self.part_of[paths[1]],
        )

    def counts(self, part: str) -> Counter[str]:
        """Readable photos of each class in a part."""
        paths = (look.photo.ref.path for look in self.seen.looks)
        return Counter(self.class_of[path] for path in paths if self.part_of[path] == part)


def explore(data: Path, test: Path | None, out: Path) -> list[str]:
    """Look at each photo once, and write tables and plots into a new folder.

    photos.csv has a line for each photo, duplicates.csv one for each pair of photos that show the
    same; classes.png, sizes.png and duplicates.png show them.

    Args:
        data: One folder of photos for each class.
        test: The same of test photos, to find those that are in ``data``, too.
        out: The folder to make.

    Returns:
        The summary, as lines.

    Raises:
        TrainingError: ``data`` or ``test`` has no class folders.
        OutputExistsError: ``out`` is already there.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExistsError(str(out), "; give --out a new folder")
    found = _look(data, test)
    if not found.seen.looks:
        raise TrainingError(f"no photo of {str(data)!r} can be read")
    out.mkdir(parents=True, exist_ok=True)
    duplicates = found.duplicates()
    _write(out / "photos.csv", _PHOTO_COLUMNS, _photo_rows(found))
    _write(out / "duplicates.csv", _DUPLICATE_COLUMNS, _duplicate_rows(found, duplicates))
    pictures.class_counts(
        found.classes, found.counts(_DATA), found.counts(_TEST), out / "classes.png"
    )
    pictures.photo_sizes(
        [(look.width, look.height) for look in found.seen.looks], out / "sizes.png"
    )
    pictures.pairs(
        [
            (Path(d.first.photo.ref.path), Path(d.second.photo.ref.path), _title(found, d))
            for d in sorted(duplicates, key=lambda d: (d.same_class, not d.leak))
        ],
        out / "duplicates.png",
    )
    return list(_summary(found, duplicates))


def _look(data: Path, test: Path | None) -> Exploration:
    photos, classes = find_photos(data)
    parts = {photo.ref.path: _DATA for photo in photos}
    names = {photo.ref.path: classes[photo.class_index] for photo in photos}
    if test is not None:
        of_test, test_classes = find_photos(test)
        if any(photo.ref.path in parts for photo in of_test):
            raise TrainingError(f"{str(test)!r} and {str(data)!r} are the same photos")
        classes += [name for name in test_classes if name not in classes]
        for photo in of_test:
            name = test_classes[photo.class_index]
            parts[photo.ref.path], names[photo.ref.path] = _TEST, name
            photos.append(LabelledPhoto(photo.ref, classes.index(name)))
    return Exploration(survey(photos), classes, parts, names)


def _same_bytes(looks: Sequence[Look], pair: Sequence[int]) -> bool:
    return looks[pair[0]].sha256 == looks[pair[1]].sha256


def _summary(found: Exploration, duplicates: Sequence[Duplicate]) -> Iterator[str]:
    seen = found.seen
    yield f"{len(seen.looks)} photos in {len(found.classes)} classes"
    counts, of_test = found.counts(_DATA), found.counts(_TEST)
    tested = _TEST in found.part_of.values()
    for name in found.classes:
        yield f"  {name}: {counts[name]}" + (f", {of_test[name]} for testing" if tested else "")
    of_data = [counts[name] for name in found.classes]
    least, most = max(1, min(of_data)), max(of_data)
    if most > _UNBALANCED * least:
        yield f'  unbalanced, {most / least:.1f} to 1: consider class_weights = "balanced"'
    sizes = np.array([(look.width, look.height) for look in seen.looks])
    low, middle, high = (np.percentile(sizes, q, axis=0).astype(int) for q in (0, 50, 100))
    yield (
        f"sizes: {low[0]}x{low[1]} to {high[0]}x{high[1]}, median {middle[0]}x{middle[1]};"
        f" modes: {_listed(Counter(look.mode for look in seen.looks))};"
        f" formats: {_listed(Counter(look.format for look in seen.looks))}"
    )
    for kind in ("exact", "near"):
        pairs = [d for d in duplicates if d.kind == kind]
        yield (
            f"{kind} duplicates: {len(pairs)} pairs, {sum(not d.same_class for d in pairs)} with"
            f" conflicting classes, {sum(d.leak for d in pairs)} between data and test"
        )
    yield f"unreadable: {len(seen.unreadable)}"
    for photo in seen.unreadable[:_SHOWN]:
        yield f"  {photo.ref.path}: {photo.code}: {photo.message}"
    if len(seen.unreadable) > _SHOWN:
        yield f"  and {len(seen.unreadable) - _SHOWN} more, in photos.csv"


_UNBALANCED = 2
_SHOWN = 20
_PHOTO_COLUMNS = (
    "path",
    "class",
    "part",
    "width",
    "height",
    "mode",
    "format",
    "size_bytes",
    "sha256",
    "group",
    "error",
)
_DUPLICATE_COLUMNS = ("kind", "first", "second", "first_class", "second_class", "leak")


def _photo_rows(found: Exploration) -> Iterator[tuple[object, ...]]:
    groups = found.seen.groups
    sizes = np.bincount(groups) if len(groups) else groups
    for look, group in zip(found.seen.looks, groups.tolist(), strict=True):
        path = look.photo.ref.path
        yield (
            path,
            found.class_of[path],
            found.part_of[path],
            look.width,
            look.height,
            look.mode,
            look.format,
            look.size_bytes,
            look.sha256,
            group if sizes[group] > 1 else "",
            "",
        )
    for photo in found.seen.unreadable:
        path = photo.ref.path
        where = path, found.class_of[path], found.part_of[path]
        yield (*where, "", "", "", "", "", "", "", f"{photo.code}: {photo.message}")


def _duplicate_rows(
    found: Exploration, duplicates: Sequence[Duplicate]
) -> Iterator[tuple[object, ...]]:
    for d in duplicates:
        paths = d.first.photo.ref.path, d.second.photo.ref.path
        yield (d.kind, *paths, *(found.class_of[path] for path in paths), "yes" if d.leak else "no")


def _title(found: Exploration, duplicate: Duplicate) -> str:
    names = (found.class_of[look.photo.ref.path] for look in (duplicate.first, duplicate.second))
    return f"{duplicate.kind}: {' / '.join(names)}{', leak' if duplicate.leak else ''}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _write(path: Path, columns: Sequence[str], rows: Iterator[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)
