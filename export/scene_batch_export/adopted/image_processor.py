"""Hugging Face's image processors: what a ``preprocessor_config.json`` makes of a photo.

The rules are those of the classes of that name in transformers, by Pillow; photos come by its
``load_image``, which turns them and drops transparency.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from scene_batch.errors import ModelError, UsageError
from scene_batch.model.preprocess import Preprocess
from scene_batch_export.adopted.pipeline import Pipeline, Triple, triple
from scene_batch_export.adopted.presets import (
    CLIP_MEAN,
    CLIP_STD,
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
)

_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""By Pillow's number."""
_BILINEAR, _BICUBIC, _NEAREST = 2, 3, 0
_SQUASHED_FROM = 384
"""From this edge on, ConvNextImageProcessor resizes without cropping."""


class _Defaults(NamedTuple):
    """What a class does where the file does not say."""

    size: Any
    resample: int
    crop: int | None = None
    mean: Triple = HALF
    std: Triple = HALF
    normalised: bool = True


_PLAIN = _Defaults({"height": 224, "width": 224}, _BILINEAR)
_SHORTER = _Defaults({"shortest_edge": 224}, _BICUBIC, 224, CLIP_MEAN, CLIP_STD)
_IMAGENET = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
_CLASSES = {
    "ViT": _PLAIN,
    "Siglip": _PLAIN._replace(resample=_BICUBIC),
    "DeiT": _Defaults({"height": 256, "width": 256}, _BICUBIC, 224, **_IMAGENET),
    "Beit": _Defaults({"height": 256, "width": 256}, _BICUBIC, 224),
    "CLIP": _SHORTER,
    "Bit": _SHORTER,
    "MobileNetV1": _Defaults({"shortest_edge": 256}, _BILINEAR, 224),
    "MobileNetV2": _Defaults({"shortest_edge": 256}, _BILINEAR, 224),
    "ConvNext": _Defaults({"shortest_edge": 384}, _BILINEAR, **_IMAGENET),
    "Levit": _Defaults({"shortest_edge": 224}, _BICUBIC, 224, **_IMAGENET),
    "PoolFormer": _Defaults({"shortest_edge": 224}, _BICUBIC, 224, **_IMAGENET),
    "MobileViT": _Defaults({"shortest_edge": 224}, _BILINEAR, 256, normalised=False),
    "EfficientNet": _Defaults({"height": 346, "width": 346}, _NEAREST, None, **_IMAGENET),
}


def is_image_processor(value: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such a file."""
    return bool(_class_name(value)) or {"image_mean", "image_std", "size"} <= value.keys()


def pipeline_of(value: Mapping[str, Any]) -> Pipeline:
    """The pipeline of an image processor.

    Raises:
        UsageError: Its class, or what it says, is not known here.
    """
    name = _class_name(value)
    kind = name.removesuffix("Fast").removesuffix("Pil")
    kind = kind.removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    if kind not in _CLASSES:
        raise UsageError(f"{name or 'no class of an image processor'!r} is not known here")
    try:
        return _pipeline(kind, _CLASSES[kind], value)
    except (KeyError, TypeError, ValueError, IndexError, ModelError) as error:
        raise UsageError(f"{name} cannot be followed: {error}") from None


def _class_name(value: Mapping[str, Any]) -> str:
    name = value.get("image_processor_type") or value.get("feature_extractor_type") or ""
    return name if isinstance(name, str) else ""


def _pipeline(kind: str, defaults: _Defaults, value: Mapping[str, Any]) -> Pipeline:
    size = value.get("size", defaults.size)
    crop_is_default = kind in ("ConvNext", "EfficientNet")
    has_crop = value.get("do_center_crop", defaults.crop is not None and not crop_is_default)
    crop = value.get("crop_size", defaults.crop)
    resample = value.get("resample")
    filter_ = _FILTERS[defaults.resample if resample is None else resample]
    values: dict[str, Any] = {"filter": filter_} | _COMMON
    if not value.get("do_resize", True):
        raise ValueError("it does not resize")
    fit, resize = _resize(kind, size, value)
    seen = resize if fit == "stretch" else None
    if kind == "ConvNext":
        seen = seen or (_edge(size), _edge(size))
    elif has_crop and crop is not None:
        seen = _height_and_width(crop)
    if seen is None:
        raise ValueError(f"size {size!r} without a crop gives photos of many sizes")
    height, width = seen
    values["resize"] = None if seen == resize and fit == "stretch" else resize
    preprocess = Preprocess(height, width, fit=fit, **values)  # type: ignore[arg-type]
    return Pipeline(preprocess, **_scaling(kind, defaults, value))


_COMMON = {"orientation": "exif-first", "centre": "floor", "alpha": "dropped"}


def _resize(kind: str, size: Any, value: Mapping[str, Any]) -> tuple[str, tuple[int, int]]:  # noqa: ANN401 - JSON
    """How a photo is resized, and to which (height, width)."""
    if kind == "ConvNext":
        edge = _edge(size)
        if edge >= _SQUASHED_FROM:
            return "stretch", (edge, edge)
        edge = int(edge / value.get("crop_pct", 224 / 256))
        return "shorter", (edge, edge)
    if isinstance(size, int) and kind in ("CLIP", "Bit", "MobileNetV1", "MobileNetV2", "MobileViT"):
        size = {"shortest_edge": size}
    if isinstance(size, Mapping) and "shortest_edge" in size:
        edge = int(size["shortest_edge"])
        if kind == "Levit":
            edge = int((256 / 224) * edge)
        if kind == "PoolFormer":
            edge = int(edge / value.get("crop_pct", 0.9))
        return "shorter", (edge, edge)
    return "stretch", _height_and_width(size)


def _edge(size: Any) -> int:  # noqa: ANN401
    return int(size["shortest_edge"] if isinstance(size, Mapping) else size)


def _height_and_width(size: Any) -> tuple[int, int]:  # noqa: ANN401
    if isinstance(size, Mapping):
        return int(size["height"]), int(size["width"])
    if isinstance(size, list | tuple):
        height, width = size
        return int(height), int(width)
    return int(size), int(size)


def _scaling(kind: str, defaults: _Defaults, value: Mapping[str, Any]) -> dict[str, Any]:
    factor = float(value.get("rescale_factor", 1 / 255)) if value.get("do_rescale", True) else 1.0
    mean = triple(value.get("image_mean") or defaults.mean, "image_mean")
    std = triple(value.get("image_std") or defaults.std, "image_std")
    if not value.get("do_normalize", defaults.normalised):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if kind == "EfficientNet":
        if value.get("rescale_offset", False):  # minus one behind scaling
            mean = tuple(each + 1 for each in mean)  # type: ignore[assignment]
        if value.get("include_top", True):  # divided once more
            std = tuple(each * each for each in std)  # type: ignore[assignment]
    flipped = kind == "MobileViT" and value.get("do_flip_channel_order", True)
    channels = "bgr" if flipped else "rgb"
    return {"channels": channels, "scale": factor, "mean": mean, "std": std}
