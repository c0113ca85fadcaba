"""A model file that computes: batches padded to one size, several calls side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from scene_batch.errors import ModelError, ProviderError, UsageError
from scene_batch.model.card import ModelCard, find_model, sha256
from scene_batch.model.preprocess import Preprocess
from scene_batch.model.providers import (
    Provider,
    Setup,
    does_not_run,
    failures,
    load_runtime,
    out_of_memory,
    start,
)
from scene_batch.processors import has_bf16, usable_cpus
from scene_batch.records import Pixels
from scene_batch.threads import Later

_BATCH = {"cpu": 4, "openvino": 8, "cuda": 64}
"""On a processor small batches win: activations stay in its cache (docs/decisions/001)."""
_SMALL_MODEL, _LARGEST_BATCH, _CALL_SECONDS = 16 << 20, 32, 0.01
"""On a processor a small model (bytes of its file) takes more photos at a time, until a call lasts
so long: what Python does around each call no longer counts then."""
_INPUT_BYTES = 1 << 30
"""Of pixels on their way into all calls: beyond it, fewer calls run side by side."""
_CUDA_CALLS = 2
"""While one batch is computed, the next one is copied."""
_OPENVINO_WAITING = 1
"""Calls beyond its streams: one is there whenever a stream is free."""


@dataclass(slots=True)
class Session:
    """A model file that is ready to compute."""

    path: Path
    card: ModelCard
    provider: Provider
    """What really runs: ``cpu``, ``cuda`` or ``openvino``."""
    precision: str
    """What it computes in: the file's precision, or ``bf16``."""
    batch_size: int
    """Photos of each call of the runtime; an accelerator's calls are padded where there are fewer.
    It is halved when CUDA's memory is full."""
    threads: int
    """Compute threads."""
    calls: int
    """How many calls are best made side by side."""
    note: str
    """What is to be said of the provider; empty where there is nothing."""
    _runtime: Any = field(repr=False)
    _digest: Later[str] = field(repr=False)
    _inputs: SimpleQueue[npt.NDArray[np.uint8]] = field(default_factory=SimpleQueue, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(
        cls,
        model: Path | None = None,
        *,
        provider: Provider = "auto",
        batch_size: int | None = None,
        threads: int | None = None,
        bf16: bool = False,
    ) -> Session:
        """Open a model file.

        Args:
            model: None: the embedded one.
            provider: ``auto``: the fastest one that is installed and runs.
            batch_size: None: what suits the provider and the model.
            threads: None: as many as this process may use.
            bf16: Compute an fp32 model in bfloat16, which only ``openvino`` does.

        Raises:
            RuntimeMissingError: No ONNX Runtime is installed, or two flavours are.
            ProviderError: The provider asked for does not run here: nothing takes its place.
            ModelError: The file is not an ONNX file, has no metadata, or contradicts it.
            UsageError: ``bf16`` for a file that is not fp32.
        """
        if bf16 and not has_bf16():
            raise ProviderError("this processor does not compute in bf16; leave --bf16 out")
        runtime, path, threads = load_runtime(), find_model(model), threads or usable_cpus()
        digest = Later(lambda: sha256(path))
        setup = Setup(threads, batch_size or _BATCH["openvino"], bf16)
        started = start(runtime, path, provider, setup)
        card = ModelCard.from_metadata(started.session.get_modelmeta().custom_metadata_map, path)
        _check_shapes(started.session, card, path)
        if bf16 and card.precision != "fp32":
            raise UsageError(f"--bf16 is for fp32 models; {str(path)!r} is {card.precision}")
        took = started.provider
        session = cls(
            path,
            card,
            took,
            "bf16" if bf16 else card.precision,
            batch_size or _BATCH[took],
            threads,
            1,
            "; ".join(filter(None, (started.note, _better_file(took, card)))),
            started.session,
            digest,
        )
        if took == "cpu" and batch_size is None and path.stat().st_size < _SMALL_MODEL:
            session.batch_size = session._measured_size()
        session.calls = session._best_calls()
        for _ in range(session.calls):
            session._inputs.put(session._blank(session.batch_size))
        if took == "cuda":  # if its memory is too small for a batch, that shows now
            session.probabilities(list(session._blank(session.batch_size)))
        return session

    @property
    def photos_ahead(self) -> int:
        """Photos that are decoded ahead: a batch for each call, and one more."""
        return (self.calls + 1) * self.batch_size

    @property
    def sha256(self) -> str:
        """The identity of the model file: the sha256 of its bytes, in hex."""
        return self._digest.result()

    def probabilities(self, pixels: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """Classify photos, ``batch_size`` at a time; safe for threads.

        Args:
            pixels: ``uint8 (height, width, 3)`` each, RGB, as ``preprocess`` makes them.

        Returns:
            ``float32 (len(pixels), classes)``, softmax, in the photos' order.

        Raises:
            ProviderError: The provider fails; CUDA's memory does not even hold one photo.
            ModelError: The model fails on the processor.
        """
        found, begin = [], 0
        while begin < len(pixels):
            size = self.batch_size
            try:
                found.append(self._call(pixels[begin : begin + size], size))
            except failures() as error:
                if size == 1 or not self._is_full(error):
                    raise does_not_run(self.provider, self.path, error) from error
            else:
                begin += size
        return np.concatenate(found) if found else np.empty((0, len(self.card.classes)), np.float32)

    def _is_full(self, error: Exception) -> bool:
        return self.provider == "cuda" and out_of_memory(error)

    def _call_alone(self, pixels: Sequence[Pixels], size: int) -> npt.NDArray[np.float32]:
        """Memory was full: once more when no other call has any of it; then smaller batches."""
        with self._lock:
            every = [self._inputs.get() for _ in range(self.calls)]  # the other calls are over
            self.batch_size = min(self.batch_size, max(1, size // 2))
            try:
                return self._compute(every[0], pixels, size)
            finally:
                for photos in every:
                    self._inputs.put(photos)

    def _call(self, pixels: Sequence[Pixels], size: int) -> npt.NDArray[np.float32]:
        photos = self._inputs.get()
        try:
            return self._compute(photos, pixels, size)
        except failures() as error:
            if not self._is_full(error):
                raise
        finally:
            self._inputs.put(photos)
        return self._call_alone(pixels, size)

    def _compute(
        self, photos: npt.NDArray[np.uint8], pixels: Sequence[Pixels], size: int
    ) -> npt.NDArray[np.float32]:
        # A fixed shape: no new kernel search for the odd last batch, which a processor does not
        # need. What lies in the padding does not matter: each photo is computed for itself.
        size = len(pixels) if self.provider == "cpu" else size
        for place, photo in enumerate(pixels):
            photos[place] = photo
        (probabilities,) = self._runtime.run(["probabilities"], {"image": photos[:size]})
        return np.asarray(probabilities[: len(pixels)], np.float32)

    def _measured_size(self) -> int:
        """Photos for each call on a processor, by how long one photo takes."""
        image = {"image": self._blank(1)}
        begun = time.perf_counter()
        try:
            self._runtime.run(["probabilities"], image)
        except failures() as error:
            raise does_not_run(self.provider, self.path, error) from error
        seconds, size = time.perf_counter() - begun, _BATCH["cpu"]
        while size < _LARGEST_BATCH and size * seconds < _CALL_SECONDS:
            size *= 2
        return size

    def _best_calls(self) -> int:
        """How many calls are best made side by side."""
        if self.provider == "cuda":
            best = _CUDA_CALLS
        else:
            best = self.threads + (_OPENVINO_WAITING if self.provider == "openvino" else 0)
        preprocess = self.card.preprocess
        each = self.batch_size * preprocess.height * preprocess.width * 3
        return max(1, min(best, _INPUT_BYTES // each))

    def _blank(self, size: int) -> npt.NDArray[np.uint8]:
        preprocess = self.card.preprocess
        return np.zeros((size, preprocess.height, preprocess.width, 3), np.uint8)


def _better_file(provider: str, card: ModelCard) -> str:
    if provider == "cuda" and card.precision == "int8":
        return (
            "int8 is made for processors: on CUDA the fp16 file of this model is the better one"
            " (scene-batch export --precision fp16)"
        )
    return ""


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
