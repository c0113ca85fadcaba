"""Calls of ONNX Runtime: how many photos each takes, and how many calls run side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from scene_batch.errors import ModelError
from scene_batch.model.compute_options import Provider
from scene_batch.model.preprocess import Preprocess
from scene_batch.model.providers import DEFAULT_BATCH, does_not_run, failures, out_of_memory
from scene_batch.records import Pixels
from scene_batch.threads import begin

_SMALL_MODEL, _LARGEST_BATCH, _CALL_SECONDS = 16 << 20, 32, 0.01
"""On a processor, a model file below ``_SMALL_MODEL`` bytes takes more photos at a time, until each
call lasts ``_CALL_SECONDS``: then what Python does around it no longer matters."""
_INPUT_BYTES = 1 << 30
"""Most bytes of pixels for all calls together: above it, fewer calls run side by side."""
_CUDA_CALLS = 2
"""While one batch is computed, the next one is copied."""
_OPENVINO_WAITING = 1
"""Calls beyond OpenVINO's streams, so that one is ready whenever a stream is free."""

_ALLOWED = 0.01
"""How far from one probabilities may sum up, and how far below zero one may be: fp16, bf16 and int8
are within a thousandth."""


def are_probabilities(answers: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """For each row of ``(photos, classes)``: whether it sums to one, and none is negative."""
    with np.errstate(over="ignore", invalid="ignore"):  # the sum of infinities
        off = np.abs(answers.sum(axis=1) - 1)
    sound: npt.NDArray[np.bool_] = (off <= _ALLOWED) & (answers.min(axis=1) >= -_ALLOWED)
    return sound  # NaN compares as False


class Calls:
    """The calls of one session of ONNX Runtime, ``runtime``; safe for threads.

    Raises:
        ProviderError: CUDA's memory does not even hold one photo.
        ModelError: The model fails on the processor, or its answers are no probabilities.
    """

    def __init__(  # noqa: PLR0913 - each decides sizes
        self,
        runtime: Any,  # noqa: ANN401
        *,
        provider: Provider,
        path: Path,
        preprocess: Preprocess,
        batch_size: int | None,
        threads: int,
    ) -> None:
        self._runtime, self._provider, self._path = runtime, provider, path
        self._shape = preprocess.shape
        answer = None  # to a blank photo
        is_small = provider == "cpu" and path.stat().st_size < _SMALL_MODEL
        if is_small:
            answer, seconds = self._first_call()
            batch_size = batch_size or _best_size(seconds)
        self.batch_size = batch_size or DEFAULT_BATCH[provider]
        """Photos of each call; halved when CUDA's memory is full."""
        self.number = self._best_number(threads)
        """How many are best made side by side."""
        self._lock = threading.Lock()
        self._inputs: SimpleQueue[npt.NDArray[np.uint8]] = SimpleQueue()
        for _ in range(self.number):
            self._inputs.put(self._blank(self.batch_size))
        if provider == "cuda":  # finds out now if its memory is too small for a batch
            answer = self.probabilities(list(self._blank(self.batch_size)))[0]
        if answer is not None:
            _refuse_no_answer(answer, path)
        # Else ask while the caller still imports: a call is some percent of a short run.
        self._checking = begin(self._ask_blank) if answer is None else None

    def check(self) -> None:
        """Refuse a model whose answer to a blank photo, asked for meanwhile, is none.

        Raises:
            ModelError: It is not probabilities, or the model fails on the processor.
            ProviderError: The provider fails.
        """
        if self._checking is not None:
            self._checking.result()

    def _ask_blank(self) -> None:
        _refuse_no_answer(self.probabilities(list(self._blank(1)))[0], self._path)

    def probabilities(self, pixels: Sequence[Pixels]) -> list[npt.NDArray[np.float32]]:
        """As ``Session.probabilities``, but one array for each call."""
        results, done = [], 0
        while done < len(pixels):
            size = self.batch_size
            try:
                results.append(self._call(pixels[done : done + size], size))
            except failures() as error:
                if size == 1 or not self._is_full(error):
                    raise does_not_run(self._provider, self._path, error) from error
            else:
                done += size
        return results

    def _is_full(self, error: Exception) -> bool:
        return self._provider == "cuda" and out_of_memory(error)

    def _call(self, pixels: Sequence[Pixels], size: int) -> npt.NDArray[np.float32]:
        buffer = self._inputs.get()
        try:
            return self._compute(buffer, pixels, size)
        except failures() as error:
            if not self._is_full(error):
                raise
        finally:
            self._inputs.put(buffer)
        return self._call_alone(pixels, size)

    def _call_alone(self, pixels: Sequence[Pixels], size: int) -> npt.NDArray[np.float32]:
        """Repeat a call for which memory was too full, now alone; later batches are halved."""
        with self._lock:
            buffers = [self._inputs.get() for _ in range(self.number)]  # the other calls are over
            self.batch_size = min(self.batch_size, max(1, size // 2))
            try:
                return self._compute(buffers[0], pixels, size)
            finally:
                for buffer in buffers:
                    self._inputs.put(buffer)

    def _compute(
        self, buffer: npt.NDArray[np.uint8], pixels: Sequence[Pixels], size: int
    ) -> npt.NDArray[np.float32]:
        # An accelerator gets a fixed shape: a smaller last batch would start another kernel search.
        # What is in the padding does not matter: each photo is computed for itself.
        size = len(pixels) if self._provider == "cpu" else size
        for index, photo in enumerate(pixels):
            buffer[index] = photo
        (probabilities,) = self._runtime.run(["probabilities"], {"image": buffer[:size]})
        return np.asarray(probabilities[: len(pixels)], np.float32)

    def _first_call(self) -> tuple[npt.NDArray[np.float32], float]:
        """The answer to a blank photo, and how many seconds it took."""
        begun = time.perf_counter()
        try:
            (answer,) = self._runtime.run(["probabilities"], {"image": self._blank(1)})
        except failures() as error:
            raise does_not_run(self._provider, self._path, error) from error
        return answer, time.perf_counter() - begun

    def _best_number(self, threads: int) -> int:
        waiting = _OPENVINO_WAITING if self._provider == "openvino" else 0
        best = _CUDA_CALLS if self._provider == "cuda" else threads + waiting
        each = self.batch_size * int(np.prod(self._shape))
        return max(1, min(best, _INPUT_BYTES // each))

    def _blank(self, size: int) -> npt.NDArray[np.uint8]:
        return np.zeros((size, *self._shape), np.uint8)


def _best_size(seconds: float) -> int:
    """Photos of each call of a small model, by how many seconds one photo takes."""
    size = DEFAULT_BATCH["cpu"]
    while size < _LARGEST_BATCH and size * seconds < _CALL_SECONDS:
        size *= 2
    return size


def _refuse_no_answer(answer: npt.NDArray[np.float32], path: Path) -> None:
    if not are_probabilities(answer).all():
        raise ModelError(
            f"{str(path)!r} answers a blank photo with numbers that are no probabilities:"
            " its output must be a softmax, which sums to one; export it again"
        )
