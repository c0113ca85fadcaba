"""From a photo to the numbers that a foreign network takes, as its makers do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from scene_batch.errors import ModelError, UsageError
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import Pixels

Channels = Literal["rgb", "bgr"]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Pixels by ``preprocess``, then ``(pixel * scale - mean) / std`` for each channel."""

    preprocess: Preprocess
    channels: Channels = "rgb"
    """In which order the network takes them; ``mean`` and ``std`` are in that order, too."""
    scale: float = 1 / 255
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        numbers = np.array([self.scale, *self.mean, *self.std])
        if not np.isfinite(numbers).all() or not self.scale or 0 in self.std:
            raise UsageError(
                f"scale {self.scale:g}, mean {self.mean}, std {self.std}: scale and std must be"
                " numbers other than zero"
            )

    @property
    def factor(self) -> npt.NDArray[np.float64]:
        """What a pixel is multiplied by, in the network's order: ``(3,)``."""
        return np.float64(self.scale) / np.array(self.std, np.float64)

    @property
    def offset(self) -> npt.NDArray[np.float64]:
        """What is added then: ``(3,)``."""
        return np.negative(self.mean, dtype=np.float64) / np.array(self.std, np.float64)

    def numbers(self, pixels: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """What the network takes of some photos, ``float32 (photos, height, width, 3)``."""
        values = np.stack(pixels).astype(np.float32) * np.float32(self.scale)
        values = values[..., ::-1] if self.channels == "bgr" else values
        scaled = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return scaled.astype(np.float32)

    def in_words(self) -> str:
        """The scaling, as one line."""
        mean, std = (", ".join(f"{value:g}" for value in row) for row in (self.mean, self.std))
        scale = f"pixel * {self.scale:.6g}" if self.scale != 1 else "pixel"
        order = self.channels.upper()
        if set(self.mean) == {0.0} and set(self.std) == {1.0}:
            return f"{order}, {scale}"
        return f"{order}, ({scale} - [{mean}]) / [{std}]"


SCALING = ("channels", "scale", "mean", "std")
"""Of a pipeline's fields, those that are in the graph; the rest describes the pixels."""


def with_values(pipeline: Pipeline, values: dict[str, Any]) -> Pipeline:
    """The pipeline with other values: its own, and those of its preprocessing.

    Raises:
        UsageError: A key is unknown, or its value cannot be.
    """
    own: dict[str, Any] = {key: values[key] for key in SCALING if key in values}
    for key in ("mean", "std"):
        if key in own:
            own[key] = triple(own[key], key)
    if own.get("channels") is not None and own["channels"] not in get_args(Channels):
        raise UsageError(f"channels {own['channels']!r}: take rgb or bgr")
    rest = {key: value for key, value in values.items() if key not in SCALING}
    try:
        preprocess = Preprocess.from_json(pipeline.preprocess.to_json() | rest)
        if "scale" in own:
            own["scale"] = float(own["scale"])
        return replace(pipeline, preprocess=preprocess, **own)
    except (ModelError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


def triple(value: object, name: str) -> Triple:
    """One number, or three, as a mean or a standard deviation; UsageError for anything else."""
    row: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    try:
        numbers = tuple(float(number) for number in row)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:  # noqa: PLR2004 - a number for each channel
        raise UsageError(f"{name} {value!r}: give one number, or three, one for each channel")
    return numbers
