"""A model file's card: as it was saved, or refused with what is wrong."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from scene_batch.errors import (
    ModelError,
    ModelNotFoundError,
)
from scene_batch.model.page import to_markdown
from scene_batch.model.preprocess import Preprocess
from scene_batch.model.session import Session
from support import COLOURS, SIDE, save_colour_model, save_model


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x07\x12\x04junk"])
def test_a_file_that_is_not_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not an ONNX file"):
        Session.open(path)


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such model file"):
        Session.open(tmp_path / "m.onnx")


def test_a_model_without_metadata_is_refused(colour_model: Path, tmp_path: Path) -> None:
    model = onnx.load(colour_model)
    del model.metadata_props[:]
    save_model(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"no scene-batch metadata.*scene-batch adopt"):
        Session.open(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("format", "3", "has a newer format than 2"),
        ("classes", '["red", "green"]', "contradicts its 2 classes"),
        ("classes", '["red", "red", "blue"]', "not unique"),
        ("classes", "[", "damaged metadata"),
        ("preprocess", '{"height": 99, "width": 16}', "contradicts its metadata"),
        ("golden", '[{"image": "?"}]', "damaged metadata"),
        ("golden", '[{"exported": [1], "trained": [1, 0, 0]}]', "not one probability for each"),
        ("classes", '"abc"', "not a list of names"),
        ("classes", "[1, 2, 3]", "not a list of names"),
        ("precision", '"int4"', "damaged metadata"),
        ("training", "[]", "training is not an object"),
        ("preprocess", '{"height": 16.0, "width": 16}', "whole numbers"),
    ],
)
def test_metadata_that_cannot_be_right_is_refused(
    key: str, text: str, words: str, colour_model: Path, tmp_path: Path
) -> None:
    model = onnx.load(colour_model)
    for entry in model.metadata_props:
        if entry.key == f"scene_batch.{key}":
            entry.value = text
        elif entry.key == "scene_batch.golden":
            entry.value = "[]"
    save_model(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=words):
        Session.open(tmp_path / "m.onnx")


def test_the_card_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    preprocess = Preprocess(SIDE, SIDE, "lanczos", "stretch", "stored")
    path = save_colour_model(
        tmp_path / "m.onnx", preprocess=preprocess, metrics={"accuracy": 0.5}, version="2.1.0"
    )
    card = Session.open(path).card
    assert (card.classes, card.preprocess, card.version) == (COLOURS, preprocess, "2.1.0")
    assert card.metrics == {"accuracy": 0.5}
    assert len(card.golden) == 3


def test_a_name_with_a_comma_is_one_name_in_the_list(tmp_path: Path) -> None:
    path = save_colour_model(tmp_path / "m.onnx", classes=("red, or so", "green", "blue"))
    card = Session.open(path).card
    line = next(x for x in to_markdown(card, 1, "0").splitlines() if x.startswith("Classifies"))
    assert line.endswith('3 classes: "red, or so", green, blue.')
