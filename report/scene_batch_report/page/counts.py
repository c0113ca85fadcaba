"""What a page says of all rows: how many of each class, and how probable."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scene_batch.tables.arrow_buffers import strings

BINS = 20
"""Of equal width, of the histograms of probability."""
Ints = npt.NDArray[np.int64]


class Counts:
    """Counts rows, batch by batch; its size is that of the classes."""

    def __init__(self, classes: list[str]) -> None:
        self._names = strings(classes)
        self._histograms = np.zeros((len(classes), BINS), np.int64)
        self._wrong = np.zeros(BINS, np.int64)
        self._judged = np.zeros(BINS, np.int64)
        self._codes: dict[str, int] = {}
        self.unreadable = Counter[str]()

    def said(self, batch: pa.RecordBatch) -> Ints:
        """The class of each row by its index; -1 where it is unreadable."""
        names = batch["class"].cast(pa.string())
        found = pc.index_in(names, value_set=self._names)
        return np.asarray(pc.fill_null(found, -1), np.int64)

    def codes(self, batch: pa.RecordBatch) -> Ints:
        """A number for the code of each row that is unreadable; -1 for the others."""
        numbers = np.full(batch.num_rows, -1, np.int64)
        errors = batch["error"]
        for row in np.flatnonzero(errors.is_valid().to_numpy(zero_copy_only=False)):
            code = errors[int(row)].as_py().partition(": ")[0]
            numbers[row] = self._codes.setdefault(code, len(self._codes))
            self.unreadable[code] += 1
        return numbers

    def add(self, said: Ints, probability: npt.NDArray[np.float64], truth: Ints) -> None:
        """Count rows, whose true class is negative where it is not known."""
        ok = said >= 0
        bins = np.clip((probability[ok] * BINS).astype(np.int64), 0, BINS - 1)
        np.add.at(self._histograms, (said[ok], bins), 1)
        known = truth[ok] >= 0
        self._judged += np.bincount(bins[known], minlength=BINS)
        wrong = known & (truth[ok] != said[ok])
        self._wrong += np.bincount(bins[wrong], minlength=BINS)

    def values(self) -> dict[str, Any]:
        """All counts, as JSON values."""
        return {
            "counts": self._histograms.sum(axis=1).tolist(),
            "histograms": self._histograms.tolist(),
            "wrong_by_probability": self._wrong.tolist(),
            "judged_by_probability": self._judged.tolist(),
            "unreadable": dict(self.unreadable.most_common()),
        }
