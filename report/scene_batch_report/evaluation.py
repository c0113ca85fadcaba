"""How good a table is: scikit-learn's figures, and what follows from them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from scene_batch_report.judged import Judged

BINS = 15
"""Of equal width, of the reliability diagram: as usual since Guo et al. 2017."""
_PHOTOS_AT_A_TIME = 1 << 15
Ints = npt.NDArray[np.int64]
RIGHT = (0.95, 0.99, 0.999)
"""Shares of right answers for which the least probability is looked for."""


def evaluate(judged: Judged) -> dict[str, Any]:
    """All figures of a table whose truth is known; JSON values.

    Log loss and Brier score need the probability of every class: they are null where the table has
    fewer (``run --top-k``).
    """
    right = judged.truth == judged.said
    count = len(right)
    matrix = _confusion(judged)
    low, high = binomtest(int(right.sum()), count).proportion_ci(0.95, method="wilson")
    found: dict[str, Any] = {
        "photos": count,
        "accuracy": _number(accuracy_score(*_cells(matrix)[:2], sample_weight=_cells(matrix)[2])),
        "accuracy_interval": [_number(low), _number(high)],
        "top_k_accuracy": {
            str(k + 1): _number(np.mean(judged.rank <= k)) for k in range(judged.top_k)
        },
        "per_class": _per_class(matrix, judged.classes),
        **_averages(matrix),
        "confusion": matrix.tolist(),
        "calibration_error": None,
        "reliability": _reliability(judged.probability, right),
        "coverage": _coverage(judged),
        "log_loss": None if judged.losses is None else _number(judged.losses.log_loss),
        "brier": None if judged.losses is None else _number(judged.losses.brier),
        "unreadable": dict(sorted(judged.unreadable.items())),
        "truth_unknown": judged.unknown,
        "truth_other": dict(sorted(judged.other.items())),
    }
    gaps = [each["photos"] * abs(each["accuracy"] - each["probability"]) for each in
            found["reliability"]]  # fmt: skip
    found["calibration_error"] = _number(sum(gaps) / count)
    return found


def _confusion(judged: Judged) -> Ints:
    """Photos by true class and by class said, counted some at a time."""
    labels = np.arange(len(judged.classes))
    matrix = np.zeros((len(labels), len(labels)), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a model of one class
        for begin in range(0, len(judged.truth), _PHOTOS_AT_A_TIME):
            some = slice(begin, begin + _PHOTOS_AT_A_TIME)
            matrix += confusion_matrix(judged.truth[some], judged.said[some], labels=labels)
    return matrix


def _cells(matrix: Ints) -> tuple[Ints, Ints, Ints]:
    """A confusion matrix as scikit-learn takes samples: true class, class said, and weight."""
    truth, said = np.nonzero(matrix)
    return truth, said, matrix[truth, said]


def _per_class(matrix: Ints, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    truth, said, weight = _cells(matrix)
    rows = precision_recall_fscore_support(
        truth, said, labels=np.arange(len(classes)), sample_weight=weight, zero_division=0.0
    )
    counts = matrix.sum(axis=0)
    return {
        name: {
            "precision": _number(rows[0][index]),
            "recall": _number(rows[1][index]),
            "f1": _number(rows[2][index]),
            "photos": int(rows[3][index]),
            "said": int(counts[index]),
        }
        for index, name in enumerate(classes)
    }


def _averages(matrix: Ints) -> dict[str, Any]:
    """Over the classes that occur, each alike or by its number of photos."""
    found = {}
    truth, said, weight = _cells(matrix)
    there = np.unique(truth)
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth,
            said,
            labels=there,
            average=average,
            sample_weight=weight,
            zero_division=0.0,
        )
        values = {"precision": precision, "recall": recall, "f1": f1}
        found[average] = {name: _number(value) for name, value in values.items()}
    return found


def _reliability(
    probability: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Bins of equal width by probability, those without photos left out."""
    edges = np.linspace(0, 1, BINS + 1)
    counts, sums = np.zeros(BINS, np.int64), np.zeros((2, BINS))
    for begin in range(0, len(right), _PHOTOS_AT_A_TIME):
        some = slice(begin, begin + _PHOTOS_AT_A_TIME)
        means = calibration_curve(right[some], probability[some], n_bins=BINS, pos_label=True)
        # Its own rule: a probability on an edge is in the bin below.
        bins = np.searchsorted(edges[1:-1], probability[some].astype(np.float64))
        here = np.bincount(bins, minlength=BINS)
        sums[:, here > 0] += np.array(means) * here[here > 0]
        counts += here
    filled = np.flatnonzero(counts)
    shares, means = sums[:, filled] / counts[filled]
    return [
        {
            "from": _number(edges[index]),
            "to": _number(edges[index + 1]),
            "photos": int(counts[index]),
            "probability": _number(mean),
            "accuracy": _number(share),
        }
        for index, share, mean in zip(filled, shares, means, strict=True)
    ]


