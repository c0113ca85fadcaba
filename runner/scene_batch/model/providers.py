"""ONNX Runtime's execution providers: one flavour installed, the one asked for, or a refusal."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from scene_batch.errors import ModelError, ProviderError, RuntimeMissingError

Provider = Literal["auto", "cpu", "cuda", "openvino"]

FLAVOURS = {
    "onnxruntime": "cpu",
    "onnxruntime-gpu": "gpu",
    "onnxruntime-openvino": "openvino",
}
"""The distributions that all install a package ``onnxruntime``, and the extra that brings each."""

_NAMES: Mapping[Provider, str] = {
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Fastest first: the order in which ``auto`` tries what is installed."""
_EXTRAS: Mapping[Provider, str] = {"cuda": "gpu", "openvino": "openvino", "cpu": "cpu"}


@dataclass(frozen=True, slots=True)
class Setup:
    """How a session is set up, whatever provider it comes to."""

    threads: int
    """Compute threads."""
    batch_size: int
    """Photos of each call, where the provider compiles for a fixed number."""
    bf16: bool = False
    """Compute fp32 models in bfloat16, where the provider can."""


@dataclass(frozen=True, slots=True)
class Started:
    """A session of the runtime."""

    session: Any
    provider: Provider
    """What really runs: ``cpu``, ``cuda`` or ``openvino``."""
    note: str = ""
    """Why ``auto`` took this provider; empty where there is nothing to say."""


def installed_flavours() -> list[str]:
    """The ONNX Runtime distributions that are installed."""
    found = []
    for name in FLAVOURS:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append(name)
    return found


def how_to_install(provider: Provider) -> str:
    """The command that brings a provider's flavour of ONNX Runtime, and takes away another one."""
    extra = _EXTRAS[provider]
    others = [name for name in installed_flavours() if FLAVOURS[name] != extra]
    removal = f"pip uninstall -y {' '.join(others)} && " if others else ""
    return f"{removal}pip install 'scene-batch[{extra}]'"


def load_runtime() -> ModuleType:
    """Import ONNX Runtime.

    Raises:
        RuntimeMissingError: None is installed, or two: they overwrite each other's files, and
            CUDA is gone without a word.
    """
    found = installed_flavours()
    if len(found) > 1:
        keep = found[-1]
        raise RuntimeMissingError(
            f"{' and '.join(found)} are both installed and overwrite each other:"
            f" pip uninstall -y {' '.join(found)} && pip install 'scene-batch[{FLAVOURS[keep]}]'"
        )
    # From 1.29 on it sends what it runs to its maker, unless it is told not to before it is loaded.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissingError(
            f"ONNX Runtime cannot be imported ({error}):"
            " pip install 'scene-batch[cpu]' (or [gpu] for CUDA, [openvino] for x86)"
        ) from None
    module: ModuleType = onnxruntime
    return module


def installed_providers(runtime: ModuleType) -> list[Provider]:
    """The providers of this ONNX Runtime that ``--provider`` can name, fastest first."""
    available = runtime.get_available_providers()
    return [provider for provider, name in _NAMES.items() if name in available]


def start(runtime: ModuleType, path: Path, provider: Provider, setup: Setup) -> Started:
    """Start the runtime on the provider asked for; only ``auto`` may choose, and says why.

    Raises:
        ProviderError: The provider asked for does not run here: nothing takes its place.
        ModelError: The file is not one that this ONNX Runtime reads.
    """
    installed = installed_providers(runtime)
    if setup.bf16:
        if provider not in ("auto", "openvino"):
            raise ProviderError(f"{provider} does not compute in bf16: take --provider openvino")
        provider = "openvino"
    if provider == "auto":
        notes = []
        for candidate in installed:
            try:
                session = _create(runtime, path, candidate, setup)
            except ProviderError as error:
                notes.append(f"not {candidate}: {error}")
            else:
                return Started(session, candidate, "; ".join(notes))
        raise ProviderError(
            "; ".join(notes) or "this ONNX Runtime has none of the providers known here"
        )
    if provider not in installed:
        raise ProviderError(
            f"provider {provider} is not in this ONNX Runtime (it has {', '.join(installed)});"
            f" {how_to_install(provider)}"
        )
    return Started(_create(runtime, path, provider, setup), provider)


def _create(runtime: ModuleType, path: Path, provider: Provider, setup: Setup) -> Any:  # noqa: ANN401
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = runtime.SessionOptions()
    # On a processor each call has one thread and several calls run side by side: no thread waits
    # for another after each layer (docs/decisions/010).
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; they are raised, and said once
    if provider != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if provider == "cuda":
        runtime.preload_dlls()
    if provider == "openvino":
        options.add_free_dimension_override_by_name("N", setup.batch_size)
    try:
        session = runtime.InferenceSession(
            str(path),
            options,
            providers=[_NAMES[provider]],
            provider_options=[_provider_options(provider, setup)],
            enable_fallback=0,
        )
        if provider == "cuda":  # a missing cuDNN shows only at the first convolution
            _probe(session)
    except (state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument) as error:
        raise ModelError(
            f"{str(path)!r} is not an ONNX file that this ONNX Runtime reads ({reason(error)});"
            " check --model"
        ) from None
    except failures() as error:
        raise does_not_run(provider, path, error) from None
    if session.get_providers()[0] != _NAMES[provider]:
        raise ProviderError(
            f"asked for {provider}, ONNX Runtime took {session.get_providers()[0]};"
            " check the driver and the installed libraries"
        )
    return session


def _probe(session: Any) -> None:  # noqa: ANN401
    shapes = {
        i.name: [d if isinstance(d, int) else 1 for d in i.shape] for i in session.get_inputs()
    }
    session.run(None, {name: np.zeros(shape, np.uint8) for name, shape in shapes.items()})


def _provider_options(provider: str, setup: Setup) -> dict[str, str]:
    if provider == "cuda":
        # EXHAUSTIVE, the default, tries every algorithm of each shape anew: up to a second each.
        # TF32, its default for fp32, keeps ten bits of each factor: a lower precision unasked for.
        return {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    if provider == "openvino":
        config = {
            "NUM_STREAMS": str(setup.threads),
            "INFERENCE_NUM_THREADS": str(setup.threads),
            # Its default on a CPU with bf16 would lower the precision without a word.
            "INFERENCE_PRECISION_HINT": "bf16" if setup.bf16 else "f32",
        }
        return {"device_type": "CPU", "load_config": json.dumps({"CPU": config})}
    return {}


def failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises where a session or a call fails."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return state.Fail, state.RuntimeException, state.EPFail, state.NotImplemented


def out_of_memory(error: Exception) -> bool:
    """Whether the runtime says that the accelerator's memory is full."""
    text = str(error).lower()
    return any(words in text for words in _OUT_OF_MEMORY)


_OUT_OF_MEMORY = ("out of memory", "failed to allocate memory", "cudnn_status_alloc_failed")


def does_not_run(provider: str, path: Path, error: Exception) -> ModelError | ProviderError:
    """What to raise where a session, or its first call, fails: other providers may do better."""
    if provider == "cpu":
        return ModelError(f"{str(path)!r} does not run: {reason(error)}")
    return ProviderError(f"{provider} does not run here: {reason(error)}")


def reason(error: Exception) -> str:
    """The first line of what the runtime says, without its codes."""
    return str(error).rpartition(" : ")[2].split("\n")[0]
