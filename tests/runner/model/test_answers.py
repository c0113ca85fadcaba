"""Answers of a model that are none: rows that say so, or a model that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from support import save_model, save_photo, scene_batch


@pytest.fixture
def no_answer_for_dark_photos(colour_model: Path, tmp_path: Path) -> Path:
    """The logarithm of how much brighter than 0.1: not a number for what is darker."""
    model = onnx.load(colour_model)
    softmax = model.graph.node[-1]
    least = numpy_helper.from_array(np.array(0.1, np.float32), "least")
    model.graph.initializer.append(least)
    model.graph.node.insert(3, helper.make_node("Sub", [softmax.input[0], "least"], ["brighter"]))
    model.graph.node.insert(4, helper.make_node("Log", ["brighter"], ["logarithm"]))
    model.graph.node[-1].input[0] = "logarithm"
    save_model(model, tmp_path / "dark.onnx")
    return tmp_path / "dark.onnx"


def test_not_a_number_is_a_row_without_a_class(
    no_answer_for_dark_photos: Path, tmp_path: Path
) -> None:
    """It was class 0, ``ok``, and JSON that no parser takes."""
    for name, colour in (("a", "white"), ("b", "black"), ("c", "white")):
        save_photo(tmp_path / "photos" / f"{name}.png", colour)
    words = ["run", tmp_path / "photos", "--model", no_answer_for_dark_photos, "--out"]
    done = scene_batch(*words, "-")
    assert done.returncode == 3, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "unreadable", "ok"]
    assert rows[1]["error"] == "no_answer: the model's answer is not a number"
    assert rows[1]["class"] is rows[1]["probability"] is rows[1]["top_k"] is None
    assert rows[0]["top_k"] == rows[2]["top_k"]
    table = scene_batch(*words, tmp_path / "p.parquet")
    assert json.loads(Path(f"{tmp_path}/p.parquet.run.json").read_text())["unreadable"] == {
        "no_answer": 1
    }, table.stderr
