"""What cannot be adopted is refused in one line, and what cannot be told is asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from foreign import SIZE, foreign, saved
from scene_batch.errors import ModelError, OutputError, ParityError, SceneBatchError, UsageError
from scene_batch_export.adopted import original
from scene_batch_export.adopted.adopting import Wish, adopt
from scene_batch_export.adopted.finding import Given

_GIVEN = Given(preprocess="imagenet")


def _adopt(folder: Path, model: onnx.ModelProto, **more: Any) -> list[str]:
    said: list[str] = []
    labels = more.pop("labels", ("a", "b", "c", "d"))
    source = saved(model, folder / "in" / "m.onnx", labels)
    try:
        adopt(Wish(source, folder / "m.onnx", **({"given": _GIVEN} | more)), said.append)
    except SceneBatchError as error:
        assert "\n" not in str(error)
        assert not (folder / "m.onnx").exists()
        raise
    return said


def _with(model: onnx.ModelProto, **shapes: list[Any]) -> onnx.ModelProto:
    """The model with other shapes of its outputs, by name."""
    for value in model.graph.output:
        if value.name in shapes:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shapes[value.name]))
    return model


def _of_three_alone() -> onnx.ModelProto:
    """A graph that puts something beside the three photos that it is fixed to."""
    model = foreign(batch=3)
    graph = model.graph
    beside = {
        "beside": np.zeros((3, 1), np.float32),
        "begin": np.array([0], np.int64),
        "end": np.array([8], np.int64),
        "axis": np.array([1], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in beside.items())
    last = graph.node.pop()
    last.input[0] = "narrow"
    wide = helper.make_node("Concat", ["flat", "beside"], ["wide"], axis=1)
    narrow = helper.make_node("Slice", ["wide", "begin", "end", "axis"], ["narrow"])
    graph.node.extend([wide, narrow, last])
    return model


def _text_model() -> onnx.ModelProto:
    given = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", "length"])
    wanted = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "length"])
    cast = helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT)
    return helper.make_model(helper.make_graph([cast], "g", [given], [wanted]))


REFUSED: dict[str, tuple[onnx.ModelProto, dict[str, Any], str]] = {
    "wrong class count": (foreign(classes=5), {}, "is not .N, classes. of 4 classes"),
    "too many names": (
        foreign(),
        {"labels": [f"c{i}" for i in range(1000)]},
        "of 1000 classes .*labels.txt",
    ),
    "multi-label": (foreign(end="sigmoid"), {}, "a probability of its own .sigmoid."),
    "wrong for batches": (foreign(wrong_batches=True), {}, "wrong for batches: 3 photos at once"),
    "a detector": (
        _with(foreign(), output=["N", 84, 8400]),
        {},
        r"its output 'output' .*84, 8400.* no classifier",
    ),
    "a detector by its metadata": (
        foreign(metadata={"task": "detect", "names": "{0: 'a'}"}),
        {},
        "its task is 'detect': only classifiers",
    ),
    "a text model": (_text_model(), {}, "'input_ids' .int64.* takes no photos"),
    "gray photos": (
        helper.make_model(
            helper.make_graph(
                [helper.make_node("Identity", ["x"], ["y"])],
                "g",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
            )
        ),
        {},
        "has not 3 channels",
    ),
    "percentages": (foreign(end="percent"), {}, "sum up to 100 each time"),
    "a batch that cannot be freed": (
        _of_three_alone(),
        {},
        "does not take one photo and 3 at once .*export it again with a free batch",
    ),
    "a size that the network cannot take": (
        foreign(size="side", pads=0),
        {"given": dataclasses.replace(_GIVEN, size="3")},
        r"m\.onnx' fails: ",
    ),
    "an encoder": (
        foreign(classes=768),
        {"labels": ()},
        "its class names are not known: say --classes",
    ),
    "no preprocessing": (foreign(), {"given": Given()}, "say --preprocess .a preset: imagenet"),
    "no size": (foreign(size="side"), {}, "is not known: say --size"),
    "another size": (
        foreign(),
        {"given": dataclasses.replace(_GIVEN, size="64")},
        "its input is 32x32 pixels, and --size says 64x64",
    ),
    "which output": (
        _with(foreign(more_outputs=True), flat=["N", None]),
        {},
        "which output classifies cannot be told.*say --output",
    ),
    "an output that is not there": (
        foreign(),
        {"given": dataclasses.replace(_GIVEN, output="x")},
        "--output 'x' is no output of the model; it has: output",
    ),
    "an input that is not there": (
        foreign(),
        {"given": dataclasses.replace(_GIVEN, input="x")},
        "--input 'x' is no input of the model; it has: input",
    ),
    "the other layout": (
        foreign(),
        {"given": dataclasses.replace(_GIVEN, layout="nhwc")},
        "--layout nhwc: its input 'input' .* has other dimensions",
    ),
    "no probabilities": (
        foreign(),
        {"given": dataclasses.replace(_GIVEN, activation="none")},
        "--activation none: its answers are no probabilities",
    ),
    "a preset that is none": (
        foreign(),
        {"given": Given(preprocess="imagnet")},
        "--preprocess imagnet is no preset",
    ),
    "a key that is none": (
        foreign(),
        {"given": Given(preprocess='{"preset": "imagenet", "sizes": 3}')},
        "sizes",
    ),
    "a mean of two": (
        foreign(),
        {"given": dataclasses.replace(_GIVEN, mean="1,2")},
        "give one number, or three",
    ),
    "a deviation of zero": (
        foreign(),
        {"given": dataclasses.replace(_GIVEN, std="0")},
        "other than zero",
    ),
    "one class": (foreign(classes=1), {"labels": ("a",)}, "at least two classes"),
    "int8 without photos": (foreign(), {"precision": "int8"}, "--calibrate DIR"),
    "a mean for bytes": (
        foreign(layout="nhwc", kind=TensorProto.UINT8),
        {"given": dataclasses.replace(_GIVEN, mean="1")},
        "its input is uint8, so it scales by itself: leave out mean",
    ),
    "a name that is none": (
        foreign(metadata={"task": "classify", "names": "import os"}),
        {},
        "names is no Python literal",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_adopted_is_one_line(name: str, tmp_path: Path) -> None:
    model, more, message = REFUSED[name]
    with pytest.raises(SceneBatchError, match=message):
        _adopt(tmp_path, model, **more)


@pytest.mark.parametrize("where", ["../secret", "/etc/passwd", "link/w", "gone.data"])
def test_weights_outside_the_models_folder_are_refused(where: str, tmp_path: Path) -> None:
    model = foreign()
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(bytes(4096))
    (tmp_path / "w").write_bytes(bytes(4096))
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=where)
    message = "not beside it" if where == "gone.data" else "outside its folder"
    with pytest.raises(ModelError, match=message):
        _adopt(tmp_path, model)


def test_two_gibibytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(original.MOST_BYTES + 1)
    with pytest.raises(ModelError, match="has 2 GiB of weights or more"):
        adopt(Wish(tmp_path / "large.onnx", tmp_path / "o.onnx", _GIVEN), print)
    saved(foreign(), tmp_path / "in" / "m.onnx")
    model = onnx.load(tmp_path / "in" / "m.onnx")
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="m.data")
    with (tmp_path / "in" / "m.data").open("wb") as file:
        file.truncate(original.MOST_BYTES)
    with pytest.raises(ModelError, match="has 2 GiB of weights or more"):
        _adopt(tmp_path, model)


@pytest.mark.parametrize("content", [b"", b"no model", bytes(100), b"\x08\x07\x12"])
def test_what_is_no_onnx_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="is no ONNX file"):
        adopt(Wish(tmp_path / "m.onnx", tmp_path / "o.onnx", _GIVEN), print)


@pytest.fixture
def reference(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A table of what a pipeline of ImageNet's kind says, and the photos that it is of."""
    import onnxruntime

    session = onnxruntime.InferenceSession(foreign().SerializeToString())
    rows = []
    for number in range(24):
        random = np.random.default_rng(number)
        photo = Image.fromarray(random.integers(0, 256, (5, 4, 3), np.uint8)).resize((51, 67))
        photo.save(tmp_path / f"{number}.png")
        small = photo.resize((36, int(36 * 67 / 51)), Image.Resampling.BILINEAR)
        top = round((small.height - SIZE) / 2)
        pixels = np.asarray(small.crop((2, top, 34, top + SIZE)), np.float32) / 255
        values = (pixels - (0.485, 0.456, 0.406)) / np.array((0.229, 0.224, 0.225))
        given = values.transpose(2, 0, 1)[None].astype(np.float32)
        powers = np.exp(session.run(None, {"input": given})[0][0].astype(np.float64))
        rows.append((str(tmp_path / f"{number}.png"), (powers / powers.sum()).tolist()))
    return tmp_path, {"rows": rows}


