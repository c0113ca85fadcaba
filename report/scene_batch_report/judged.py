"""The rows of a table beside the truth, held compactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scene_batch.errors import SourceError
from scene_batch.object_store.address import shown
from scene_batch.tables.arrow_buffers import strings
from scene_batch.tables.run_table import RunTable
from scene_batch_report.truth import Truth

if TYPE_CHECKING:
    from scene_batch_report.losses import Losses

UNKNOWN, OTHER = -1, -2
"""Instead of a class's index: it is not known; the model does not know it."""


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
    losses: Losses | None
    """Where the table has the probability of every class, and there are two or more."""
    paths: Sequence[str]
    """Empty where they were not asked for."""
    unreadable: Counter[str]
    """By code."""
    unknown: int
    """Readable photos whose class is not known."""
    other: Counter[str]
    """Readable photos of classes that the model does not know, by class."""


class Judging:
    """Takes the batches of a table one after the other, and keeps some numbers of each row.

    Args:
        table: Whose batches they are.
        truth: What its photos show.
        keep_paths: Whether ``Judged.paths`` is needed, which is most of the memory.
    """

    def __init__(self, table: RunTable, truth: Truth, *, keep_paths: bool = True) -> None:
        from scene_batch_report.losses import Losing

        self._table, self._truth, self._keep_paths = table, truth, keep_paths
        self._classes = table.classes
        self._index = {name: number for number, name in enumerate(self._classes)}
        self._top_k = int(table.record["settings"]["top_k"])
        self._whole = self._top_k == len(self._classes) > 1
        self._losing = Losing()
        kinds = (np.int32, np.int32, np.float32, np.int32)
        # What is not filled takes no memory.
        self._columns = [np.empty(table.record["photos"], kind) for kind in kinds]
        self._count = 0
        self._paths: list[str] = []
        self._unreadable, self._other, self._unknown = Counter[str](), Counter[str](), 0

    def add(self, batch: pa.RecordBatch) -> npt.NDArray[np.int32]:
        """Take the next rows, and return the true class of each: an index, UNKNOWN or OTHER.

        It is UNKNOWN where the photo is unreadable.
        """
        found = np.full(batch.num_rows, UNKNOWN, np.int32)
        readable = batch["class"].is_valid().to_numpy(zero_copy_only=False)
        errors = batch["error"].drop_null().to_pylist()
        self._unreadable.update(error.partition(": ")[0] for error in errors)
        paths = batch["path"].to_pylist()
        for number in np.flatnonzero(readable):
            label = self._truth(paths[number])
            if label is None:
                self._unknown += 1
            else:
                found[number] = self._index.get(label, OTHER)
                if found[number] == OTHER:
                    self._other[label] += 1
        judged = np.flatnonzero(found >= 0)
        if len(judged):
            self._keep(batch.take(pa.array(judged)), found[judged])
            if self._keep_paths:
                self._paths.extend(paths[number] for number in judged)
        return found

    def _keep(self, batch: pa.RecordBatch, labels: npt.NDArray[np.int32]) -> None:
        top = batch["top_k"]
        pairs = top.flatten()
        row = pc.list_parent_indices(top).to_numpy()
        begins = np.searchsorted(row, np.arange(batch.num_rows))
        named = pc.index_in(pairs.field("class"), value_set=strings(self._classes)).to_numpy()
        probability = pairs.field("probability").to_numpy()
        hits = np.flatnonzero(named == labels[row])
        rank = np.full(batch.num_rows, self._top_k, np.int32)
        rank[row[hits]] = hits - begins[row[hits]]
        columns = (labels, named[begins], probability[begins], rank)
        end = self._count + batch.num_rows
        for whole, part in zip(self._columns, columns, strict=True):
            whole[self._count : end] = part
        self._count = end
        if self._whole:
            every = np.zeros((batch.num_rows, len(self._classes)), np.float32)
            every[row, named] = probability
            self._losing.add(labels, every)

    def judged(self) -> Judged:
        """All that was taken.

        Raises:
            SourceError: Of no photo the class is known.
        """
        if not self._count:
            seen = ", ".join(map(repr, list(self._other)[:3]))
            instead = f"; {seen} are none of its classes" if seen else ""
            raise SourceError(
                f"of no photo in {shown(self._table.name)!r} the class is known{instead}: say where"
                " the truth is by --truth"
            )
        truth, said, probability, rank = (column[: self._count] for column in self._columns)
        return Judged(
            self._classes,
            truth,
            said,
            probability,
            rank,
            self._top_k,
            self._losing.means(),
            self._paths,
            self._unreadable,
            self._unknown,
            self._other,
        )


def judge(table: RunTable, truth: Truth) -> Judged:
    """Read a table once, and look up what its photos show.

    Raises:
        SourceError: Of no photo the class is known.
    """
    judging = Judging(table, truth)
    for batch in table.record_batches():
        judging.add(batch)
    return judging.judged()
