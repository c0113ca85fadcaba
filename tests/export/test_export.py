"""Keras = ONNX: what is exported computes what was trained, or is not written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from PIL import Image

from scene_batch.classifier import Classifier
from scene_batch.errors import (
    OutputError,
    OutputExistsError,
    ParityError,
    TrainingError,
    UsageError,
)
from scene_batch.model import golden
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.model.session import Session
from scene_batch.records import Prediction
from scene_batch_export import exporting, run_photos
from scene_batch_export.exporting import Wish, export
from scene_batch_export.parity import compare
from scene_batch_train.run_folder import RunFolder
from sharing import shared
from small import SIDE
from support import SCENES, scene_batch


@pytest.fixture(scope="session")
def fp32(tiny_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        said: list[str] = []
        export(Wish(tiny_run.path, folder / "fp32.onnx", "fp32"), said.append)
        assert len(said) == 1
        assert said[0].startswith("fp32 against Keras, 6 photos: top-1 agreement 1.0000")

    return shared(tmp_path_factory, "fp32", make) / "fp32.onnx"


@pytest.fixture(scope="session")
def int8(tiny_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        export(Wish(tiny_run.path, folder / "int8.onnx", "int8", min_agreement=0.0), _nothing)

    return shared(tmp_path_factory, "int8", make) / "int8.onnx"


def _nothing(_: str) -> None:
    pass


def test_the_file_computes_what_keras_does(tiny_run: RunFolder, fp32: Path) -> None:
    pixels = np.random.default_rng(8).integers(0, 256, (40, 71, 71, 3), np.uint8)
    model = keras.models.load_model(tiny_run.model, compile=False)
    theirs = keras.ops.convert_to_numpy(model(pixels, training=False))
    session = Session.open(fp32, ComputeOptions(batch_size=8))
    ours = [session.probabilities(list(pixels[i : i + 8])) for i in range(0, 40, 8)]
    difference = compare(np.concatenate(ours), theirs)
    assert difference.agreement == 1
    assert difference.largest <= 1e-4


def test_an_export_computes_nothing_before_its_first_convolution(fp32: Path, int8: Path) -> None:
    kinds = {path: [node.op_type for node in onnx.load(path).graph.node] for path in (fp32, int8)}
    assert kinds[fp32][:3] == ["Transpose", "Cast", "Conv"]
    first = kinds[int8].index("Conv")
    assert {"Cast", "Mul", "Add", "QuantizeLinear"}.isdisjoint(kinds[int8][:first])


def test_fp16_takes_and_gives_what_fp32_does(
    tiny_run: RunFolder, fp32: Path, tmp_path: Path
) -> None:
    path, said = tmp_path / "m.onnx", list[str]()
    export(Wish(tiny_run.path, path, "fp16"), said.append)
    assert said[1].startswith("fp16 against fp32, 6 photos: top-1 agreement 1.0000")
    graph = onnx.load(path).graph
    assert not _constants(graph, onnx.TensorProto.FLOAT)
    floats = _bytes(_constants(onnx.load(fp32).graph, onnx.TensorProto.FLOAT))
    assert _bytes(_constants(graph, onnx.TensorProto.FLOAT16)) == floats / 2
    assert fp32.stat().st_size - path.stat().st_size > 0.95 * floats / 2
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    pixels = np.random.default_rng(8).integers(0, 256, (24, 71, 71, 3), np.uint8)
    ours, theirs = (
        Session.open(file, ComputeOptions(batch_size=24)).probabilities(list(pixels))
        for file in (path, fp32)
    )
    difference = compare(ours, theirs)
    assert 0 < difference.largest < 1e-2
    results = golden.check(Predictor.open(path, ComputeOptions("cpu")))
    assert all(result.passed for result in results)
    assert Session.open(path).card.metrics["exported"]["fp16"]["agreement"] == 1


def _save_test_photos(folder: Path) -> Path:
    """Four photos of each class that no run has seen."""
    random = np.random.default_rng(33)
    for name, low, high in (("bright", 140, 256), ("dark", 0, 120)):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            pixels = random.integers(low, high, (SIDE, SIDE, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_figures_of_test_photos_are_the_exported_file_s_own(
    tiny_run: RunFolder, labelled: Path, tmp_path: Path
) -> None:
    test, said = _save_test_photos(tmp_path / "test"), list[str]()
    path = tmp_path / "m.onnx"
    export(Wish(tiny_run.path, path, test=test), said.append)
    found = Session.open(path).card.metrics["test"]
    assert found["photos"] == 8
    low, high = found["accuracy_interval"]
    assert 0 <= low <= found["accuracy"] <= high <= 1
    rows = Classifier.load(path).classify(sorted(test.rglob("*.png")))
    right = [
        isinstance(row, Prediction) and row.top[0].class_name == Path(row.ref.path).parent.name
        for row in rows
    ]
    assert found["accuracy"] == np.mean(right)
    assert said[-1].startswith(f"test, 8 photos: accuracy {found['accuracy']:.4f} (95 %: ")


def test_photos_that_were_trained_on_test_nothing(
    tiny_run: RunFolder, labelled: Path, tmp_path: Path
) -> None:
    test = _save_test_photos(tmp_path / "test")
    with pytest.raises(TrainingError, match="one of the run's own photos, which test nothing"):
        run_photos.for_test(tiny_run, labelled)
    shutil.copy(labelled / "dark" / "00.png", test / "dark" / "new-name.png")
    with pytest.raises(TrainingError, match=r"new-name.png' is a copy of the run's '.*00.png'"):
        run_photos.for_test(tiny_run, test)
    (test / "dark" / "new-name.png").unlink()
    for number, near in enumerate(("00", "02")):
        photo = Image.open(labelled / "dark" / f"{near}.png")
        photo.point(lambda value: value + 3).save(test / "dark" / f"near{number}.png")
        if number:
            with pytest.raises(TrainingError, match=r"2 of 10 photos, .*near0.png.* near copies"):
                run_photos.for_test(tiny_run, test)
        else:
            found = run_photos.for_test(tiny_run, test)
            assert (len(found.pixels), found.near_copies) == (8, 1)
    (test / "dark" / "near1.png").unlink()
    (test / "bright").rename(test / "other")
    with pytest.raises(TrainingError, match="'other' is no class of"):
        run_photos.for_test(tiny_run, test)


def test_the_card_is_a_page_for_people(tiny_run: RunFolder, tmp_path: Path) -> None:
    _save_test_photos(tmp_path / "test")
    run = RunFolder(Path(shutil.copytree(tiny_run.path, tmp_path / "run")))
    config = run.read_config()
    config["recipe"]["distillation"]["teacher"] = "/home/me/large.onnx"
    teacher = {"name": "large", "version": "2.0.0", "sha256": "0" * 64}
    run.config.write_text(json.dumps(config | {"teacher": teacher}))
    path = tmp_path / "m.onnx"
    export(Wish(run.path, path, name="a|b", test=tmp_path / "test"), _nothing)
    done = scene_batch("inspect", path, "--markdown")
    assert done.returncode == 0
    page = done.stdout.decode()
    card = Session.open(path).card
    for words in (
        "# a|b 1.0.0",
        "one of 2 classes: bright, dark",
        f"sha256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`",
        "| network | Xception with 1 of its 8 middle blocks, filters times 0.125 |",
        "| teacher | large, version 2.0.0 |",
        "| photos | 18 of the folder",
        "rotate 5.0",
        f"| test, fp32 | 8 | {card.metrics['test']['accuracy']} |",
        "Of each class, on the test photos",
        f"temperature of {card.calibration['temperature']}",
        "always answers with one of its 2 classes",
        "| upside down |",
    ):
        assert words in page
    assert "None" not in page
    assert "?" not in page
    assert card.training["teacher"] == teacher
    assert card.training["config"]["distillation"]["teacher"] == "large.onnx"  # not where it lay


def test_the_graph_has_the_names_and_shapes_of_the_contract(fp32: Path) -> None:
    graph = onnx.load(fp32).graph
    (image,), (probabilities,) = graph.input, graph.output
    assert (image.name, probabilities.name) == ("image", "probabilities")
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    dimensions = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert dimensions == ["N", 71, 71, 3]
    dimensions = [d.dim_param or d.dim_value for d in probabilities.type.tensor_type.shape.dim]
    assert dimensions == ["N", 2]
    kinds = Counter(node.op_type for node in graph.node)
    assert kinds["BatchNormalization"] == 0  # folded into the convolutions
    assert kinds["Transpose"] == 2  # the input's and the last features': none in between


def test_the_card_says_where_it_comes_from(fp32: Path, tiny_run: RunFolder) -> None:
    card = Session.open(fp32).card
    assert card.classes == ("bright", "dark")
    assert (card.name, card.version, card.precision) == ("run", "1.0.0", "fp32")
    assert card.preprocess == tiny_run.read_preprocess()
    assert card.training["config"]["height"] == 71
    assert card.metrics["validation"]["photos"] == 6
    assert card.metrics["exported"]["fp32"]["accuracy"] == card.metrics["validation"]["accuracy"]
    assert card.calibration["temperature"] == tiny_run.read_metrics()["temperature"]
    assert str(tiny_run.path) not in json.dumps(card.to_metadata())


@pytest.mark.parametrize("file", ["fp32", "int8"])
def test_the_golden_photos_verify(file: str, request: pytest.FixtureRequest) -> None:
    predictor = Predictor.open(request.getfixturevalue(file), ComputeOptions("cpu"))
    results = golden.check(predictor)
    assert len(results) == 6
    assert all(result.passed and result.same_pixels for result in results)


def test_int8_is_a_quarter_and_its_last_layer_is_float(fp32: Path, int8: Path) -> None:
    graph = onnx.load(int8).graph
    floats = _bytes(_kernels(onnx.load(fp32).graph, onnx.TensorProto.FLOAT))
    assert not _kernels(graph, onnx.TensorProto.FLOAT)
    assert _bytes(_kernels(graph, onnx.TensorProto.INT8)) == floats / 4
    # What is quantised also has a scale for each channel, the more to see the smaller the network.
    assert fp32.stat().st_size - int8.stat().st_size > 0.8 * floats * 3 / 4
    makers = {name: node for node in graph.node for name in node.output}
    kinds, name = [], "probabilities"
    while not kinds or kinds[-1] not in ("MatMul", "Gemm"):
        kinds.append(makers[name].op_type)
        name = makers[name].input[0]
    assert "DequantizeLinear" not in kinds
    assert {"QuantizeLinear", "DequantizeLinear"} < {node.op_type for node in graph.node}


def test_int8_weights_have_seven_bits(int8: Path) -> None:
    """Without ``reduce_range`` x86 CPUs without VNNI saturate (docs/decisions/002)."""
    graph = onnx.load(int8).graph
    kernels = _kernels(graph, onnx.TensorProto.INT8)
    assert len(kernels) == sum(node.op_type == "Conv" for node in graph.node) > 30
    assert max(np.abs(kernel.astype(int)).max() for kernel in kernels) <= 64


def _constants(graph: onnx.GraphProto, data_type: int) -> list[np.ndarray]:
    return [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == data_type]


def _kernels(graph: onnx.GraphProto, data_type: int) -> list[np.ndarray]:
    """The convolutions' weights of a type."""
    return [array for array in _constants(graph, data_type) if array.ndim == 4]


