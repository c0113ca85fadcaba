"""One ONNX Runtime, the provider that was asked for, as many threads and photos as fit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_batch.errors import (
    ProviderError,
    RuntimeMissingError,
    UsageError,
)
from scene_batch.model import calls, providers, session
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.model.session import Session
from scene_batch.pipeline.engine import Engine
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.pipeline.thread_plan import ThreadPlan
from scene_batch.records import Decoded, ImageRef, Row
from scene_batch.sources.reading import Reader
from scene_batch.threads import Pool
from support import SIDE, save_colour_model


def _pixels(count: int) -> list[Any]:
    random = np.random.default_rng(1)
    return list(random.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8))


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_each_photo_is_computed_for_itself(batch_size: int, colour_model: Path) -> None:
    pixels = _pixels(8)
    opened = Session.open(colour_model, ComputeOptions("cpu", batch_size=batch_size))
    got = [opened.probabilities(pixels[i : i + batch_size]) for i in range(0, 8, batch_size)]
    mean = np.stack(pixels).mean(axis=(1, 2)) / 255
    want = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    assert np.concatenate(got) == pytest.approx(want, abs=1e-5)
    assert got[-1].dtype == np.float32


def test_what_lay_in_the_padding_before_does_not_matter(colour_model: Path) -> None:
    opened = Session.open(colour_model, ComputeOptions("cpu", batch_size=4))
    pixels = _pixels(5)
    alone = opened.probabilities(pixels[4:])
    opened.probabilities(pixels[:4])
    assert np.array_equal(opened.probabilities(pixels[4:]), alone)


def test_two_flavours_are_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path, tmp_path: Path
) -> None:
    for name in ("onnxruntime", "onnxruntime_gpu"):  # as pip writes what it installed
        (tmp_path / f"{name}-1.31.1.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
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
        Session.open(colour_model, ComputeOptions("cuda"))
    assert Session.open(colour_model, ComputeOptions("auto")).provider == "cpu"


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
    monkeypatch.setattr(providers, "what_is_missing", lambda: "")
    with pytest.raises(ProviderError, match="asked for cuda, ONNX Runtime took CPU"):
        Session.open(colour_model, ComputeOptions("cuda"))
    opened = Session.open(colour_model, ComputeOptions("auto"))
    assert opened.provider == "cpu"
    assert "not cuda: asked for cuda" in opened.note


class _Hardware:
    """An ONNX Runtime that lists a provider of hardware which is not here, and computes without it.

    Like a real one it fails in a call, of more photos than ``room``, where memory is full.
    """

    def __init__(self, real: Any, listed: list[str], room: int = 1000) -> None:
        self._real, self._listed, self._room = real, listed, room
        self.options: dict[str, str] = {}
        self.sizes: list[int] = []
        self._used, self._lock = 0, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_available_providers(self) -> list[str]:
        return self._listed

    def preload_dlls(self) -> None:
        """The real one prints what it misses."""

    def InferenceSession(
        self, path: str, _: Any, providers: list[str], provider_options: Any, **__: Any
    ) -> Any:
        (self.options,) = provider_options
        return _OnHardware(self, self._real.InferenceSession(path), providers[0])

    @contextmanager
    def computes(self, size: int) -> Iterator[None]:
        with self._lock:
            self.sizes.append(size)
            if self._used + size > self._room:
                from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

                raise RuntimeException(f"BFCArena: Failed to allocate memory for requested {size}")
            self._used += size
        try:
            yield
        finally:
            with self._lock:
                self._used -= size


class _OnHardware:
    def __init__(self, hardware: _Hardware, real: Any, provider: str) -> None:
        self._hardware, self._real, self._provider = hardware, real, provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return [self._provider, "CPUExecutionProvider"]

    def run(self, names: Any, values: dict[str, Any]) -> Any:
        if self._provider != _CUDA:  # it has the memory of the machine
            return self._real.run(names, values)
        with self._hardware.computes(len(values["image"])):
            time.sleep(0.01)  # while another call comes
            return self._real.run(names, values)


_CUDA, _OPENVINO, _CPU = (f"{name}ExecutionProvider" for name in ("CUDA", "OpenVINO", "CPU"))


def _with(monkeypatch: pytest.MonkeyPatch, *listed: str, room: int = 1000) -> _Hardware:
    import onnxruntime

    hardware = _Hardware(onnxruntime, list(listed), room)
    monkeypatch.setattr(session, "load_runtime", lambda: hardware)
    monkeypatch.setattr(providers, "what_is_missing", lambda: "")
    return hardware


def test_auto_takes_the_fastest_that_is_there(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path
) -> None:
    _with(monkeypatch, _CPU, _OPENVINO, _CUDA)
    assert Session.open(colour_model).provider == "cuda"
    _with(monkeypatch, _CPU, _OPENVINO)
    assert Session.open(colour_model).provider == "openvino"
    for others in ([_CPU], [_CPU, _OPENVINO]):
        _with(monkeypatch, *others, _CUDA, room=0)  # not even one photo: it is given up
        opened = Session.open(colour_model)
        assert opened.provider == ("openvino" if _OPENVINO in others else "cpu")
        assert "not cuda: cuda does not run here" in opened.note


@pytest.mark.parametrize("room", [1, 5, 40])
def test_where_cudas_memory_is_full_the_batch_is_halved_and_all_is_computed(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path, room: int
) -> None:
    hardware = _with(monkeypatch, _CUDA, _CPU, room=room)
    opened = Session.open(colour_model, ComputeOptions("cuda"))
    pixels = _pixels(100 if room > 1 else 20)
    got = opened.probabilities(pixels)
    assert opened.batch_size == max(size for size in (1, 2, 4, 8, 16, 32, 64) if size <= room)
    assert hardware.sizes[-1] == opened.batch_size
    monkeypatch.undo()
    want = Session.open(colour_model, ComputeOptions("cpu")).probabilities(pixels)
    assert np.array_equal(got, want)


def test_memory_that_fills_up_in_the_middle_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, album: Path, colour_model: Path, tmp_path: Path
) -> None:
    hardware = _with(monkeypatch, _CUDA, _CPU)
    predictor = Predictor.open(colour_model, ComputeOptions("cuda", batch_size=8))
    hardware._room = 2
    record = run(Job((str(album),), str(tmp_path / "p.jsonl")), predictor)
    monkeypatch.undo()
    plain = Predictor.open(colour_model, ComputeOptions("cpu", batch_size=1))
    run(Job((str(album),), str(tmp_path / "q.jsonl")), plain)
    assert (record.photos, record.provider) == (30, "cuda")
    assert (tmp_path / "p.jsonl").read_bytes() == (tmp_path / "q.jsonl").read_bytes()
    assert record.settings["batch_size"] <= 2


@pytest.mark.parametrize(("room", "size"), [(64, 32), (100, 32), (1, 1)])
def test_where_only_one_call_fits_at_a_time_all_is_computed(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path, room: int, size: int
) -> None:
    """What another call has of the memory for now is no reason to give up."""
    _with(monkeypatch, _CUDA, _CPU, room=room)
    predictor = Predictor.open(colour_model, ComputeOptions("cuda"))
    assert predictor.session.calls == 2
    photos = [
        Decoded(ImageRef(str(n)), pixels)
        for n, pixels in enumerate(_pixels(100) * (1 if room == 1 else 6))
    ]
    rows = _rows(predictor, photos)
    assert [row.ref for row in rows] == [photo.ref for photo in photos]
    assert predictor.session.batch_size == size
    monkeypatch.undo()
    plain = Predictor.open(colour_model, ComputeOptions("cpu"))
    assert rows == _rows(plain, photos)


def _rows(predictor: Predictor, photos: list[Decoded]) -> list[Row]:
    """The photos' rows, by an engine's batches and calls side by side."""
    plan = ThreadPlan.of(predictor.session, workers=2, remote=False)
    engine = Engine(predictor, Reader(), plan, 60.0)
    with Pool(plan.calls) as pool:
        return [row for rows, _ in engine._predicted(photos, pool) for row in rows]


def _rows(predictor: Predictor, photos: list[Decoded]) -> list[Row]:
    """The photos' rows, by an engine's batches and calls side by side."""
    plan = ThreadPlan.of(predictor.session, workers=2, remote=False)
    engine = Engine(predictor, Reader(), plan, 60.0)
    with Pool(plan.calls) as pool:
        return [row for rows, _ in engine._predicted(photos, pool) for row in rows]


def test_no_room_for_one_photo_is_one_line(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path
) -> None:
    hardware = _with(monkeypatch, _CUDA, _CPU)
    opened = Session.open(colour_model, ComputeOptions("cuda"))
    hardware._room = 0
    with pytest.raises(ProviderError, match="cuda does not run here: BFCArena: Failed to allocate"):
        opened.probabilities(_pixels(3))


def test_on_cuda_an_int8_file_is_said_to_be_the_worse_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = save_colour_model(tmp_path / "m.onnx", precision="int8")
    assert Session.open(path, ComputeOptions("cpu")).note == ""
    _with(monkeypatch, _CUDA, _CPU)
    assert "fp16 file of this model is the better one" in Session.open(path).note


def test_openvino_keeps_the_precision_unless_bf16_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path, tmp_path: Path
) -> None:
    hardware = _with(monkeypatch, _OPENVINO, _CPU)
    monkeypatch.setattr(session, "has_bf16", lambda: True)
    opened = Session.open(colour_model, ComputeOptions(threads=3))
    config = json.loads(hardware.options["load_config"])["CPU"]
    assert config["INFERENCE_PRECISION_HINT"] == "f32"
    assert (config["NUM_STREAMS"], config["INFERENCE_NUM_THREADS"]) == ("3", "3")
    assert (opened.precision, opened.calls) == ("fp32", 4)
    opened = Session.open(colour_model, ComputeOptions(bf16=True))
    assert json.loads(hardware.options["load_config"])["CPU"]["INFERENCE_PRECISION_HINT"] == "bf16"
    assert opened.precision == "bf16"
    int8 = save_colour_model(tmp_path / "m.onnx", precision="int8")
    with pytest.raises(UsageError, match="--bf16 is for fp32 models"):
        Session.open(int8, ComputeOptions(bf16=True))


def test_bf16_is_refused_where_it_would_not_be_computed(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path
) -> None:
    monkeypatch.setattr(session, "has_bf16", lambda: False)
    with pytest.raises(ProviderError, match="this processor does not compute in bf16"):
        Session.open(colour_model, ComputeOptions(bf16=True))
    monkeypatch.setattr(session, "has_bf16", lambda: True)
    _with(monkeypatch, _CUDA, _CPU)
    for provider, words in (("auto", "provider openvino"), ("cpu", "cpu does not compute")):
        with pytest.raises(ProviderError, match=words):
            Session.open(colour_model, ComputeOptions(provider, bf16=True))  # type: ignore[arg-type]


def test_a_small_model_takes_more_photos_at_a_time(colour_model: Path) -> None:
    assert Session.open(colour_model, ComputeOptions("cpu")).batch_size == 32


def test_huge_batches_have_fewer_calls_side_by_side(
    colour_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Session.open(colour_model, ComputeOptions("cpu", threads=64)).calls == 64
    each = 1024 * 16 * 16 * 3
    for room, number in ((3 * each, 3), (each // 2, 1)):
        monkeypatch.setattr(calls, "_INPUT_BYTES", room)
        opened = Session.open(colour_model, ComputeOptions("cpu", batch_size=1024, threads=64))
        assert (opened.calls, opened.batch_size) == (number, 1024)
