"""One ONNX Runtime, the provider that was asked for, the threads that are allowed, whole models."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from scene_batch import cpus, session
from scene_batch.errors import ModelError, ModelNotFoundError, ProviderError, RuntimeMissingError
from scene_batch.preprocess import Preprocess
from scene_batch.session import Session
from support import COLOURS, SIDE, save_colour_model


def _pixels(count: int) -> list[Any]:
    random = np.random.default_rng(1)
    return list(random.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8))


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_each_photo_is_computed_for_itself(batch_size: int, colour_model: Path) -> None:
    pixels = _pixels(8)
    opened = Session.open(colour_model, provider="cpu", batch_size=batch_size)
    got = [opened.probabilities(pixels[i : i + batch_size]) for i in range(0, 8, batch_size)]
    mean = np.stack(pixels).mean(axis=(1, 2)) / 255
    want = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    assert np.concatenate(got) == pytest.approx(want, abs=1e-5)
    assert got[-1].dtype == np.float32


def test_what_lay_in_the_padding_before_does_not_matter(colour_model: Path) -> None:
    opened = Session.open(colour_model, provider="cpu", batch_size=4)
    pixels = _pixels(5)
    alone = opened.probabilities(pixels[4:])
    opened.probabilities(pixels[:4])
    assert np.array_equal(opened.probabilities(pixels[4:]), alone)


def _installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def version(name: str) -> str:
        if name in names:
            return "1.0"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_two_flavours_are_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path
) -> None:
    _installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(RuntimeMissingError) as error:
        Session.open(colour_model)
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in str(error.value)
    assert "pip install 'scene-batch[gpu]'" in str(error.value)


def test_no_flavour_names_the_extras(monkeypatch: pytest.MonkeyPatch, colour_model: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissingError, match=r"pip install 'scene-batch\[cpu\]'"):
        Session.open(colour_model)


def test_cuda_is_refused_where_it_is_not_and_never_replaced(colour_model: Path) -> None:
    runtime = session.load_runtime()
    if "CUDAExecutionProvider" in runtime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(ProviderError, match="provider cuda is not in this ONNX Runtime"):
        Session.open(colour_model, provider="cuda")
    assert Session.open(colour_model, provider="auto").provider == "cpu"


class _CudaThatFails:
    """An ONNX Runtime that lists CUDA but starts ``takes``: what a missing driver looks like."""

    def __init__(self, real: Any, takes: str) -> None:
        self._real, self._takes = real, takes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def preload_dlls(self) -> None:
        """The real one prints what it misses."""

    def InferenceSession(self, path: str, options: Any, **_: Any) -> Any:
        return self._real.InferenceSession(path, providers=[self._takes])


def test_a_fall_back_inside_the_runtime_is_seen(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path
) -> None:
    runtime = _CudaThatFails(session.load_runtime(), "CPUExecutionProvider")
    monkeypatch.setattr(session, "load_runtime", lambda: runtime)
    with pytest.raises(ProviderError, match="asked for cuda, ONNX Runtime took CPU"):
        Session.open(colour_model, provider="cuda")
    opened = Session.open(colour_model, provider="auto")
    assert opened.provider == "cpu"
    assert "not cuda: asked for cuda" in opened.note


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
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"no scene-batch metadata.*scene-batch export"):
        Session.open(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("format", "2", "has format 2, this version reads 1"),
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
    onnx.save(model, tmp_path / "m.onnx")
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


@pytest.mark.parametrize(
    ("files", "usable"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "3200000 100000\n"}, 8),
        ({"cpu.max": "garbage"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
    ],
)
def test_threads_follow_the_containers_quota(
    files: dict[str, str], usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert cpus.usable_cpus(tmp_path) == usable
