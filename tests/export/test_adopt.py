"""A foreign classifier made ours answers as before, whatever tool exported it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from foreign import SIZE, foreign, saved
from scene_batch.model import golden
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.records import ImageRef, Pixels
from scene_batch_export.adopted.adopting import Wish, adopt
from scene_batch_export.adopted.finding import Given
from support import encode, rows_of, scene_batch

_GIVEN = Given(preprocess="imagenet")


def _adopted(model: onnx.ModelProto, folder: Path, **wish: Any) -> tuple[Predictor, list[str]]:
    source, said = saved(model, folder / "in" / "m.onnx"), list[str]()
    adopt(Wish(source, folder / "ours.onnx", **({"given": _GIVEN} | wish)), said.append)
    return Predictor.open(folder / "ours.onnx", ComputeOptions("cpu")), said


def _pixels(count: int) -> list[Pixels]:
    return list(np.random.default_rng(3).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8))


def _expected(model: onnx.ModelProto, pixels: list[Pixels], *, logits: bool) -> Any:
    """What its makers compute: ImageNet's mean and deviation, NCHW, softmax."""
    given = model.graph.input[0]
    values = np.stack(pixels).astype(np.float32)
    if given.type.tensor_type.elem_type != TensorProto.UINT8:
        values = (values / 255 - (0.485, 0.456, 0.406)) / np.array((0.229, 0.224, 0.225))
    if given.type.tensor_type.shape.dim[1].dim_value == 3:
        values = values.transpose(0, 3, 1, 2)
    kind = {1: np.float32, 2: np.uint8, 10: np.float16}[given.type.tensor_type.elem_type]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    answers = np.concatenate(
        [
            session.run([model.graph.output[0].name], {given.name: values[i : i + 1].astype(kind)})[
                0
            ]
            for i in range(len(values))
        ]
    ).reshape(len(pixels), -1)
    powers = np.exp(answers.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True) if logits else answers


EXPORTS: dict[str, dict[str, Any]] = {
    "torch": {},
    "keras": {"layout": "nhwc", "end": "softmax"},
    "keras that scales": {"layout": "nhwc", "kind": TensorProto.UINT8},
    "no padding": {"pads": 0},
    "a fixed batch": {"batch": 1},
    "float16": {"kind": TensorProto.FLOAT16},
    "1x1": {"end": "1x1"},
    "our names": {"names": ("image", "probabilities"), "end": "softmax"},
    "names of ours within": {
        "tensors": {
            "c1": "adopted_0",
            "w1": "folded_weights",
            "r1": "pixels",
            "r2": "foreign_image",
            "flat": "adopted_order",
        }
    },
    "names crossed": {"names": ("probabilities", "image")},
    "an old opset": {"opset": 11},
    "features, too": {"more_outputs": True},
}


@pytest.mark.parametrize("name", EXPORTS)
def test_any_export_answers_as_before(name: str, tmp_path: Path) -> None:
    model = foreign(**EXPORTS[name])
    predictor, said = _adopted(model, tmp_path)
    pixels = _pixels(5)
    answers = predictor.session.probabilities(pixels)
    logits = EXPORTS[name].get("end") != "softmax"
    assert answers == pytest.approx(
        _expected(model, pixels, logits=logits), abs=2e-3 if name == "float16" else 1e-5
    )
    assert predictor.card.classes == ("a", "b", "c", "d")
    assert predictor.card.precision == ("fp16" if name == "float16" else "fp32")
    assert all(result.passed for result in golden.check(predictor))
    assert any("three at once as one by one" in line for line in said)
    assert len(said) == len(set(said))
    onnx.checker.check_model(str(tmp_path / "ours.onnx"))


def test_what_a_branch_within_the_graph_uses_stays(tmp_path: Path) -> None:
    model = foreign(pads=0)
    graph = model.graph
    yes, shift = np.array(True), np.full(8, 0.5, np.float32)
    graph.initializer.extend(
        [numpy_helper.from_array(yes, "yes"), numpy_helper.from_array(shift, "shift")]
    )

    def branch(name: str) -> onnx.GraphProto:
        made = helper.make_tensor_value_info(name, TensorProto.FLOAT, [8])
        return helper.make_graph(
            [helper.make_node("Identity", ["shift"], [name])], name, [], [made]
        )

    last = graph.node.pop()
    last.input[0] = "moved"
    chosen = helper.make_node(
        "If", ["yes"], ["chosen"], then_branch=branch("a"), else_branch=branch("b")
    )
    moved = helper.make_node("Add", ["flat", "chosen"], ["moved"])
    graph.node.extend([chosen, moved, last])
    _adopted(model, tmp_path)
    kept = {each.name for each in onnx.load(tmp_path / "ours.onnx").graph.initializer}
    assert {"shift", "folded_weights"} <= kept


