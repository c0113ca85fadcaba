"""Odd model files: one line that says what is wrong, or a model that works; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from scene_batch.cli import main
from scene_batch.errors import ModelError
from scene_batch.model import golden
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.digest import with_digest
from scene_batch.model.predictor import Predictor
from support import save_model, save_photo, scene_batch


def _with_text(key: str, text: str) -> Callable[[Path, Path], None]:
    """One metadata value replaced."""

    def make(model: Path, path: Path) -> None:
        altered = onnx.load(model)
        (entry,) = [e for e in altered.metadata_props if e.key == f"scene_batch.{key}"]
        entry.value = text
        save_model(altered, path)

    return make


def _with_bytes(old: bytes, new: bytes) -> Callable[[Path, Path], None]:
    """As many bytes replaced, wherever they are."""
    return lambda model, path: _write(path, with_digest(model.read_bytes().replace(old, new)))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _with_batch_of_one(model: Path, path: Path) -> None:
    altered = onnx.load(model)
    for value in (altered.graph.input[0], altered.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    save_model(altered, path)


def _without_its_external_data(model: Path, path: Path) -> None:
    altered = onnx.load(model)
    altered.graph.initializer.append(numpy_helper.from_array(np.zeros(9, np.float32), "unused"))
    onnx.save(altered, path, save_as_external_data=True, location="weights", size_threshold=0)
    path.with_name("weights").unlink()
    path.write_bytes(with_digest(path.read_bytes()))


_DEEP = "[" * 100_000 + "]" * 100_000
_ODD: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "deep": (_with_text("training", _DEEP), "damaged metadata (RecursionError"),
    "a long number": (_with_text("training", '{"a": %s}' % ("9" * 5000)), "damaged metadata"),
    "a long height": (
        _with_text("preprocess", '{"height": %s, "width": 16}' % ("9" * 4000)),
        "contradicts its metadata",
    ),
    "a long format": (_with_text("format", "9" * 4000), "has a newer format than"),
    "no format": (_with_text("format", "0"), "format is not a number from 1"),
    "a fixed batch": (_with_batch_of_one, "has a fixed batch of 1: the first dimension"),
    "a value that is not UTF-8": (_with_bytes(b'"colours"', b'"colo\xffrs"'), "not UTF-8"),
    "a key that is not UTF-8": (_with_bytes(b"scene_batch.name", b"scene_batch.nam\xff"), "UTF-8"),
    "an input that is not UTF-8": (_with_bytes(b"image", b"imag\xff"), "not UTF-8"),
    "a node that is not UTF-8": (_with_bytes(b"Softmax", b"Softm\xffx"), "not UTF-8"),
    "a blank class": (_with_text("classes", '["red", " ", "blue"]'), "class name ' ' is blank"),
    "two lines": (_with_text("classes", '["red", "a\\nb", "blue"]'), "class name 'a\\nb' is"),
    "half a letter": (_with_text("classes", '["red", "\\ud800", "blue"]'), "control characters"),
    "half a letter in a figure": (_with_text("metrics", '{"a": "\\ud800"}'), "damaged metadata"),
    "a name of two lines": (_with_text("name", '"a\\nb"'), "name is not a line of text"),
    "a version that is a number": (_with_text("version", "2"), "version is not a line of text"),
    "external data": (_without_its_external_data, "has weights in another file (external data)"),
    "a folder": (lambda _, path: path.mkdir(), "is a folder, not a model file"),
    "empty": (lambda _, path: path.touch(), "is not an ONNX file"),
}


@pytest.mark.parametrize("kind", _ODD)
def test_an_odd_file_is_one_line(kind: str, colour_model: Path, tmp_path: Path) -> None:
    make, words = _ODD[kind]
    model, photo = tmp_path / "m.onnx", save_photo(tmp_path / "a.png")
    make(colour_model, model)
    for command in (
        ["run", photo, "--out", tmp_path / "p.csv", "--model", model],
        ["verify", model],
        ["inspect", model],
        ["inspect", "--markdown", model],
    ):
        done = CliRunner().invoke(main, list(map(str, command)))
        said = done.stderr.splitlines()
        assert (done.exit_code, len(said)) == (1, 1), said
        assert words in said[0]
        assert len(said[0]) < 500
        assert isinstance(done.exception, SystemExit)
    assert not (tmp_path / "p.csv").exists()


def test_in_a_process_of_its_own_too(colour_model: Path, tmp_path: Path) -> None:
    for kind in ("deep", "a value that is not UTF-8"):
        model = tmp_path / "m.onnx"
        _ODD[kind][0](colour_model, model)
        done = scene_batch("inspect", model)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr


def test_class_names_of_any_language_are_taken(colour_model: Path, tmp_path: Path) -> None:
    names = ["گل‌ها", "ภูเขา 山", "a\u00a0b"]  # noqa: RUF001
    _with_text("classes", json.dumps(names))(colour_model, tmp_path / "m.onnx")
    assert Predictor.open(tmp_path / "m.onnx", ComputeOptions("cpu")).card.classes == tuple(names)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_metadata_give_an_error_or_a_model_that_works(
    data: st.DataObject, colour_model: Path, tmp_path: Path
) -> None:
    """With a digest that fits: what a wrong tool writes, not what a disk does."""
    metadata = {e.key: e.value for e in onnx.load(colour_model).metadata_props}
    keys = sorted(key for key in metadata if not key.endswith("digest"))
    key = data.draw(st.sampled_from(keys))
    text = metadata[key]
    how = data.draw(st.sampled_from(["json", "cut", "letters", "inside"]))
    if how == "json":
        text = json.dumps(data.draw(_JSON))
    elif how == "inside" and isinstance(value := json.loads(text), dict) and value:
        text = json.dumps(value | {data.draw(st.sampled_from(sorted(value))): data.draw(_JSON)})
    elif how == "cut":
        text = text[: data.draw(st.integers(0, len(text)))]
    else:
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.text(max_size=3).filter(_is_utf_8)) + text[at + 1 :]
    path = tmp_path / "m.onnx"
    path.write_bytes(with_digest(colour_model.read_bytes(), metadata | {key: text}))
    try:
        predictor = Predictor.open(path, ComputeOptions("cpu"))
        golden.check(predictor)
    except ModelError as error:
        assert "\n" not in str(error)
    else:
        for words in ([], ["--markdown"]):
            shown = CliRunner().invoke(main, ["inspect", *words, str(path)])
            assert shown.exit_code in ((0, 1) if words else (0,)), shown.exception


def _is_utf_8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
