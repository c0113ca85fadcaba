"""Pipelines that many models share, by name; each gives the pixels of its original."""

from __future__ import annotations

import math
from collections.abc import Callable

from scene_batch.model.geometry import Size
from scene_batch.model.preprocess import Preprocess
from scene_batch_export.adopted.pipeline import Pipeline, Triple

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
HALF: Triple = (0.5, 0.5, 0.5)
CLIP_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Triple = (0.26862954, 0.26130258, 0.27577711)
CAFFE_MEAN: Triple = (103.939, 116.779, 123.68)
"""Of ImageNet, in the order BGR, as Keras' mode ``caffe`` and Caffe's models have it."""
_SHARE = 0.875
"""Of the resized photo that is seen: 224 of 256, as ImageNet is evaluated by most."""


def _imagenet(size: Size) -> Pipeline:
    """The ImageClassification of torchvision, as most of its weights have it."""
    width, height = size
    edges = (int(height / _SHARE), int(width / _SHARE))
    preprocess = _plain(size, "bilinear", "shorter", resize=edges)
    return Pipeline(preprocess, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _timm(size: Size) -> Pipeline:
    """The defaults of timm: ``crop_pct`` 0.875, ``crop_mode`` center, bicubic."""
    width, height = size
    edges = (math.floor(height / _SHARE), math.floor(width / _SHARE))
    rounding = "down" if height == width else "nearest"
    preprocess = _plain(size, "bicubic", "shorter", resize=edges, rounding=rounding)
    return Pipeline(preprocess, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _hugging_face(size: Size) -> Pipeline:
    """ViTImageProcessor with its defaults, behind ``load_image``, which turns photos."""
    preprocess = _plain(size, "bilinear", "stretch", orientation="exif-first")
    return Pipeline(preprocess, mean=HALF, std=HALF)


def _ultralytics(size: Size) -> Pipeline:
    """``classify_transforms`` behind OpenCV's reading, which turns photos."""
    square = size[0] == size[1]
    fit = "shorter" if square else "stretch"
    return Pipeline(_plain(size, "bilinear", fit, orientation="exif-first"))


def _custom_vision(size: Size) -> Pipeline:
    """The sample code that comes with an export: Pillow's own resize, BGR from 0 to 255."""
    return Pipeline(_plain(size, "bicubic", "stretch"), channels="bgr", scale=1.0)


def _keras(size: Size) -> Pipeline:
    """``load_img(target_size=...)``, and the mode ``tf`` of ``preprocess_input``: -1 to 1."""
    return Pipeline(_plain(size, "nearest", "stretch"), scale=1 / 127.5, mean=(1.0, 1.0, 1.0))


def _keras_torch(size: Size) -> Pipeline:
    """The same with the mode ``torch``."""
    return Pipeline(_plain(size, "nearest", "stretch"), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _keras_caffe(size: Size) -> Pipeline:
    """The same with the mode ``caffe``."""
    preprocess = _plain(size, "nearest", "stretch")
    return Pipeline(preprocess, channels="bgr", scale=1.0, mean=CAFFE_MEAN)


def _keras_raw(size: Size) -> Pipeline:
    """The same for networks that scale within themselves: 0 to 255."""
    return Pipeline(_plain(size, "nearest", "stretch"), scale=1.0)


PRESETS: dict[str, Callable[[Size], Pipeline]] = {
    "imagenet": _imagenet,
    "timm": _timm,
    "huggingface": _hugging_face,
    "ultralytics": _ultralytics,
    "custom-vision": _custom_vision,
    "keras": _keras,
    "keras-torch": _keras_torch,
    "keras-caffe": _keras_caffe,
    "keras-raw": _keras_raw,
}
"""Each takes the size of the network's input, (width, height)."""


def _plain(size: Size, filter_: str, fit: str, **more: object) -> Preprocess:
    """What ``convert("RGB")`` and Pillow's resize give, of the photo as it lies in the file."""
    width, height = size
    values = {"orientation": "stored", "alpha": "dropped"} | more
    return Preprocess(height, width, filter_, fit, **values)  # type: ignore[arg-type]
