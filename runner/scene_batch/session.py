"""ONNX Runtime: one flavour, the provider chosen and verified, threads set, batches padded."""

from __future__ import annotations

import importlib.metadata
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scene_batch.cpus import usable_cpus
from scene_batch.errors import ModelError, ProviderError, RuntimeMissingError
from scene_batch.model import ModelCard, find_model
from scene_batch.preprocess import Preprocess

Provider = Literal["auto", "cpu", "cuda"]

FLAVOURS = {
    "onnxruntime": "cpu",
    "onnxruntime-gpu": "gpu",
    "onnxruntime-openvino": "openvino",
}
"""The distributions that all install a package ``onnxruntime``, and the extra that brings each."""

_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_AUTO_BATCH = {"cpu": 8, "cuda": 64}
"""On a CPU small batches win: activations stay in its cache (docs/decisions/001)."""


@dataclass(slots=True)
class Session:
    """A model file that is ready to compute."""

    path: Path
    card: ModelCard
    provider: str
    """What really runs: ``cpu`` or ``cuda``."""
    batch_size: int
    """Every call of the runtime has this many photos, padded where fewer are given."""
    threads: int
    note: str
    """Why ``auto`` took this provider; empty where there is nothing to say."""
    _runtime: Any
    _input: npt.NDArray[np.uint8] = field(repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(
        cls,
        model: Path | None = None,
        *,
        provider: Provider = "auto",
        batch_size: int | None = None,
        threads: int | None = None,
    ) -> Session:
        """Open a model file; None is the embedded model, the processor's own choice, all cores.

        Raises:
            RuntimeMissingError: No ONNX Runtime is installed, or two flavours are.
            ProviderError: The provider asked for does not run here: nothing takes its place.
            ModelError: The file is not an ONNX file, has no metadata, or contradicts it.
        """
        runtime = load_runtime()
        path = find_model(model)
        threads = threads or usable_cpus()
        session, took, note = _start(runtime, path, provider, threads)
        card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, path)
        _check_shapes(session, card, path)
        size = batch_size or _AUTO_BATCH[took]
        shape = (size, card.preprocess.height, card.preprocess.width, 3)
        return cls(path, card, took, size, threads, note, session, np.zeros(shape, np.uint8))

    def probabilities(self, pixels: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        """Classify up to ``batch_size`` photos.

        Args:
            pixels: ``uint8 (height, width, 3)`` each, RGB, as ``preprocess`` makes them.

        Returns:
            ``float32 (len(pixels), classes)``, softmax, in the photos' order.
        """
        # A fixed shape: no arena growth, no new kernel search for the odd last batch. What lies
        # in the padding does not matter: each photo is computed for itself.
        with self._lock:  # one input for all callers
            for place, photo in enumerate(pixels):
                self._input[place] = photo
            (probabilities,) = self._runtime.run(["probabilities"], {"image": self._input})
        return np.asarray(probabilities[: len(pixels)], np.float32)


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
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissingError(
            f"ONNX Runtime cannot be imported ({error}):"
            " pip install 'scene-batch[cpu]' (or [gpu] for CUDA)"
        ) from None
    module: ModuleType = onnxruntime
    return module


def _start(
    runtime: ModuleType, path: Path, provider: Provider, threads: int
) -> tuple[Any, str, str]:
    """Start the runtime on the provider asked for; only ``auto`` may choose, and says why."""
    available = runtime.get_available_providers()
    if provider == "auto":
        if _NAMES["cuda"] not in available:
            return _create(runtime, path, "cpu", threads), "cpu", ""
        try:
            return _create(runtime, path, "cuda", threads), "cuda", ""
        except ProviderError as error:
            return _create(runtime, path, "cpu", threads), "cpu", f"not cuda: {error}"
    if _NAMES[provider] not in available:
        raise ProviderError(
            f"provider {provider} is not in this ONNX Runtime (it has {', '.join(available)});"
            f" pip install 'scene-batch[{'gpu' if provider == 'cuda' else 'cpu'}]'"
        )
    return _create(runtime, path, provider, threads), provider, ""


def _create(runtime: ModuleType, path: Path, provider: str, threads: int) -> Any:  # noqa: ANN401
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; they are raised, and said once
    if provider != "cpu":
        runtime.preload_dlls()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = runtime.InferenceSession(
            str(path), options, providers=[_NAMES[provider]], enable_fallback=0
        )
        if provider != "cpu":  # a missing cuDNN shows only at the first convolution
            _probe(session)
    except (state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument) as error:
        raise ModelError(
            f"{str(path)!r} is not an ONNX file that this ONNX Runtime reads ({_reason(error)});"
            " check --model"
        ) from None
    except (state.Fail, state.RuntimeException, state.EPFail, state.NotImplemented) as error:
        if provider == "cpu":
            raise ModelError(f"{str(path)!r} does not run: {_reason(error)}") from None
        raise ProviderError(f"{provider} does not run here: {_reason(error)}") from None
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


def _reason(error: Exception) -> str:
    return str(error).rpartition(" : ")[2].split("\n")[0]


def _check_shapes(session: Any, card: ModelCard, path: Path) -> None:  # noqa: ANN401
    """Refuse a file whose graph and metadata contradict each other."""
    inputs = [(i.name, i.type, i.shape[1:]) for i in session.get_inputs()]
    outputs = [(o.name, o.type, o.shape[1:]) for o in session.get_outputs()]
    size: Preprocess = card.preprocess
    if inputs != [("image", "tensor(uint8)", [size.height, size.width, 3])]:
        raise ModelError(f"{str(path)!r}: its input {inputs} contradicts its metadata")
    if outputs != [("probabilities", "tensor(float)", [len(card.classes)])]:
        raise ModelError(
            f"{str(path)!r}: its output {outputs} contradicts its {len(card.classes)} classes"
        )