def test_a_scaling_for_each_channel_is_folded_where_nothing_is_padded(tmp_path: Path) -> None:
    given = dataclasses.replace(_GIVEN, channels="bgr")
    for pads, first in ((0, ["Transpose", "Cast", "Conv"]), (1, ["Gather", "Cast", "Mul"])):
        folder = tmp_path / str(pads)
        model = foreign(pads=pads)
        predictor, _ = _adopted(model, folder, given=given)
        graph = onnx.load(folder / "ours.onnx").graph
        assert [node.op_type for node in graph.node][:3] == first
        pixels = _pixels(3)
        turned = [photo[..., ::-1] for photo in pixels]
        bgr = Given(
            preprocess=json.dumps({"preset": "imagenet", "channels": "rgb"}), places=given.places
        )
        other, _ = _adopted(model, folder, given=bgr, overwrite=True)
        a, b = predictor.session.probabilities(pixels), other.session.probabilities(turned)
        assert a == pytest.approx(b, abs=1e-5)


def test_it_is_a_model_like_any_other(tmp_path: Path) -> None:
    """From file to row, by the command; the card says what it was."""
    source = saved(foreign(), tmp_path / "in" / "resnet.onnx")
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 61, 3), np.uint8))
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos" / "x.png")
    refused = scene_batch("run", "photos", "--out", "p.parquet", "--model", source, cwd=tmp_path)
    assert refused.returncode == 1
    assert b"scene-batch adopt" in refused.stderr
    words = ("--preprocess", "imagenet", "--out", "m.onnx")
    done = scene_batch("adopt", source, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"classes: 4 (" in done.stderr
    assert b"labels.txt" in done.stderr
    assert scene_batch("verify", "m.onnx", cwd=tmp_path).returncode == 0
    done = scene_batch("run", "photos", "--out", "p.parquet", "--model", "m.onnx", cwd=tmp_path)
    assert done.returncode == 0
    (row,) = rows_of(tmp_path / "p.parquet")
    small = photo.resize((36, int(36 * 90 / 61)), Image.Resampling.BILINEAR)
    top = round((small.height - SIZE) / 2)
    pixels = np.asarray(small.crop((2, top, 2 + SIZE, top + SIZE)))
    (want,) = _expected(foreign(), [pixels], logits=True)
    assert row["class"] == "abcd"[int(want.argmax())]
    assert row["probability"] == pytest.approx(want.max(), abs=1e-4)
    card = json.loads(scene_batch("inspect", "m.onnx", cwd=tmp_path).stdout)
    assert card["origin"]["file"] == "resnet.onnx"
    assert card["origin"]["made by"] == "elsewhere"
    assert "its shorter edge resized to 36 pixels" in card["preprocess_in_words"]["input"]
    page = scene_batch("inspect", "m.onnx", "--markdown", cwd=tmp_path).stdout
    assert b"## Origin" in page
    again = scene_batch("adopt", source, *words, cwd=tmp_path)
    assert again.returncode == 1
    assert b"--overwrite" in again.stderr


def test_weights_in_another_file_are_taken_in(tmp_path: Path) -> None:
    model = foreign()
    (tmp_path / "in").mkdir()
    onnx.save(
        model,
        tmp_path / "in/m.onnx",
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    said: list[str] = []
    (tmp_path / "in/classes.json").write_text('["a", "b", "c", "d"]')
    adopt(Wish(tmp_path / "in/m.onnx", tmp_path / "m.onnx", _GIVEN), said.append)
    (tmp_path / "in/m.data").unlink()
    pixels = _pixels(2)
    answers = Predictor.open(tmp_path / "m.onnx").session.probabilities(pixels)
    assert answers == pytest.approx(_expected(foreign(), pixels, logits=True), abs=1e-5)


def test_a_free_size_is_fixed(tmp_path: Path) -> None:
    predictor, _ = _adopted(
        foreign(size="side"), tmp_path, given=dataclasses.replace(_GIVEN, size="40x24")
    )
    assert predictor.card.preprocess.size == (40, 24)
    assert predictor.decode(ImageRef("x"), encode(Image.new("RGB", (99, 50)), "PNG"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of stripes, to calibrate on."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(40):
        random = np.random.default_rng(number)
        colours = random.integers(0, 256, (6, 5, 3), np.uint8)
        Image.fromarray(colours).resize((70, 50), Image.Resampling.BICUBIC).save(
            folder / f"{number:02}.png"
        )
    return folder


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_lower_precisions_are_held_against_fp32(
    precision: Any, photos: Path, tmp_path: Path
) -> None:
    predictor, said = _adopted(
        foreign(), tmp_path, precision=precision, calibrate=photos, golden=photos, min_agreement=0.9
    )
    assert predictor.card.precision == precision
    assert any(line.startswith(f"{precision} against fp32, 40 photos") for line in said)
    assert all(result.passed for result in golden.check(predictor))
    assert predictor.card.golden[0].image[:2] == b"\xff\xd8"


def test_labelled_photos_give_the_card_its_figures(photos: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(photos.iterdir())[:8]):
        name = tmp_path / "test" / "ab"[number % 2] / path.name
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(path.read_bytes())
    predictor, said = _adopted(foreign(), tmp_path, test=tmp_path / "test")
    assert predictor.card.metrics["test"]["photos"] == 8
    assert any(line.startswith("test, 8 photos: accuracy") for line in said)
