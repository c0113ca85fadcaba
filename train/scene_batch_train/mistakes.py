"""What a trained network gets wrong, by name: predictions.csv, and mistakes.txt."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scene_batch.records import printable
from scene_batch_train.data_set import DataSet
from scene_batch_train.figures import Probabilities
from scene_batch_train.run_folder import RunFolder

_ON_SCREEN, _IN_FILE = 5, 50
"""Pairs, and classes, that are named."""


def write(
    run: RunFolder, data: DataSet, probabilities: Probabilities, found: Mapping[str, Any]
) -> list[str]:
    """Write both files.

    Args:
        run: Where.
        data: The photos and their classes.
        probabilities: Of the validation photos.
        found: The figures of ``figures.figures``.

    Returns:
        The worst in words, for the screen.
    """
    said, most = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
    paths, labels = data.validation_paths, data.validation.class_indices.tolist()
    with run.predictions.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(["path", "class", "predicted", "probability"])
        for path, label, answer, probability in zip(paths, labels, said, most, strict=True):
            table.writerow([path, data.classes[label], data.classes[answer], f"{probability:.6f}"])
    run.mistakes.write_text(
        "\n".join(in_words(found, data.classes, _IN_FILE)) + "\n", encoding="utf-8"
    )
    return list(in_words(found, data.classes, _ON_SCREEN))


def in_words(found: Mapping[str, Any], classes: Sequence[str], most: int) -> Iterator[str]:
    """The most confused pairs of classes and the weakest classes, by name."""
    counts = found["confusion"]
    pairs = sorted(
        (
            (-count, classes[row], classes[column])
            for row, line in enumerate(counts)
            for column, count in enumerate(line)
            if count and row != column
        )
    )
    for count, label, answer in pairs[:most]:
        yield f"{printable(label)!r} taken for {printable(answer)!r}: {-count} photos"
    per_class = {name: its for name, its in found["per_class"].items() if its["photos"]}
    weakest = sorted(per_class, key=lambda name: (per_class[name]["f1"], name))
    for name in weakest[:most] if pairs else ():
        its = per_class[name]
        yield (
            f"class {printable(name)!r}: F1 {its['f1']:.2f}, recall {its['recall']:.2f} of"
            f" {its['photos']} photos, precision {its['precision']:.2f}"
        )
