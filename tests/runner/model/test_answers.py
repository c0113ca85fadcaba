"""Answers of a model that are none: rows that say so, or a model that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from scene_batch.errors import ModelError
from scene_batch.model import calls
from scene_batch.model.calls import are_probabilities
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from support import save_model, save_photo, scene_batch


def _with_nodes(model: Path, path: Path, *nodes: onnx.NodeProto) -> Path:
    """The colour model with other nodes in place of its softmax; they find ``logits``, 0 to 1."""
    altered = onnx.load(model)
    for name, value in (("half", 0.5), ("fifth", 0.2)):
        altered.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    del altered.graph.node[-1]
    altered.graph.node.extend(nodes)
    return save_model(altered, path)


def _node(kind: str, inputs: str, output: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


_SOFTMAX = _node("Softmax", "logits", "softmax", axis=-1)
_NO_ANSWER_TO_WHITE = {
    "not a number": (  # the logarithm of how much darker than half
        _node("Sub", "half logits", "darker"),
        _node("Log", "darker", "logarithm"),
        _node("Softmax", "logarithm", "probabilities", axis=-1),
    ),
    "another sum": (
        _SOFTMAX,
        _node("Mul", "logits half", "more"),
        _node("Add", "softmax more", "probabilities"),
    ),
}


@pytest.mark.parametrize("kind", ["not a number", "another sum"])
def test_no_probabilities_are_a_row_without_a_class(
    kind: str, colour_model: Path, tmp_path: Path
) -> None:
    """Not a number was class 0, ``ok``, and JSON that no parser takes."""
    model = _with_nodes(colour_model, tmp_path / "m.onnx", *_NO_ANSWER_TO_WHITE[kind])
    for name, colour in (("a", "black"), ("b", "white"), ("c", "black")):
        save_photo(tmp_path / "photos" / f"{name}.png", colour)
    words = ["run", tmp_path / "photos", "--model", model, "--out"]
    done = scene_batch(*words, "-")
    assert done.returncode == 3, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "unreadable", "ok"]
    assert rows[1]["error"] == "no_answer: the model's answer is not probabilities that sum to one"
    assert rows[1]["class"] is rows[1]["probability"] is rows[1]["top_k"] is None
    assert rows[0]["top_k"] == rows[2]["top_k"]
    table = scene_batch(*words, tmp_path / "p.parquet")
    assert json.loads(Path(f"{tmp_path}/p.parquet.run.json").read_text())["unreadable"] == {
        "no_answer": 1
    }, table.stderr


_TO_ANY = {
    "a softmax and a fifth": (_SOFTMAX, _node("Add", "softmax fifth", "probabilities")),
    "logits": (_node("Identity", "logits", "probabilities"),),
    "not a number": (
        _node("Sub", "logits logits", "zero"),
        _node("Div", "zero zero", "probabilities"),
    ),
    "infinite": (
        _node("Sub", "logits logits", "zero"),
        _node("Div", "half zero", "probabilities"),
    ),
}


@pytest.mark.parametrize("kind", _TO_ANY)
@pytest.mark.parametrize(
    ("batch_size", "small"), [(None, 1 << 20), (None, 0), (2, 1 << 20), (2, 0)]
)
def test_a_model_whose_output_is_no_softmax_is_refused(
    kind: str,
    batch_size: int | None,
    small: int,
    colour_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "_SMALL_MODEL", small)  # a large one is asked beside the imports
    model = _with_nodes(colour_model, tmp_path / "m.onnx", *_TO_ANY[kind])
    with pytest.raises(ModelError, match=r"blank photo .* no probabilities.*export it again"):
        Predictor.open(model, ComputeOptions("cpu", batch_size))


def test_probabilities_are_told_from_other_numbers() -> None:
    rows = {
        (0.2, 0.3, 0.5): True,
        (0.2, 0.3, 0.508): True,
        (-0.009, 0.5, 0.509): True,
        (0.2, 0.3, 0.52): False,
        (0.2, 0.3, 0.48): False,
        (-0.02, 0.51, 0.51): False,
        (np.nan, 0.5, 0.5): False,
        (np.inf, -np.inf, 1.0): False,
        (3e38, 3e38, 0.0): False,
    }
    assert are_probabilities(np.array(list(rows), np.float32)).tolist() == list(rows.values())
