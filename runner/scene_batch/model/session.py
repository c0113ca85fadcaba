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
from scene_batch.model.card import ModelCard
from scene_batch.model.compute_options import AUTO, ComputeOptions, Provider
from scene_batch.model.model_file import ModelFile
from scene_batch.model.providers import fixed_batch, start
from scene_batch.model.runtime import load_runtime
from scene_batch.processors import has_bf16, usable_cpus
from scene_batch.records import Pixels

NO_DIGEST = "the model file has no digest, so damage of it is not seen; export it again"
"""What is said of a file that was exported before there were digests."""


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
    """What the user should know of the provider and the file; may be empty."""
    sha256: str
    """Of the model file's bytes, in hex."""
    has_digest: bool
    """Whether the file carries a digest of itself, which was compared."""
    _calls: Calls = field(repr=False)

    @classmethod
    def open(cls, model: Path | ModelFile | None = None, options: ComputeOptions = AUTO) -> Self:
        """Open a model file; None is the embedded one.

        Raises:
            RuntimeMissingError: No ONNX Runtime is installed, or two flavours are.
            ProviderError: The provider asked for does not run here; no other is taken instead.
            ModelError: The file is no ONNX file, is damaged, has no metadata, or contradicts it.
            UsageError: ``bf16`` for a file that is not fp32.
        """
        if options.bf16 and not has_bf16():
            raise ProviderError("this processor does not compute in bf16; leave --bf16 out")
        file = model if isinstance(model, ModelFile) else ModelFile.begin(model)
        path, threads = file.find(), options.threads or usable_cpus()
        runtime = load_runtime()
        digest = file.check()  # before ONNX Runtime reads it: what that does with damage is unknown
        try:
            started = start(runtime, path, options)
            card = ModelCard.from_metadata(
                started.session.get_modelmeta().custom_metadata_map, path
            )
            _check_shapes(started.session, card, path)
            _check_batch(started.session, fixed_batch(started.provider, options), path)
        except UnicodeDecodeError:
            raise ModelError(
                f"{file.name} has names or metadata that are not UTF-8; export it again"
            ) from None
        except ModelError as error:  # of a fetched file the user knows the URL
            error.args = (str(error).replace(repr(str(path)), file.name),)
            raise
        if options.bf16 and card.precision != "fp32":
            raise UsageError(f"--bf16 is for fp32 models; {file.name} is {card.precision}")
        calls = Calls(
            started.session,
            provider=started.provider,
            path=path,
            preprocess=card.preprocess,
            batch_size=options.batch_size,
            threads=threads,
        )
        file.check_same()
        notes = (
            file.note,
            started.note,
            _better_file(started.provider, card),
            "" if digest.has_digest else NO_DIGEST,
        )
        return cls(
            path=path,
            card=card,
            provider=started.provider,
            precision="bf16" if options.bf16 else card.precision,
            threads=threads,
            note="; ".join(filter(None, notes)),
            sha256=digest.sha256,
            has_digest=digest.has_digest,
            _calls=calls,
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
    def options(self) -> ComputeOptions:
        """The options that it computes with: nothing is ``auto`` or None."""
        in_bf16 = self.precision == "bf16"
        return ComputeOptions(self.provider, self.batch_size, self.threads, in_bf16)

    def check(self) -> None:
        """Refuse a model whose answer to a blank photo, asked for meanwhile, is no probabilities.

        Raises:
            ModelError: So it is, or the model fails on the processor.
            ProviderError: The provider fails.
        """
        self._calls.check()

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


def _check_batch(session: Any, fixed: int | None, path: Path) -> None:  # noqa: ANN401
    """Refuse a file whose graph takes one number of photos alone, unless we fixed it ourselves."""
    batch = session.get_inputs()[0].shape[0]
    if isinstance(batch, int) and batch != fixed:
        raise ModelError(
            f"{str(path)!r} has a fixed batch of {batch}: the first dimension of its input must be"
            " free; make the file with scene-batch export"
        )
