"""ONNX Runtime's execution providers: the one asked for, or a refusal; only ``auto`` may choose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from scene_batch.errors import ModelError, ProviderError
from scene_batch.model.compute_options import ComputeOptions, Provider
from scene_batch.model.gpu_driver import what_is_missing
from scene_batch.model.runtime import how_to_install
from scene_batch.processors import usable_cpus

_NAMES: Mapping[Provider, str] = {
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Fastest first: the order in which ``auto`` tries what is installed."""

DEFAULT_BATCH: Mapping[Provider, int] = {"cpu": 4, "openvino": 8, "cuda": 64}
"""On a processor small batches win: activations stay in its cache (docs/decisions/001)."""


@dataclass(frozen=True, slots=True)
class Started:
    """A session of ONNX Runtime that was started."""

    session: Any
    provider: Provider
    """What really runs: ``cpu``, ``cuda`` or ``openvino``."""
    note: str = ""
    """Why ``auto`` took this provider; empty where there is nothing to say."""


def installed_providers(runtime: ModuleType) -> list[Provider]:
    """The providers of this ONNX Runtime that ``--provider`` can name, fastest first."""
    available = runtime.get_available_providers()
    return [provider for provider, name in _NAMES.items() if name in available]


def start(runtime: ModuleType, path: Path, options: ComputeOptions) -> Started:
    """Start a session on the provider asked for; only ``auto`` may choose, and says why.

    Raises:
        ProviderError: The provider asked for does not run here; no other is taken instead.
        ModelError: The file is not one that this ONNX Runtime reads.
    """
    installed, provider = installed_providers(runtime), options.provider
    if options.bf16:
        if provider not in ("auto", "openvino"):
            raise ProviderError(f"{provider} does not compute in bf16: take --provider openvino")
        provider = "openvino"
    if provider == "auto":
        notes = []
        for candidate in installed:
            try:
                session = _create(runtime, path, candidate, options)
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
    return Started(_create(runtime, path, provider, options), provider)


def fixed_batch(provider: Provider, asked: ComputeOptions) -> int | None:
    """Photos of each call, where a session is started for just so many; None: for any number."""
    return (asked.batch_size or DEFAULT_BATCH[provider]) if provider == "openvino" else None


def _create(runtime: ModuleType, path: Path, provider: Provider, asked: ComputeOptions) -> Any:  # noqa: ANN401
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = runtime.SessionOptions()
    # On a processor each call has one thread and several calls run side by side: no thread waits
    # for another after each layer (docs/decisions/010).
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # log errors alone
    if provider != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if provider == "cuda":
        if missing := what_is_missing():
            raise ProviderError(f"cuda does not run here: {missing}")
        runtime.preload_dlls()
    if provider == "openvino":
        options.add_free_dimension_override_by_name("N", fixed_batch(provider, asked))
    try:
        session = runtime.InferenceSession(
            str(path),
            options,
            providers=[_NAMES[provider]],
            provider_options=[_provider_options(provider, asked)],
            enable_fallback=0,
        )
        if provider == "cuda":  # a missing cuDNN shows only at the first convolution
            _probe(session)
    except (state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument) as error:
        raise _no_model(path, error) from None
    except failures() as error:
        if _EMPTY in str(error):
            raise _no_model(path, error) from None
        raise does_not_run(provider, path, error) from None
    if session.get_providers()[0] != _NAMES[provider]:
        raise ProviderError(
            f"asked for {provider}, ONNX Runtime took {session.get_providers()[0]};"
            " check the driver and the installed libraries"
        )
    return session


_EMPTY = "does not have a graph"
"""What ONNX Runtime before 1.31 says of an empty file, with the error of one that does not run."""


def _no_model(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{str(path)!r} is not an ONNX file that this ONNX Runtime reads ({reason(error)});"
        " check --model"
    )


def _probe(session: Any) -> None:  # noqa: ANN401
    shapes = {
        i.name: [d if isinstance(d, int) else 1 for d in i.shape] for i in session.get_inputs()
    }
    session.run(None, {name: np.zeros(shape, np.uint8) for name, shape in shapes.items()})


def _provider_options(provider: str, asked: ComputeOptions) -> dict[str, str]:
    if provider == "cuda":
        # EXHAUSTIVE, the default, tries every algorithm of each shape anew: up to a second each.
        # TF32, its default for fp32, keeps ten bits of each factor: a lower precision unasked for.
        return {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    if provider == "openvino":
        threads = asked.threads or usable_cpus()
        config = {
            "NUM_STREAMS": str(threads),
            "INFERENCE_NUM_THREADS": str(threads),
            # By default OpenVINO would compute in bf16 wherever the CPU can.
            "INFERENCE_PRECISION_HINT": "bf16" if asked.bf16 else "f32",
        }
        return {"device_type": "CPU", "load_config": json.dumps({"CPU": config})}
    return {}


def failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises where a session or a call fails."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.RuntimeException,
        state.EPFail,
        state.NotImplemented,
        state.InvalidArgument,
        state.InvalidGraph,
    )


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that the accelerator's memory is full."""
    text = str(error).lower()
    return any(words in text for words in _OUT_OF_MEMORY)


_OUT_OF_MEMORY = ("out of memory", "failed to allocate memory", "cudnn_status_alloc_failed")


def does_not_run(provider: str, path: Path, error: Exception) -> ModelError | ProviderError:
    """The error for a session or a call that fails: on a processor, the model is to blame."""
    if "external" in str(error):
        return ModelError(
            f"{str(path)!r} has weights in another file (external data), which is not there or"
            " cannot be read; a model is one file: export it again"
        )
    if provider == "cpu":
        return ModelError(f"{str(path)!r} does not run: {reason(error)}")
    return ProviderError(f"{provider} does not run here: {reason(error)}")


def reason(error: Exception) -> str:
    """The first line of ONNX Runtime's message, without its codes."""
    return str(error).rpartition(" : ")[2].split("\n")[0]
