"""The model that ships: it knows the samples, and its rows depend on nothing but the photo."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scene_batch.classifier import Classifier
from scene_batch.model import golden
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.model_file import EMBEDDED
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import Prediction
from support import HARD, SCENES, scene_batch


@pytest.fixture(scope="session")
def scenes() -> Classifier:
    return Classifier.load(compute=ComputeOptions("cpu"))


def test_it_recognises_the_drawn_scenes(scenes: Classifier) -> None:
    photos = sorted(SCENES.rglob("*.jpg"))
    rows = scenes.classify(photos)
    assert [row.class_name for row in rows if isinstance(row, Prediction)] == [
        photo.parent.name for photo in photos
    ]
    assert {photo.parent.name for photo in photos} == set(scenes.card.classes)


def test_a_turned_photo_has_the_class_of_the_upright_one(scenes: Classifier) -> None:
    upright, turned = scenes.classify(
        [SCENES / "mountain" / "mountain-1.jpg", HARD / "exif-rotated.jpg"]
    )
    assert isinstance(upright, Prediction)
    assert isinstance(turned, Prediction)
    assert turned.class_name == upright.class_name
    assert turned.probability == pytest.approx(upright.probability, abs=0.1)


def test_it_computes_what_was_exported(scenes: Classifier) -> None:
    results = golden.check(scenes.predictor)
    assert len(results) >= 6
    assert all(result.passed for result in results)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 4), (3, 1), (8, 4)])
def test_rows_do_not_depend_on_batch_size_or_workers(
    batch_size: int, workers: int, scenes: Classifier, tmp_path: Path
) -> None:
    want = scenes.classify(sorted(SCENES.rglob("*.jpg")))
    predictor = Predictor.open(options=ComputeOptions("cpu", batch_size=batch_size))
    run(Job((str(SCENES),), str(tmp_path / "p.parquet"), workers=workers), predictor)
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    for row, single in zip(rows, want, strict=True):
        assert isinstance(single, Prediction)
        assert (row["path"], row["class"]) == (single.ref.path, single.class_name)
        assert row["probability"] == pytest.approx(single.probability, abs=1e-5)


def test_run_without_a_model_uses_it(tmp_path: Path) -> None:
    done = scene_batch("run", SCENES / "sea", "--out", tmp_path / "p.parquet")
    assert done.returncode == 0
    assert pq.read_table(tmp_path / "p.parquet")["class"].to_pylist() == ["sea", "sea"]


def test_it_says_nothing_of_the_machine_that_made_it() -> None:
    data = EMBEDDED.read_bytes()
    for trace in (b"/home/", b"/tmp/", b"/root/", b"/work/"):
        assert trace not in data
