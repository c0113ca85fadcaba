"""Figures of a table: scikit-learn's own, whatever the truth's source; unreadable ones apart."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from album import save_album
from buckets import Bucket
from scene_batch.errors import SceneBatchError
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.tables.run_table import RunTable
from scene_batch_report.evaluation import compare, evaluate
from scene_batch_report.figures_text import against_in_words, in_words
from scene_batch_report.judged import Judged, judge
from scene_batch_report.truth import PARENT_FOLDER, truth_of
from support import rows_of, save_photo, scene_batch


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shades in folders by class, some in a wrong one, some of no class, one unreadable."""
    folder = save_album(tmp_path_factory.mktemp("photos"))
    save_photo(folder / "y.png")
    return folder


@pytest.fixture(scope="module")
def table(photos: Path, colours: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the model of colours says of them."""
    out = tmp_path_factory.mktemp("table") / "p.parquet"
    run(Job((str(photos),), str(out)), colours)
    return out


def _judged(table: Path | str, truth: str = PARENT_FOLDER) -> Judged:
    return judge(RunTable.open(str(table)), truth_of(truth))


def test_the_figures_are_scikit_learns(table: Path) -> None:
    judged = _judged(table)
    found = evaluate(judged)
    truth, said = judged.truth, judged.said
    report = sklearn.metrics.classification_report(
        truth, said, target_names=judged.classes, output_dict=True, zero_division=0
    )
    assert found["accuracy"] == pytest.approx(report["accuracy"], abs=1e-6)
    for name in judged.classes:
        each = found["per_class"][name]
        assert each["f1"] == pytest.approx(report[name]["f1-score"], abs=1e-6)
        assert each["photos"] == report[name]["support"]
    assert found["macro"]["f1"] == pytest.approx(report["macro avg"]["f1-score"], abs=1e-6)
    assert found["weighted"]["recall"] == pytest.approx(report["weighted avg"]["recall"], abs=1e-6)
    whole = _probabilities(table, judged)
    loss = sklearn.metrics.log_loss(truth, whole / whole.sum(axis=1, keepdims=True))
    assert found["log_loss"] == pytest.approx(loss, abs=1e-4)
    ideal = np.eye(3)[truth]
    brier = ((whole - ideal) ** 2).sum(axis=1).mean()
    assert found["brier"] == pytest.approx(brier, abs=1e-4)
    assert np.array(found["confusion"]).sum() == found["photos"] == len(truth)
    order = np.argsort(-whole, axis=1, kind="stable")[:, :2]  # ties as in a run
    assert found["top_k_accuracy"]["2"] == pytest.approx((truth == order.T).any(0).mean(), abs=1e-6)
    low, high = found["accuracy_interval"]
    assert 0 <= low < found["accuracy"] < high <= 1


def _probabilities(table: Path, judged: Judged) -> np.ndarray:
    """Of every class, of the photos that are judged."""
    tops = {row["path"]: row["top_k"] for row in rows_of(table)}
    said = [{top["class"]: top["probability"] for top in tops[path]} for path in judged.paths]
    return np.array([[each[name] for name in judged.classes] for each in said])


def test_what_is_not_judged_is_counted(table: Path) -> None:
    found = evaluate(_judged(table))
    assert found["photos"] == 60
    assert sum(found["unreadable"].values()) == 1
    assert found["truth_other"]["purple"] == 1
    text = "\n".join(in_words(found, ["red", "green", "blue"]))
    assert "unreadable, not counted: unknown_format 1" in text
    assert "purple 1" in text


def _made_up(truth: list[int], said: list[int], probability: list[float]) -> Judged:
    paths = [f"{number}.jpg" for number in range(len(truth))]
    ints = (np.array(truth, np.int32), np.array(said, np.int32))
    rank = np.where(ints[0] == ints[1], 0, 1).astype(np.int32)
    judged = _EMPTY | {"truth": ints[0], "said": ints[1], "rank": rank, "paths": paths}
    return Judged(**judged, probability=np.array(probability, np.float32))


_EMPTY: dict[str, Any] = {
    "classes": ["a", "b"],
    "top_k": 1,
    "losses": None,
    "unreadable": {},
    "unknown": 0,
    "other": {},
}


def test_reliability_and_coverage() -> None:
    judged = _made_up([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], [0.99, 0.9, 0.8, 0.8, 0.55])
    found = evaluate(judged)
    assert sum(each["photos"] for each in found["reliability"]) == 5
    gaps = 0.01 + 0.1 + abs(0.5 - 0.8) * 2 + 0.45
    assert found["calibration_error"] == pytest.approx(gaps / 5, abs=1e-6)
    # At 0.8 there are two photos, one of them wrong: a threshold takes both or none.
    sure = {each["accuracy"]: each for each in found["coverage"]}
    assert sure[0.99]["min_probability"] == pytest.approx(0.9)
    assert sure[0.99]["coverage"] == pytest.approx(0.4)
    assert found["log_loss"] is None
    never = evaluate(_made_up([0, 0], [1, 1], [0.9, 0.8]))
    assert never["coverage"][0] == {"accuracy": 0.95, "min_probability": None, "coverage": 0.0}
    exact = evaluate(_made_up([0, 1], [0, 1], [1.0, 0.0]))
    assert exact["accuracy"] == 1.0


def test_two_tables_are_compared_by_mcnemars_test() -> None:
    truth = [0] * 20
    a = _made_up(truth, [0] * 15 + [1] * 5, [0.9] * 20)
    b = replace(
        _made_up(truth, [1] * 12 + [0] * 8, [0.9] * 20),
        paths=[f"{number}.jpg" for number in range(19)] + ["other.jpg"],
    )
    found = compare(a, b)
    assert (found["photos"], found["only_here"], found["only_there"]) == (19, 1, 1)
    assert (found["better"], found["worse"]) == (12, 4)
    exact = 2 * sum(math.comb(16, k) for k in range(5)) / 2**16
    assert found["p_value"] == pytest.approx(exact, abs=1e-6)
    words = list(against_in_words(found, "old.parquet"))
    assert "right now and wrong there 12, wrong now and right there 4" in words[1]
    nothing = compare(a, replace(b, paths=["x"] * 20))
    assert list(against_in_words(nothing, "x")) == ["no photo is in x, too"]


def test_the_truth_of_a_table_and_of_a_pattern(table: Path, tmp_path: Path) -> None:
    judged = _judged(table)
    lines = ["path,class", *(f'"{p}",{judged.classes[t]}' for p, t in _pairs(judged))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    by_table = _judged(table, str(tmp_path / "t.csv"))
    assert (by_table.truth == judged.truth).all()
    by_pattern = _judged(table, r"/(?P<class>red|green|blue)/[^/]*$")
    assert (by_pattern.truth == judged.truth).all()


def test_corrections_go_before_the_folder(table: Path, tmp_path: Path) -> None:
    judged = _judged(table)
    wrong = int(np.flatnonzero(judged.truth != judged.said)[0])
    corrected = judged.classes[judged.said[wrong]]
    (tmp_path / "c.csv").write_text(f"path,class\r\n{judged.paths[wrong]},{corrected}\r\n")
    truth = truth_of(PARENT_FOLDER, str(tmp_path / "c.csv"))
    again = judge(RunTable.open(str(table)), truth)
    assert len(again.truth) == len(judged.truth)
    assert (again.truth == again.said).sum() == (judged.truth == judged.said).sum() + 1


def _pairs(judged: Judged) -> list[tuple[str, int]]:
    return list(zip(judged.paths, judged.truth.tolist(), strict=True))


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ("nowhere", "say parent-folder, a table with path and class, or a pattern"),
        ("(?P<class>", "is no regular expression"),
        ("/(?P<class>[0-9]+)[.]png$", "are none of its classes: say where the truth is"),
        ("{tmp}/bad.csv", "is no table with the columns path and class"),
        ("{tmp}/empty.csv", "is no table with the columns path and class"),
    ],
)
def test_a_truth_that_is_none_is_one_line(
    truth: str, message: str, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(SceneBatchError, match=message) as caught:
        _judged(table, truth.replace("{tmp}", str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_the_command_leaves_figures_and_pictures(table: Path, tmp_path: Path) -> None:
    done = scene_batch("evaluate", table, "--against", table, "--out", tmp_path / "f")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "f" / "metrics.json").read_text())
    assert f"accuracy {metrics['accuracy']:.4f} (95 %:" in done.stdout.decode()
    assert metrics["against"]["other_class"] == 0
    for name in ("confusion.png", "reliability.png", "coverage.png"):
        assert (tmp_path / "f" / name).read_bytes()[:4] == b"\x89PNG"


def test_a_table_in_a_bucket_and_a_data_set(
    photos: Path, colours: Predictor, bucket: Bucket, tmp_path: Path
) -> None:
    for out in (f"{bucket.url}/p.parquet", f"{tmp_path}/set/"):
        run(Job((str(photos),), out), colours)
        assert evaluate(_judged(out))["photos"] == 60


def test_a_table_without_a_class_is_shown_and_not_judged(
    colours: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").write_bytes(b"no photo")
    out = tmp_path / "p.parquet"
    run(Job((str(tmp_path / "in"),), str(out)), colours)
    assert b"unreadable (unknown_format) 1" in scene_batch("show", out).stdout
    done = scene_batch("evaluate", out)
    assert done.returncode == 1
    assert b"of no photo in" in done.stderr


def test_show_says_rows_and_classes(table: Path) -> None:
    done = scene_batch("show", table, "--rows", "3", environment={"COLUMNS": "60"})
    lines = done.stdout.decode().splitlines()
    assert len(lines[0]) <= 60
    assert lines[3] == "… 63 rows"
    assert any("█" in line for line in lines)
    assert lines[-1] == "63 rows, 62 ok"
