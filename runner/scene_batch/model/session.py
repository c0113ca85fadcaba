"""A model file, opened on a provider and ready to compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from scene_batch.errors import ModelError, ProviderError, UsageError
from scene_batch.model.calls import Calls
from scene_batch.model.card import ModelCard, find_model, sha256
from scene_batch.model.compute_options import AUTO, ComputeOptions, Provider
from scene_batch.model.providers import start
from scene_batch.model.runtime import load_runtime
from scene_batch.processors import has_bf16, usable_cpus
from scene_batch.records import Pixels
from scene_batch.threads import Future, begin


@dataclass(frozen=True, slots=True)
class Session:
    """A model file that is ready to compute; safe for threads."""

    path: Path
    card: ModelCard
    provider: Provider
    """What really runs: ``cpu``, ``cuda`` or ``openvino``."""
    precision: str
    """What it computes in: the file's precision, or ``bf16``."""
    threads: int
    """Compute threads."""
    note: str
    """What the user should know of the provider; may be empty."""
    _calls: Calls = field(repr=False)
    _sha256: Future[str] = field(repr=False)

    @classmethod
    def open(cls, model: Path | None = None, options: ComputeOptions = AUTO) -> Self:
        """Open a model file; None is the embedded one.

        Raises:
            RuntimeMissingError: No ONNX Runtime is installed, or two flavours are.
            ProviderError: The provider asked for does not run here; no other is taken instead.
            ModelError: The file is not an ONNX file, has no metadata, or contradicts it.
            UsageError: ``bf16`` for a file that is not fp32.
        """
        if options.bf16 and not has_bf16():
            raise ProviderError("this processor does not compute in bf16; leave --bf16 out")
        runtime, path, threads = load_runtime(), find_model(model), options.threads or usable_cpus()
        digest = begin(lambda: sha256(path))
        started = start(runtime, path, options)
        card = ModelCard.from_metadata(started.session.get_modelmeta().custom_metadata_map, path)
        _check_shapes(started.session, card, path)
        if options.bf16 and card.precision != "fp32":
            raise UsageError(f"--bf16 is for fp32 models; {str(path)!r} is {card.precision}")
        calls = Calls(
            started.session,
            provider=started.provider,
            path=path,
            preprocess=card.preprocess,
            batch_size=options.batch_size,
            threads=threads,
        )
        return cls(
            path=path,
            card=card,
            provider=started.provider,
            precision="bf16" if options.bf16 else card.precision,
            threads=threads,
            note="; ".join(filter(None, (started.note, _better_file(started.provider, card)))),
            _calls=calls,
            _sha256=digest,
        )

    @property
    def batch_size(self) -> int:
        """Photos of each call, which is padded on an accelerator; halved when CUDA is full."""
        return self._calls.batch_size

    @property
    def calls(self) -> int:
        """How many calls are best made side by side."""
        return self._calls.number

    @property
    def photos_ahead(self) -> int:
        """Photos that are decoded ahead: a batch for each call, and one more."""
        return (self.calls + 1) * self.batch_size

    @property
    def sha256(self) -> str:
        """The sha256 of the model file's bytes, in hex."""
        return self._sha256.result()

    @property
    def options(self) -> ComputeOptions:
        """The options that it computes with: nothing is ``auto`` or None."""
        in_bf16 = self.precision == "bf16"
        return ComputeOptions(self.provider, self.batch_size, self.threads, in_bf16)

    def probabilities(self, pixels: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """Classify photos, ``batch_size`` at a time.

        Args:
            pixels: ``uint8 (height, width, 3)`` each, RGB, as ``preprocess`` makes them.

        Returns:
            ``float32 (len(pixels), classes)``, softmax, in the photos' order.

        Raises:
            ProviderError: The provider fails; CUDA's memory does not even hold one photo.
            ModelError: The model fails on the processor.
        """
        none = np.empty((0, len(self.card.classes)), np.float32)
        return np.concatenate(self._calls.probabilities(pixels) or [none])


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
    size = card.preprocess
    if inputs != [("image", "tensor(uint8)", [size.height, size.width, 3])]:
        raise ModelError(f"{str(path)!r}: its input {inputs} contradicts its metadata")
    if outputs != [("probabilities", "tensor(float)", [len(card.classes)])]:
        raise ModelError(
            f"{str(path)!r}: its output {outputs} contradicts its {len(card.classes)} classes"
        )
