"""timm's description of a model, ``pretrained_cfg`` in its ``config.json``.

The rules are those of ``timm.data.transforms_factory.transforms_imagenet_eval``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scene_batch.errors import UsageError
from scene_batch.model.preprocess import Fit, Preprocess
from scene_batch_export.adopted.known import followed
from scene_batch_export.adopted.pipeline import Pipeline, triple
from scene_batch_export.adopted.presets import IMAGENET_MEAN, IMAGENET_STD


def is_pretrained_cfg(value: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such a description, or holds one."""
    return "pretrained_cfg" in value or {"input_size", "interpolation"} <= value.keys()


def pipeline_of(value: Mapping[str, Any]) -> Pipeline:
    """The pipeline that ``timm.data.create_transform`` makes of it for evaluation.

    Raises:
        UsageError: It says what is not known here.
    """
    with followed("pretrained_cfg"):
        return _pipeline(value.get("pretrained_cfg", value))


def _pipeline(cfg: Mapping[str, Any]) -> Pipeline:
    channels, height, width = cfg["input_size"]
    if channels != _RGB:
        raise ValueError(f"input_size {cfg['input_size']}: only photos in colour are known")
    share = float(cfg.get("crop_pct") or 0.875)
    mode = str(cfg.get("crop_mode") or "center")
    if mode not in _FITS:
        raise UsageError(f"crop_mode {mode!r} is not known: say it with --preprocess")
    mean = triple(cfg.get("mean", IMAGENET_MEAN), "mean")
    resize = (math.floor(height / share), math.floor(width / share))
    by_torchvision = resize[0] == resize[1] and mode == "center"
    preprocess = Preprocess(
        height,
        width,
        str(cfg.get("interpolation") or "bicubic"),  # type: ignore[arg-type]
        _FITS[mode],
        "stored",
        resize=resize,
        rounding="down" if by_torchvision else "nearest",
        pad=_colour(mean) if mode == "border" else (0, 0, 0),
        alpha="dropped",
    )
    return Pipeline(preprocess, mean=mean, std=triple(cfg.get("std", IMAGENET_STD), "std"))


_RGB = 3
_FITS: dict[str, Fit] = {"center": "shorter", "squash": "stretch", "border": "longer"}


def _colour(mean: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * value) for value in mean)
    return red, green, blue
