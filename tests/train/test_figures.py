"""Figures against examples worked by hand; the temperature against the one that was put in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from scene_batch_train.figures import confusion, figures, interval, reliability, top_k_accuracy
from scene_batch_train.temperature import fit_temperature

_PROBABILITIES = np.array(
    [[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6]], np.float32
)
_CLASSES = np.array([0, 1, 1, 1])


def test_figures_of_an_example() -> None:
    found = figures(_PROBABILITIES, _CLASSES, ["a", "b", "never"], 2)
    assert found["confusion"] == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert found["accuracy"] == 0.5
    assert found["top_2_accuracy"] == 1.0
    assert found["per_class"]["a"] == {"precision": 0.5, "recall": 1, "f1": 0.6667, "photos": 1}
    assert found["per_class"]["b"] == {"precision": 1, "recall": 0.3333, "f1": 0.5, "photos": 3}
    assert found["per_class"]["never"] == {"precision": 0, "recall": 0, "f1": 0, "photos": 0}
    assert found["macro_f1"] == pytest.approx((0.6667 + 0.5) / 3, abs=1e-4)
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.3, 0.5, 0.3]).mean(), abs=1e-4)
    # Bins of 1/15: 0.9 alone and right; 0.6 twice and wrong; 0.5 alone and right.
    assert found["calibration_error"] == pytest.approx((0.1 + 2 * 0.6 + 0.5) / 4, abs=1e-4)


def test_the_interval_of_a_share() -> None:
    # Brown, Cai and DasGupta's example of Wilson's interval is symmetric at one half.
    assert interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    low, high = interval(1.0, 20)
    assert low == pytest.approx(0.8389, abs=1e-4)
    assert high == pytest.approx(1)


def test_every_photo_is_in_one_bin_certain_ones_in_the_last() -> None:
    found = reliability(np.array([[1.0, 0.0], [0.5, 0.5]], np.float32), np.array([0, 0]))
    assert found.photos.sum() == 2
    assert found.photos[-1] == 1


def test_a_probability_that_is_shared_does_not_push_a_class_out_of_the_top() -> None:
    assert top_k_accuracy(np.array([[0.5, 0.5]], np.float32), np.array([1]), 1) == 1


def test_confusion_counts_every_photo_once() -> None:
    assert confusion(_PROBABILITIES, _CLASSES).sum() == len(_CLASSES)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    random = np.random.default_rng(5)
    logits = random.normal(0, 2, (20_000, 4))
    class_indices = np.array([random.choice(4, p=p) for p in softmax(logits, axis=1)])
    found = fit_temperature(logits * temperature, class_indices)
    assert found == pytest.approx(temperature, rel=0.05)
    before = reliability(softmax(logits * 2.5, axis=1).astype(np.float32), class_indices)
    after = reliability(softmax(logits, axis=1).astype(np.float32), class_indices)
    assert after.error < 0.02 < before.error


def test_a_temperature_of_photos_that_are_all_right_is_bounded() -> None:
    assert 0.05 <= fit_temperature(np.eye(3) * 5, np.arange(3)) < 0.2