def _bytes(arrays: Sequence[np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays)


def test_a_classifier_takes_the_file(fp32: Path, labelled: Path) -> None:
    rows = Classifier.load(fp32).classify(sorted(labelled.rglob("*.png")))
    assert len(rows) == 24
    assert all(isinstance(row, Prediction) for row in rows)


def test_other_outputs_than_keras_are_refused_with_the_differences(
    tiny_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exporting.to_onnx

    def broken(model: keras.Model) -> onnx.ModelProto:
        converted = real(model)
        for weight in converted.graph.initializer:
            if "logits" in weight.name and len(weight.dims) == 2:
                array = onnx.numpy_helper.to_array(weight)
                weight.CopyFrom(onnx.numpy_helper.from_array(-array, weight.name))
        return converted

    monkeypatch.setattr(exporting, "to_onnx", broken)
    with pytest.raises(ParityError, match=r"not written: .* 6 photos: top-1 agreement"):
        export(Wish(tiny_run.path, tmp_path / "m.onnx"), _nothing)
    assert list(tmp_path.iterdir()) == []


def test_int8_that_disagrees_is_refused(tiny_run: RunFolder, tmp_path: Path) -> None:
    wish = Wish(tiny_run.path, tmp_path / "m.onnx", "int8", min_agreement=1.01)
    with pytest.raises(ParityError, match="calibrate on other photos"):
        export(wish, _nothing)
    assert list(tmp_path.iterdir()) == []


def test_golden_and_calibration_photos_may_be_named(tiny_run: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    wish = Wish(
        tiny_run.path,
        path,
        "int8",
        name="named",
        version="2.0.0",
        calibrate=SCENES,
        golden=SCENES / "sea",
        min_agreement=0.0,
    )
    export(wish, _nothing)
    card = Session.open(path).card
    assert (card.name, card.version, len(card.golden)) == ("named", "2.0.0", 2)


def test_places_and_runs_that_cannot_be_used_are_refused(
    tiny_run: RunFolder, fp32: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputExistsError, match="--overwrite"):
        export(Wish(tiny_run.path, fp32), _nothing)
    with pytest.raises(OutputError, match="mkdir -p"):
        export(Wish(tiny_run.path, tmp_path / "no" / "m.onnx"), _nothing)
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        export(Wish(tiny_run.path, tmp_path / "m.txt"), _nothing)
    with pytest.raises(TrainingError, match="not a finished training run"):
        export(Wish(tmp_path, tmp_path / "m.onnx"), _nothing)


def test_photos_that_are_gone_are_said(tiny_run: RunFolder, tmp_path: Path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(tiny_run.path, moved)
    text = (moved / "split.csv").read_text()
    (moved / "split.csv").write_text(text.replace("/labelled", "/gone"))
    with pytest.raises(TrainingError, match=r"can be read \(first: .*split\.csv's paths"):
        run_photos.labelled(dataclasses.replace(tiny_run, path=moved))


@pytest.mark.nightly
def test_the_command_line_from_photos_to_table(
    labelled: Path, tiny_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    out = tmp_path / "m.onnx"
    done = scene_batch("export", tiny_run.path, "--out", out)
    assert done.returncode == 0, done.stderr
    first, second, *rest = done.stderr.splitlines()  # and nothing of TensorFlow's or CUDA's
    assert first.startswith(b"fp32 against Keras")
    assert second.endswith(b"MB, fp32")
    assert not rest
    done = scene_batch("run", labelled, "--model", out, "--out", "-", "--max-unreadable", "1")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 25
