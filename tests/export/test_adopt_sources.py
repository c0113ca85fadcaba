"""What is known of a foreign model, by the files and metadata that each tool leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from foreign import foreign, saved
from scene_batch.errors import SceneBatchError, UsageError
from scene_batch.model.card import ModelCard
from scene_batch.model.predictor import Predictor
from scene_batch_export.adopted import labels
from scene_batch_export.adopted.adopting import Wish, adopt
from scene_batch_export.adopted.finding import Given

_VIT = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.5, 0.5, 0.25],
}
_TIMM = {
    "architecture": "x",
    "label_names": ["w", "x", "y", "z"],
    "pretrained_cfg": {
        "input_size": [3, 32, 32],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "license": "apache-2.0",
    },
}


def _adopt(
    folder: Path,
    given: Given | None = None,
    files: dict[str, Any] | None = None,
    **export: Any,
) -> tuple[ModelCard, str]:
    """The card of a model that was adopted with these files beside it, and what was said."""
    source, said = saved(foreign(**export), folder / "in" / "m.onnx", ()), list[str]()
    for name, content in (files or {}).items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "in" / name).write_text(text, encoding="utf-8")
    adopt(Wish(source, folder / "m.onnx", given or Given()), said.append)
    return Predictor.open(folder / "m.onnx").card, "\n".join(said)


def test_hugging_faces_folder_says_all(tmp_path: Path) -> None:
    files = {
        "config.json": {"id2label": {"0": "cat", "1": "dog", "2": "cow", "3": "hen"}},
        "preprocessor_config.json": _VIT,
        "README.md": "---\nlicense: mit\ntags: [x]\n---\n# A model\n",
    }
    card, said = _adopt(tmp_path, files=files)
    assert card.classes == ("cat", "dog", "cow", "hen")
    assert card.origin["license"] == "mit"
    preprocess = card.preprocess
    assert (preprocess.filter, preprocess.fit, preprocess.resize) == ("bicubic", "stretch", None)
    assert (preprocess.orientation, preprocess.alpha) == ("exif-first", "dropped")
    assert "(pixel * 0.00392157 - [0.5, 0.4, 0.3]) / [0.5, 0.5, 0.25]" in said
    assert "config.json (id2label))" in said
    assert "licence: mit" in said


def test_timms_config_says_all(tmp_path: Path) -> None:
    card, _ = _adopt(tmp_path, files={"config.json": _TIMM})
    assert card.classes == ("w", "x", "y", "z")
    assert card.preprocess.resize == (33, 33)
    assert card.preprocess.centre == "rounded"
    assert card.origin["license"] == "apache-2.0"


def test_ultralytics_metadata_say_all(tmp_path: Path) -> None:
    metadata = {
        "task": "classify",
        "names": "{0: 'tench', 1: 'crane', 2: 'hen', 3: 'crane'}",
        "imgsz": "[32, 32]",
        "batch": "1",
        "license": "AGPL-3.0",
        "author": "somebody",
    }
    card, said = _adopt(tmp_path, metadata=metadata, batch=1, end="softmax")
    assert card.classes == ("tench", "crane", "hen", "crane (3)")
    assert "class 3, 'crane', is called 'crane (3)'" in said
    assert card.origin["license"] == "AGPL-3.0"
    assert card.preprocess.fit == "shorter"
    assert "softmax: none (its answers are probabilities" in said


@pytest.mark.parametrize(
    ("order", "span", "words"),
    [
        ("Bgr8", "NominalRange_0_255", "scaling: BGR, pixel ("),
        ("Rgb8", "Normalized_0_1", "scaling: RGB, pixel * 0.00392157 ("),
    ],
)
def test_custom_visions_metadata_and_labels(
    order: str, span: str, words: str, tmp_path: Path
) -> None:
    metadata = {"Image.BitmapPixelFormat": order, "Image.NominalPixelRange": span}
    card, said = _adopt(tmp_path, files={"labels.txt": "a\nb\nc\nd\n"}, metadata=metadata)
    assert words in said
    assert (card.preprocess.filter, card.preprocess.fit) == ("bicubic", "stretch")


def test_a_map_of_classes_is_read_as_numbers(tmp_path: Path) -> None:
    model = foreign(end="softmax")
    names = helper.make_node(
        "ZipMap",
        ["output"],
        ["map"],
        domain="ai.onnx.ml",
        classlabels_strings=["a", "b", "c", "d"],
    )
    model.graph.node.append(names)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("map", 0, None))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    source = saved(model, tmp_path / "in" / "m.onnx", ())
    adopt(Wish(source, tmp_path / "m.onnx", Given(preprocess="imagenet")), print)
    assert Predictor.open(tmp_path / "m.onnx").card.classes == ("a", "b", "c", "d")


def test_options_come_before_files_before_metadata(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("0 e\n1 f\n2 g\n3 h\n")
    files = {"preprocessor_config.json": _VIT, "labels.txt": "a\nb\nc\nd\n"}
    metadata = {"character": "1\n2\n3\n4"}
    card, said = _adopt(tmp_path, files=files, metadata=metadata)
    assert card.classes == ("a", "b", "c", "d")
    given = Given(
        classes=tmp_path / "names.txt",
        preprocess="keras",
        mean="2,3,4",
    )
    card, said = _adopt(tmp_path / "2", given, files=files, metadata=metadata)
    assert card.classes == ("e", "f", "g", "h")
    assert card.preprocess.filter == "nearest"
    assert "[2, 3, 4]" in said
    card, _ = _adopt(tmp_path / "3", Given(preprocess="keras"), metadata=metadata)
    assert card.classes == ("1", "2", "3", "4")


def test_a_folder_that_is_named_comes_before_the_models_own(tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "class_indices.json").write_text('{"b": 1, "a": 0, "d": 3, "c": 2}')
    given = Given(preprocess="keras", places=(tmp_path / "hf",))
    card, _ = _adopt(tmp_path, given, {"labels.txt": "w\nx\ny\nz"})
    assert card.classes == ("a", "b", "c", "d")
    with pytest.raises(SceneBatchError, match="check --from"):
        _adopt(tmp_path / "2", Given(places=(tmp_path / "gone",)))


def test_what_cannot_be_followed_is_said_when_it_is_missed(tmp_path: Path) -> None:
    files = {"preprocessor_config.json": {"image_processor_type": "OwlViTImageProcessor"}}
    with pytest.raises(UsageError, match=r"say --preprocess .*'OwlViTImageProcessor' is not known"):
        _adopt(tmp_path, files=files)
    multi = {"problem_type": "multi_label_classification", "id2label": {"0": "a"}}
    with pytest.raises(SceneBatchError):
        _adopt(tmp_path / "2", Given(preprocess="keras"), {"config.json": multi})


@pytest.mark.parametrize(
    ("text", "suffix", "want"),
    [
        ("a\nb\n\n", ".txt", ("a", "b")),
        ("0 a b\n1 c\n", ".txt", ("a b", "c")),
        ("0: a\n1: b\n", ".txt", ("a", "b")),
        ("1 a\n2 b\n", ".txt", ("1 a", "2 b")),
        ("\ufeffa\r\nb\r\n", ".txt", ("a", "b")),
        ('["a", "b"]', ".json", ("a", "b")),
        ('{"0": ["n01", "a"], "1": ["n02", "b"]}', ".json", ("a", "b")),
        ('{"b": 1, "a": 0}', ".json", ("a", "b")),
        ('{"1": "b", "0": "a"}', ".json", ("a", "b")),
    ],
)
def test_class_names_are_read_as_each_tool_writes_them(
    text: str, suffix: str, want: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / f"labels{suffix}"
    path.write_text(text, encoding="utf-8")
    assert labels.read_labels(path).names == want


def test_numbers_of_lines_are_dropped_aloud_and_never_contradicted(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("0 stars\n1 star\n")
    assert "without the numbers" in labels.read_labels(path).note
    path.write_text("1 b\n0 a\n")
    with pytest.raises(UsageError, match="sort them by number"):
        labels.read_labels(path)


def test_class_names_that_stand_elsewhere_too_are_named_where_they_differ(tmp_path: Path) -> None:
    source, said = saved(foreign(), tmp_path / "in" / "m.onnx"), list[str]()
    (tmp_path / "in" / "classes.txt").write_text("b\na\nc\nd\n")
    adopt(Wish(source, tmp_path / "m.onnx", Given(preprocess="keras")), said.append)
    assert any("labels.txt; " in line and "classes.txt has others" in line for line in said)


@pytest.mark.parametrize("text", ["5", "{}", '{"a": 0, "b": 2}', '{"x": "a"}', "[1, 2]", "{"])
def test_what_holds_no_class_names_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(UsageError, match=r"labels\.json"):
        labels.read_labels(tmp_path / "labels.json")


def test_names_become_unique_and_can_be_written() -> None:
    names = ["crane", "crane (1)", "crane", " ", "a\tb", "crane"]
    unique, changed = labels.made_unique(names)
    assert unique == ("crane", "crane (1)", "crane (2)", "class 3", "class 4", "crane (5)")
    assert len(changed) == 4


_DEEP = "[" * 5000 + "]" * 5000
ODD: dict[str, tuple[str, Any]] = {
    "an infinite size": ("preprocessor_config.json", _VIT | {"size": {"height": float("inf")}}),
    "an unknown filter": ("preprocessor_config.json", _VIT | {"resample": -1}),
    "a share of nothing": (
        "config.json",
        {"pretrained_cfg": _TIMM["pretrained_cfg"] | {"crop_pct": 1e-320}},
    ),
    "a mode that is a list": (
        "config.json",
        {"pretrained_cfg": _TIMM["pretrained_cfg"] | {"crop_mode": []}},
    ),
    "a size of text": ("config.json", {"pretrained_cfg": {"input_size": [3, "a", "b"]}}),
    "deep JSON": ("preprocessor_config.json", _DEEP),
    "lists of nothing": ("labels.json", "[[], []]"),
    "deep labels": ("labels.json", _DEEP),
    "labels that are no text": ("labels.txt", "\ud800"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_values_are_one_line(name: str, tmp_path: Path) -> None:
    file, content = ODD[name]
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / file).write_bytes(text.encode("utf-8", "surrogatepass"))
    source = saved(foreign(), tmp_path / "in" / "m.onnx", ())
    with pytest.raises(UsageError) as caught:
        adopt(Wish(source, tmp_path / "m.onnx", Given()), print)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["imgsz", "names"])
@pytest.mark.parametrize("value", ["['a', 'b']", "None", "(1e999, 2)", "{0: []}"])
def test_odd_metadata_are_one_line(key: str, value: str, tmp_path: Path) -> None:
    metadata = {"task": "classify", "names": "{0: 'a', 1: 'b', 2: 'c', 3: 'd'}"} | {key: value}
    try:
        _adopt(tmp_path, metadata=metadata)
    except SceneBatchError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text", ['{"preset": []}', '{"height": "a", "width": null, "preset": "timm"}', _DEEP, "{" * 9]
)
def test_odd_options_are_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _adopt(tmp_path, Given(preprocess=text), {"labels.txt": "a\nb\nc\nd"})
    assert "\n" not in str(caught.value)
