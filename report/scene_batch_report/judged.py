"""The rows of a table beside the truth, held compactly."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scene_batch.errors import SourceError
from scene_batch.object_store.address import shown
from scene_batch.records import Unreadable, printable
from scene_batch.tables.run_table import RunTable
from scene_batch_report.truth import Truth

_MOST_PROBABILITIES = 1 << 26
"""Numbers that are held where a table has the probability of each class."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The classified photos of a table whose class is known."""

    classes: Sequence[str]
    """The model's, in index order."""
    truth: npt.NDArray[np.int32]
    """Class indices, ``(photos,)``."""
    said: npt.NDArray[np.int32]
    """The most probable class, ``(photos,)``."""
    probability: npt.NDArray[np.float32]
    """Of that class, ``(photos,)``."""
    rank: npt.NDArray[np.int32]
    """Where in ``top_k`` the true class is, from 0; ``top_k`` where it is not in it."""
    top_k: int
    probabilities: npt.NDArray[np.float32] | None
    """``(photos, classes)`` where the table has all of them, else None."""
    paths: Sequence[str]
    unreadable: Counter[str]
    """By code."""
    unknown: int
    """Readable photos whose class is not known."""
    other: Counter[str]
    """Readable photos of classes that the model does not know, by class."""


def judge(table: RunTable, truth: Truth) -> Judged:
    """Read a table once, and look up what its photos show.

    Raises:
        SourceError: Of no photo the class is known.
    """
    classes = table.classes
    index = {name: number for number, name in enumerate(classes)}
    top_k = int(table.record["settings"]["top_k"])
    whole = top_k == len(classes) and table.record["photos"] * top_k <= _MOST_PROBABILITIES
    labels, said, rank = array("i"), array("i"), array("i")
    probability, every = array("f"), array("f")
    paths: list[str] = []
    unreadable, other, unknown = Counter[str](), Counter[str](), 0
    for row in table.rows():
        if isinstance(row, Unreadable):
            unreadable[row.code] += 1
            continue
        path = printable(row.ref.path)
        label = truth(path)
        if label is None or label not in index:
            unknown += label is None
            other.update([] if label is None else [label])
            continue
        names = [pair.class_name for pair in row.top]
        labels.append(index[label])
        said.append(index[names[0]])
        rank.append(names.index(label) if label in names else top_k)
        probability.append(row.top[0].probability)
        paths.append(path)
        if whole:
            values = {pair.class_name: pair.probability for pair in row.top}
            every.extend(values[name] for name in classes)
    if not paths:
        seen = ", ".join(map(repr, list(other)[:3]))
        instead = f"; {seen} are none of its classes" if seen else ""
        raise SourceError(
            f"of no photo in {shown(table.name)!r} the class is known{instead}: say where the"
            " truth is by --truth"
        )
    probabilities = np.array(every, np.float32).reshape(-1, len(classes)) if whole else None
    return Judged(
        classes,
        np.array(labels, np.int32),
        np.array(said, np.int32),
        np.array(probability, np.float32),
        np.array(rank, np.int32),
        top_k,
        probabilities,
        paths,
        unreadable,
        unknown,
        other,
    )