def _table(folder: Path, rows: list[Any], kind: str) -> Path:
    path = folder / "reference.csv"
    if kind == "probabilities":
        lines = ["path,probabilities", *(f'{p},"{json.dumps(v)}"' for p, v in rows)]
    elif kind == "columns":
        lines = ["path,a,b,c,d", *(f"{p},{','.join(map(str, v))}" for p, v in rows)]
    else:
        lines = ["path,class", *(f"{p},{'abcd'[int(np.argmax(v))]}" for p, v in rows)]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("kind", ["probabilities", "columns", "class"])
def test_a_reference_proves_the_whole_way(kind: str, reference: Any) -> None:
    folder, made = reference
    table = _table(folder, made["rows"], kind)
    said = _adopt(folder, foreign(), reference=table)
    assert any("24 photos of the reference: the same class for 1.0000" in line for line in said)


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": "bgr"},
        {"mean": "0.9,0.1,0.4"},
        {"scale": "1"},
        {"preprocess": '{"preset": "imagenet", "fit": "stretch", "resize": null}'},
    ],
)
def test_a_reference_finds_out_a_wrong_pipeline(wrong: dict[str, str], reference: Any) -> None:
    folder, made = reference
    table = _table(folder, made["rows"], "probabilities")
    with pytest.raises(ParityError, match="--reference-agreement"):
        _adopt(folder, foreign(), reference=table, given=dataclasses.replace(_GIVEN, **wrong))
    said = _adopt(
        folder,
        foreign(),
        reference=table,
        given=dataclasses.replace(_GIVEN, **wrong),
        reference_agreement=0.0,
        reference_difference=1.0,
    )
    assert any("24 photos of the reference" in line for line in said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column 'path'"),
        ("path,x\nq,2\n", "neither 'probabilities'"),
        ("path,class\nq,zebra\n", "'zebra' is no class of the model"),
        ("path,probabilities\nq,[1]\n", "has not 4 probabilities"),
        ("path,probabilities\nq,x\n", "cannot be followed"),
        ("path,class\nno-such.png,a\n", "'no-such.png' of the reference is missing"),
        ("", "cannot be read"),
    ],
)
def test_a_reference_that_cannot_be_followed_is_one_line(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(SceneBatchError, match=message):
        _adopt(tmp_path, foreign(), reference=tmp_path / "r.csv")


def test_what_is_ours_already_is_refused(tmp_path: Path) -> None:
    _adopt(tmp_path, foreign())
    with pytest.raises(UsageError, match="is one of ours already"):
        adopt(Wish(tmp_path / "m.onnx", tmp_path / "n.onnx", _GIVEN), print)
    with pytest.raises(UsageError, match=r"--name 'a.nb': say a line of text"):
        adopt(Wish(tmp_path / "in/m.onnx", tmp_path / "n.onnx", _GIVEN, name="a\nb"), print)


def test_what_lies_beside_the_output_stays(tmp_path: Path) -> None:
    (tmp_path / "m.onnx.partial").write_text("mine")
    _adopt(tmp_path, foreign())
    assert (tmp_path / "m.onnx.partial").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "m.onnx", "m.onnx.partial"]
    (tmp_path / "f.onnx").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        adopt(Wish(tmp_path / "in/m.onnx", tmp_path / "f.onnx", _GIVEN, overwrite=True), print)


def test_names_of_digits_stay_names(reference: Any) -> None:
    folder, made = reference
    names = ("001", "002", "003", "004")
    lines = [f"{path},{names[int(np.argmax(values))]}" for path, values in made["rows"]]
    (folder / "r.csv").write_text("\n".join(["path,class", *lines]))
    said = _adopt(folder, foreign(), reference=folder / "r.csv", labels=names)
    assert any("24 photos of the reference: the same class for 1.0000" in line for line in said)


def test_the_model_itself_is_not_written_over(tmp_path: Path) -> None:
    source = saved(foreign(), tmp_path / "m.onnx")
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the model itself"):
        adopt(Wish(source, source, _GIVEN, overwrite=True), print)
    assert source.read_bytes() == before
