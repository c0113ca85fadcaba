"""Hugging Face's image processors: what a ``preprocessor_config.json`` makes of a photo.

The rules are those of the classes of that name in transformers, by Pillow; photos come by its
``load_image``, which turns them and drops transparency.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from scene_batch.errors import UsageError
from scene_batch.model.preprocess import Fit, Preprocess
from scene_batch_export.adopted.known import followed
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
_BILINEAR, _BICUBIC = 2, 3
_SQUASHED_FROM = 384
"""From this edge on, ConvNextImageProcessor resizes without cropping."""


class _Defaults(NamedTuple):
    """What a class does where the file does not say, as of transformers 5."""

    size: Any
    resample: int
    crop: int | None = None
    mean: Triple = HALF
    std: Triple = HALF
    cropped: bool = False


def _square(edge: int) -> dict[str, int]:
    return {"height": edge, "width": edge}


_SHORTER = _Defaults({"shortest_edge": 224}, _BICUBIC, 224, cropped=True)
_CLIP = _SHORTER._replace(mean=CLIP_MEAN, std=CLIP_STD)
_IMAGENET = _SHORTER._replace(mean=IMAGENET_MEAN, std=IMAGENET_STD)
_MOBILE_NET = _Defaults({"shortest_edge": 256}, _BILINEAR, 224, cropped=True)
_CLASSES = {
    "ViT": _Defaults(_square(224), _BILINEAR),
    "Siglip": _Defaults(_square(224), _BICUBIC),
    "DeiT": _Defaults(_square(256), _BICUBIC, 224, cropped=True),
    "Beit": _Defaults(_square(224), _BICUBIC, 224),
    "CLIP": _CLIP,
    "Bit": _CLIP,
    "MobileNetV1": _MOBILE_NET,
    "MobileNetV2": _MOBILE_NET,
    "ConvNext": _Defaults({"shortest_edge": 384}, _BICUBIC),
    "Levit": _IMAGENET,
    "PoolFormer": _IMAGENET,
    "MobileViT": _SHORTER._replace(crop=256),
    "EfficientNet": _Defaults(_square(346), _BICUBIC, 289),
}
_SQUARE = ("ViT", "DeiT", "Beit", "EfficientNet")
"""Where a ``size`` of one number is both edges; for the others it is the shorter one."""


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
    with followed(name):
        return _pipeline(kind, _CLASSES[kind], value)


def _class_name(value: Mapping[str, Any]) -> str:
    name = value.get("image_processor_type") or value.get("feature_extractor_type") or ""
    return name if isinstance(name, str) else ""


def _pipeline(kind: str, defaults: _Defaults, value: Mapping[str, Any]) -> Pipeline:
    if not value.get("do_resize", True):
        raise ValueError("it does not resize")
    for key in ("do_pad", "use_square_size"):
        if value.get(key):
            raise ValueError(f"{key} is not known here")
    resample = value.get("resample")
    fit, resize = _resize(kind, value.get("size", defaults.size), value)
    height, width = _seen(kind, defaults, value) or _whole(fit, resize)
    preprocess = Preprocess(
        height,
        width,
        dict(enumerate(_FILTERS))[defaults.resample if resample is None else resample],  # type: ignore[arg-type]
        fit,
        "exif-first",
        resize=None if (fit, resize) == ("stretch", (height, width)) else resize,
        centre="floor",
        alpha="dropped",
    )
    return Pipeline(preprocess, **_scaling(kind, defaults, value))


def _resize(kind: str, size: Any, value: Mapping[str, Any]) -> tuple[Fit, tuple[int, int]]:  # noqa: ANN401 - JSON
    """How a photo is resized, and to which (height, width)."""
    if isinstance(size, int) and kind not in _SQUARE:
        size = {"shortest_edge": size}
    if not isinstance(size, Mapping):
        return "stretch", _height_and_width(size)
    if size.keys() == {"shortest_edge"}:
        stated = int(size["shortest_edge"])
        edge = _enlarged(kind, stated, value)
        squashed = kind == "ConvNext" and stated >= _SQUASHED_FROM
        return "stretch" if squashed else "shorter", (edge, edge)
    if size.keys() != {"height", "width"} or kind == "ConvNext":
        raise ValueError(f"size {size!r} is not known here")
    height, width = _height_and_width(size)
    if kind != "PoolFormer" or value.get("crop_pct", _POOL_FORMER) is None:
        return "stretch", (height, width)
    fit: Fit = "shorter" if height == width else "stretch"
    return fit, (_enlarged(kind, height, value), _enlarged(kind, width, value))


_POOL_FORMER = 0.9


def _enlarged(kind: str, edge: int, value: Mapping[str, Any]) -> int:
    """To what an edge is resized, so that only its middle is seen."""
    if kind == "Levit":
        return int((256 / 224) * edge)
    if kind == "PoolFormer":
        share = value.get("crop_pct", _POOL_FORMER)
        return edge if share is None else int(edge / share)
    if kind == "ConvNext" and edge < _SQUASHED_FROM:
        return int(edge / (value.get("crop_pct") or 224 / 256))
    return edge


def _seen(kind: str, defaults: _Defaults, value: Mapping[str, Any]) -> tuple[int, int] | None:
    """The (height, width) that is cut out, if any is."""
    cropped = value.get("do_center_crop", defaults.cropped)
    if kind == "ConvNext":
        if cropped:
            raise ValueError("do_center_crop is not known here")
        edge = value.get("size", defaults.size)
        return _height_and_width(edge["shortest_edge"] if isinstance(edge, Mapping) else edge)
    if not cropped:
        return None
    return _height_and_width(value.get("crop_size", defaults.crop))


def _whole(fit: Fit, resize: tuple[int, int]) -> tuple[int, int]:
    """What a photo is resized to, where that is the same for every photo."""
    if fit != "stretch":
        raise ValueError("a shorter edge without a crop gives photos of many sizes")
    return resize


def _height_and_width(size: Any) -> tuple[int, int]:  # noqa: ANN401 - JSON
    if isinstance(size, Mapping):
        return int(size["height"]), int(size["width"])
    if isinstance(size, list | tuple):
        height, width = size
        return int(height), int(width)
    return int(size), int(size)


def _scaling(kind: str, defaults: _Defaults, value: Mapping[str, Any]) -> dict[str, Any]:
    rescaled = value.get("do_rescale", True)
    factor = float(value.get("rescale_factor", 1 / 255)) if rescaled else 1.0
    own_std = triple(value.get("image_std") or defaults.std, "image_std")
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if kind != "MobileViT" and value.get("do_normalize", True):
        mean, std = triple(value.get("image_mean") or defaults.mean, "image_mean"), own_std
    if kind == "EfficientNet":
        if rescaled and value.get("rescale_offset", False):  # minus one behind scaling
            mean = tuple(each + 1 for each in mean)  # type: ignore[assignment]
        if value.get("include_top", True):  # divided once more
            std = tuple(one * other for one, other in zip(std, own_std, strict=True))  # type: ignore[assignment]
    flipped = kind == "MobileViT" and value.get("do_flip_channel_order", True)
    channels = "bgr" if flipped else "rgb"
    return {"channels": channels, "scale": factor, "mean": mean, "std": std}