class _Surest(NamedTuple):
    """Photos in order of falling probability, cut where another probability begins.

    A threshold takes all photos of one probability, or none.
    """

    photos: Ints
    """How many are taken, ``(cuts,)``."""
    right: Ints
    """How many of those are right."""
    probability: npt.NDArray[np.float32]
    """Of the last that is taken."""

    @classmethod
    def of(cls, judged: Judged) -> _Surest:
        """Of all photos."""
        order = np.argsort(-judged.probability, kind="stable")
        values = judged.probability[order]
        ends = np.flatnonzero(np.append(values[1:] != values[:-1], [True]))
        right = np.cumsum((judged.truth == judged.said)[order])
        return cls(ends + 1, right[ends], values[ends])

    def last(self, wanted: float) -> int | None:
        """The cut with the most photos of which such a share is right."""
        fitting = np.flatnonzero(self.right / self.photos >= wanted)
        return int(fitting[-1]) if len(fitting) else None


def _coverage(judged: Judged) -> list[dict[str, Any]]:
    """For shares of right answers, the least probability above which there are so many."""
    surest = _Surest.of(judged)
    found = []
    for wanted in RIGHT:
        last = surest.last(wanted)
        there = last is not None
        found.append(
            {
                "accuracy": wanted,
                "min_probability": _number(surest.probability[last]) if there else None,
                "coverage": _number(surest.photos[last] / len(judged.truth)) if there else 0.0,
            }
        )
    return found


def coverage_curve(judged: Judged, points: int = 100) -> list[dict[str, float]]:
    """The share that is right among the surest photos, for growing shares of all photos."""
    surest = _Surest.of(judged)
    cuts = len(surest.photos)
    wanted = np.linspace(0, cuts - 1, min(points, cuts)).astype(np.int64).tolist()
    wanted += [last for share in RIGHT if (last := surest.last(share)) is not None]
    return [
        {
            "coverage": _number(surest.photos[cut] / len(judged.truth)),
            "accuracy": _number(surest.right[cut] / surest.photos[cut]),
            "min_probability": _number(surest.probability[cut]),
        }
        for cut in sorted(set(wanted))
    ]


def compare(a: Judged, b: Judged) -> dict[str, Any]:
    """Two tables of the same photos: which is right more often, by McNemar's exact test.

    Photos that only one of them has are left out, and counted.
    """
    before = {path: index for index, path in enumerate(b.paths)}
    pairs = [(index, before[path]) for index, path in enumerate(a.paths) if path in before]
    here, there = np.array(pairs, np.int64).reshape(-1, 2).T
    names_a, names_b = np.array(a.classes), np.array(b.classes)
    right_a, right_b = (a.truth == a.said)[here], (b.truth == b.said)[there]
    better, worse = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    test = binomtest(better, better + worse).pvalue if better + worse else 1.0
    other = names_a[a.said[here]] != names_b[b.said[there]]
    return {
        "photos": len(pairs),
        "only_here": len(a.paths) - len(pairs),
        "only_there": len(b.paths) - len(pairs),
        "accuracy": _number(right_a.mean()) if pairs else None,
        "accuracy_there": _number(right_b.mean()) if pairs else None,
        "other_class": int(other.sum()),
        "better": better,
        "worse": worse,
        "p_value": _number(test),
    }


def _number(value: Any) -> float:  # noqa: ANN401 - numpy's or Python's
    return round(float(value), 6)


def to_json(found: dict[str, Any]) -> str:
    """The figures as readable JSON."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
