"""The Python API: paths, bytes and arrays in, a row for each, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scene_batch
from scene_batch import Classifier, Prediction, SceneBatchError, Unreadable
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.engine import Engine
from scene_batch.pipeline.thread_plan import ThreadPlan
from scene_batch.records import Decoded, ImageRef
from scene_batch.sources.reading import Reader
from support import SIDE, save_photo


@pytest.fixture
def classifier(colours: Predictor) -> Classifier:
    return Classifier(colours)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save_photo(tmp_path / "photo.png", "lime")


def test_paths_bytes_and_arrays_of_one_photo_give_one_answer(
    photo: Path, classifier: Classifier
) -> None:
    pixels = np.full((50, 70, 3), (0, 255, 0), np.uint8)
    rows = classifier.classify([photo, str(photo), photo.read_bytes(), pixels])
    tops = {row.top for row in rows if isinstance(row, Prediction)}
    assert len(rows) == 4
    assert len(tops) == 1
    (top,) = tops
    assert top[0].class_name == "green"
    assert sum(pair.probability for pair in top) == pytest.approx(1)


def test_one_photo_needs_no_list(photo: Path, classifier: Classifier) -> None:
    for one in (photo, photo.read_bytes(), np.zeros((4, 4, 3), np.uint8)):
        assert len(classifier.classify(one)) == 1
    assert classifier.classify([]) == []


def test_many_photos_are_read_ahead_and_keep_their_order(
    photo: Path, classifier: Classifier
) -> None:
    """Drawn from in the caller's thread."""
    caller, drawn = threading.current_thread(), 0

    def photos() -> Iterator[Any]:
        nonlocal drawn
        for number in range(300):
            assert threading.current_thread() is caller
            drawn += 1
            yield np.full((20, 20, 3), 0 if number % 7 else 255, np.uint8) if number % 3 else photo

    rows = classifier.classify(photos())
    assert drawn == len(rows) == 300
    assert [row.ref.path for row in rows[:3]] == [str(photo), "<array>", "<array>"]
    alone = [classifier.classify(one)[0] for one in photos()]
    assert rows == alone
    assert not [t for t in threading.enumerate() if t.name == "scene-batch"]


def test_a_broken_photo_is_in_its_place(photo: Path, classifier: Classifier) -> None:
    rows = classifier.classify([photo, "gone.jpg", b"", photo] * 5)
    kinds = [row.code if isinstance(row, Unreadable) else row.class_name for row in rows]
    assert kinds == ["green", "missing", "empty", "green"] * 5


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_arrays_of_another_kind_are_refused(pixels: np.ndarray, classifier: Classifier) -> None:
    with pytest.raises(ValueError, match="need uint8"):
        classifier.classify(pixels)


@pytest.mark.parametrize(("top_k", "kept"), [(None, 3), (1, 1), (3, 3)])
def test_top_k_is_at_most_the_classes(top_k: int | None, kept: int, colour_model: Path) -> None:
    classifier = Classifier.load(colour_model, top_k=top_k)
    (row,) = classifier.classify(np.zeros((4, 4, 3), np.uint8))
    assert isinstance(row, Prediction)
    assert [pair.class_name for pair in row.top] == ["red", "green", "blue"][:kept]  # all equal


@pytest.mark.parametrize("top_k", [0, 4, -1])
def test_top_k_outside_the_classes_is_refused(top_k: int, colour_model: Path) -> None:
    with pytest.raises(SceneBatchError, match="take 1 to 3"):
        Classifier.load(colour_model, top_k=top_k)


def test_threads_may_share_a_classifier(classifier: Classifier) -> None:
    random = np.random.default_rng(4)
    photos = list(random.integers(0, 256, (40, 30, 30, 3), np.uint8))
    want = [row.top for row in classifier.classify(photos) if isinstance(row, Prediction)]

    def tops(first: int) -> bool:
        rows = classifier.classify(photos[first:])
        return [row.top for row in rows if isinstance(row, Prediction)] == want[first:]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(tops, range(40)))


@pytest.mark.parametrize(
    "wrong", [{"provider": "gpu"}, {"batch_size": 0}, {"batch_size": 5000}, {"threads": -1}]
)
def test_options_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SceneBatchError, match=next(iter(wrong))):
        ComputeOptions(**wrong)


def test_the_public_names_are_there() -> None:
    for name in scene_batch.__all__:
        assert getattr(scene_batch, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scene_batch.nothing  # type: ignore[attr-defined]


def test_a_batch_size_that_shrinks_ends_the_batch_that_is_being_formed(colour_model: Path) -> None:
    predictor = Predictor.open(colour_model, ComputeOptions("cpu", batch_size=8))
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)

    def photos() -> Iterator[Decoded]:
        for number in range(20):
            if number == 6:
                predictor.session._calls.batch_size = 4
            yield Decoded(ImageRef(str(number)), pixels)

    plan = ThreadPlan.of(predictor.session, workers=1, remote=False)
    batches = Engine(predictor, Reader(), plan, 60.0)._batches(photos())
    assert [len(batch.items) for batch in batches] == [7, 4, 4, 4, 1]


@pytest.mark.parametrize("seconds", ["5s", None, 0, -1, float("nan"), float("inf")])
def test_a_time_limit_that_is_none_is_refused(seconds: Any, classifier: Classifier) -> None:
    with pytest.raises(SceneBatchError, match=r"read_timeout .*: take seconds above 0"):
        Classifier(classifier.predictor, seconds)


@pytest.mark.parametrize("top_k", ["3", 2.5])
def test_a_top_k_that_is_no_number_is_refused(top_k: Any, classifier: Classifier) -> None:
    with pytest.raises(SceneBatchError, match="the model has 3 classes"):
        Predictor.of(classifier.predictor.session, top_k)


def test_stores_have_the_time_limit_of_the_classifier(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was 60 s for their requests, whatever was asked for."""
    limits = []
    monkeypatch.setattr(
        "scene_batch.classifier.Reader", lambda stores: limits.append(stores.timeout) or Reader()
    )
    Classifier(classifier.predictor, 200.0).classify(b"")
    assert limits == [200.0]
