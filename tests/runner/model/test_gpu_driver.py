"""Where there is no NVIDIA GPU, one line says so with the remedy, before CUDA is tried."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scene_batch.errors import ProviderError
from scene_batch.model import session
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.gpu_driver import what_is_missing
from scene_batch.model.session import Session


def _driver(folder: Path, init: int, devices: int) -> str:
    """A library that answers as NVIDIA's driver does."""
    source, library = folder / "driver.c", folder / f"driver-{init}-{devices}.so"
    source.write_text(
        f"int cuInit(unsigned f) {{ return {init}; }}\n"
        f"int cuDeviceGetCount(int *n) {{ *n = {devices}; return 0; }}\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)


def test_a_missing_driver_is_named_with_what_a_container_needs() -> None:
    missing = what_is_missing("libno-such-driver.so.1")
    assert "no NVIDIA driver is seen (libno-such-driver.so.1)" in missing
    assert "--gpus all" in missing
    assert "\n" not in missing


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_driver_without_a_gpu_is_told_from_one_with(tmp_path: Path) -> None:
    assert what_is_missing(_driver(tmp_path, 0, 1)) == ""
    assert "gives no GPU (CUDA error 100)" in what_is_missing(_driver(tmp_path, 100, 0))
    assert "gives no GPU (CUDA error 0)" in what_is_missing(_driver(tmp_path, 0, 0))


class _WithCuda:
    """An ONNX Runtime that lists CUDA, and must not be asked for it."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        assert name not in ("preload_dlls", "InferenceSession")
        return getattr(self._real, name)

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider"]


def test_cuda_is_refused_before_onnx_runtime_is_asked_for_it(
    monkeypatch: pytest.MonkeyPatch, colour_model: Path
) -> None:
    if not what_is_missing():
        pytest.skip("there is a GPU here")
    runtime = _WithCuda(session.load_runtime())
    monkeypatch.setattr(session, "load_runtime", lambda: runtime)
    with pytest.raises(ProviderError, match=r"cuda does not run here: .*NVIDIA driver") as refused:
        Session.open(colour_model, ComputeOptions("cuda"))
    assert "\n" not in str(refused.value)
