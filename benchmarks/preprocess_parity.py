"""Our pixels beside their originals': ``python benchmarks/preprocess_parity.py``.

Needs an environment of its own, with numpy, pillow, click, tqdm, pyarrow, obstore, torch,
torchvision, timm, transformers and keras (which computes by torch here). The runner need not be
installed there: ``PYTHONPATH=runner:export:tests``.

Each original prepares the same made-up photos as we do from its description. Prints how many photos
are equal in every byte, how far the network's numbers are apart, and what transformers' torchvision
backend makes of them. ``--write`` puts the originals' pixels, as hashes, into
``tests/export/expected_pixels.json``, which a test holds ours against without those libraries.

Gray photos of 16 bits or of floats are not compared: Pillow's ``convert("RGB")`` cuts off what is
above 255, which leaves a white photo or a black one, where ours scales them (``to_rgb``).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import numpy.typing as npt
import transformers
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torchvision import transforms as tv
from torchvision.transforms._presets import ImageClassification
from transformers.image_utils import load_image

from made_up_photos import FLAT, made_up_photos
from pixel_parity import (
    EXPECTED,
    SHORT,
    digest,
    digest_of_all,
    pillows_own,
    pipeline_from,
    pixels_of,
)
from scene_batch_export.adopted.pipeline import Pipeline

VERSIONS = ("pillow", "torchvision", "timm", "transformers", "keras")
CLOSE = 1e-6
"""Of the range of the network's numbers."""

Numbers = npt.NDArray[np.float32]
Original = Callable[[bytes], tuple[npt.NDArray[np.uint8], Numbers]]
"""From a photo's file to pixels and to the network's numbers, both (height, width, 3)."""


@dataclass(frozen=True, slots=True)
class Case:
    """A pipeline, as its makers run it and as we are told of it."""

    family: str
    name: str
    description: dict[str, Any]
    """As ``pixel_parity.pipeline_from`` takes it."""
    original: Original


@dataclass(slots=True)
class Result:
    """What a case gave."""

    case: Case
    digests: list[str] = field(default_factory=list)
    """Of the original's pixels, for each photo."""
    unequal: dict[str, str] = field(default_factory=dict)
    """By photo: how far ours are from them."""
    apart: float = 0.0
    """The largest difference of the network's numbers, as a part of their range."""
    colour: list[float] = field(default_factory=list)
    """The network's numbers in the middle of the photo of one colour."""


def torchvision_cases() -> Iterator[Case]:
    """``ImageClassification``, and what people compose of ``Resize`` and ``CenterCrop``."""
    for crop, resize in ((224, 256), (224, 232), (299, 342), (225, 257), (161, 161)):
        values = {"resize": [resize, resize], "filter": "bilinear"}
        if crop == resize:
            values["filter"] = "bicubic"  # as Swin's and ViT's weights have it
        preset = ImageClassification(
            crop_size=crop,
            resize_size=resize,
            interpolation=tv.InterpolationMode(values["filter"]),
        )
        composed = tv.Compose(
            [tv.Resize(resize, tv.InterpolationMode(values["filter"])), tv.CenterCrop(crop)]
        )
        yield Case(
            "torchvision, ImageClassification",
            f"{crop} of {resize}",
            _preset("imagenet", (crop, crop), values),
            _by_tensors(composed, preset),
        )
    for method in ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"):
        yield _composed(256, (224, 224), {"filter": method, "resize": [256, 256]})
    yield _composed(255, (224, 224), {"resize": [255, 255]})
    yield _composed(255, (320, 201), {"resize": [255, 255]})
    yield _composed(200, (225, 225), {"resize": [200, 200]})
    yield _composed(180, (256, 171), {"resize": [180, 180]})
    yield _composed((257, 300), (224, 225), {"fit": "stretch", "resize": [257, 300]})
    yield _composed((223, 320), (320, 223), {"fit": "stretch"})


def _composed(resize: int | tuple[int, int], size: tuple[int, int], values: dict[str, Any]) -> Case:
    width, height = size
    method = tv.InterpolationMode(values.setdefault("filter", "bilinear"))
    values.setdefault("resize", None)
    pixels = [tv.Resize(resize, method), tv.CenterCrop((height, width))]
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    numbers = [*pixels, tv.ToTensor(), tv.Normalize(mean, std)]
    return Case(
        "torchvision, Resize and CenterCrop",
        f"{width}x{height} of {resize}, {values['filter']}",
        _preset("imagenet", size, values),
        _by_tensors(tv.Compose(pixels), tv.Compose(numbers)),
    )


def timm_cases() -> Iterator[Case]:
    """``create_transform`` of many a ``pretrained_cfg``."""
    squares = [(224, pct, "bicubic") for pct in (0.875, 0.9, 0.95, 0.965, 1.0)]
    squares += [(256, 0.95, "bilinear"), (299, 0.875, "bicubic"), (225, 0.9, "lanczos")]
    squares += [(240, 0.93, "hamming"), (136, 1.0, "nearest"), (160, 0.95, "box")]
    for mode in ("center", "squash", "border"):
        for size, pct, method in squares if mode == "center" else squares[:1] + squares[2:7]:
            yield _timm((3, size, size), pct, method, mode)
        for shape in ((3, 224, 320), (3, 257, 129)):
            yield _timm(shape, 0.875, "bicubic", mode)
        yield _timm((3, 192, 256), 1.0, "bilinear", mode)
    for size in ((224, 224), (299, 299), (320, 225)):
        yield _timm_preset(size)
    cfg = {"input_size": [3, 224, 224], "interpolation": ""}
    yield _timm_of("what it leaves out", cfg)
    cfg = {"input_size": [3, 224, 224], "crop_pct": 1.1, "crop_mode": "border", **_HALF_CFG}
    yield _timm_of("less than is padded", cfg)


_TIMM = "timm, create_transform"
_HALF_CFG = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}


def _timm(shape: tuple[int, int, int], pct: float, method: str, mode: str) -> Case:
    cfg = {
        "input_size": list(shape),
        "interpolation": method,
        "crop_pct": pct,
        "crop_mode": mode,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    return _timm_of(f"{mode}, {shape[2]}x{shape[1]}, {pct}, {method}", cfg)


def _timm_preset(size: tuple[int, int]) -> Case:
    width, height = size
    config = {"input_size": (3, height, width), "interpolation": "bicubic"}
    pixels, numbers = (create_transform(**config, normalize=each) for each in (False, True))
    name = f"preset, {width}x{height}"
    return Case(_TIMM, name, _preset("timm", size, {}), _by_tensors(pixels, numbers))


def _timm_of(name: str, cfg: dict[str, Any]) -> Case:
    config = resolve_data_config(pretrained_cfg=cfg)
    return Case(
        _TIMM,
        name,
        {"pretrained_cfg": cfg},
        _by_tensors(create_transform(**config, normalize=False), create_transform(**config)),
    )


def transformers_cases() -> Iterator[Case]:
    """Image processors with what their classes take, and with what published files say."""
    for kind in _PROCESSORS:
        yield _processor("defaults", {"image_processor_type": f"{kind}ImageProcessor"})
    for size in ((224, 224), (250, 301)):
        value = {"size": {"height": size[1], "width": size[0]}}
        preset, original = _preset("huggingface", size, {}), _by_processor("ViT", value, "pil")
        yield Case("transformers, ViT", f"preset, {size[0]}x{size[1]}", preset, original)
    for kind, value in _FILES:
        name = ", ".join(f"{key} {each}" for key, each in value.items())
        yield _processor(name, {"image_processor_type": f"{kind}ImageProcessor", **value})


_PROCESSORS = {
    "ViT": "vit",
    "DeiT": "deit",
    "Beit": "beit",
    "CLIP": "clip",
    "Bit": "bit",
    "MobileNetV1": "mobilenet_v1",
    "MobileNetV2": "mobilenet_v2",
    "ConvNext": "convnext",
    "Levit": "levit",
    "PoolFormer": "poolformer",
    "MobileViT": "mobilevit",
    "EfficientNet": "efficientnet",
    "Siglip": "siglip",
}
_FILES: list[tuple[str, dict[str, Any]]] = [
    ("ViT", {"size": 224, "resample": 3}),
    ("ViT", {"size": {"height": 225, "width": 320}, "resample": 1}),
    ("ViT", {"size": 224, "do_rescale": False}),
    ("ViT", {"size": 224, "do_normalize": False}),
    ("ViT", {"size": 256, "do_center_crop": True, "crop_size": 225}),
    ("DeiT", {"size": 256, "crop_size": 224, "image_mean": [0.485, 0.456, 0.406]}),
    ("DeiT", {"size": 257, "crop_size": {"height": 224, "width": 200}, "resample": 5}),
    ("Beit", {"size": 256, "do_center_crop": True, "crop_size": 224, "resample": 2}),
    ("CLIP", {"size": 136, "crop_size": 136}),
    ("CLIP", {"size": {"shortest_edge": 255}, "crop_size": {"height": 224, "width": 224}}),
    ("Bit", {"size": {"shortest_edge": 148}, "crop_size": 148, "resample": 2}),
    ("MobileNetV1", {"size": 256, "crop_size": 225}),
    ("MobileNetV2", {"size": {"shortest_edge": 115}, "crop_size": 96}),
    ("ConvNext", {"size": 224, "crop_pct": 0.875, "resample": 3}),
    ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.95, "resample": 2}),
    ("ConvNext", {"size": {"shortest_edge": 320}}),
    ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 1.0, "resample": 2}),
    ("Levit", {"size": 192, "crop_size": 192}),
    ("Levit", {"size": {"height": 240, "width": 250}, "crop_size": 224}),
    ("PoolFormer", {"size": 224, "crop_pct": 0.95}),
    ("PoolFormer", {"size": {"height": 224, "width": 224}, "crop_pct": 0.9}),
    ("PoolFormer", {"size": {"height": 224, "width": 200}, "crop_pct": 0.9}),
    ("MobileViT", {"size": {"shortest_edge": 288}, "crop_size": 256, "resample": 2}),
    ("MobileViT", {"size": 288, "do_flip_channel_order": False, "do_normalize": True}),
    ("EfficientNet", {"size": 224, "resample": 0, "include_top": False}),
    ("EfficientNet", {"size": 224, "rescale_factor": 1 / 127.5, "rescale_offset": True}),
    ("EfficientNet", {"size": 240, "do_normalize": False, "rescale_offset": True}),
    ("EfficientNet", {"size": 346, "do_center_crop": True}),
    ("EfficientNet", {"size": 224, "do_rescale": False, "rescale_offset": True}),
    ("Siglip", {"size": {"height": 184, "width": 184}, "resample": 2}),
]
_AS_PIXELS = {"do_rescale": False, "do_normalize": False}
_AS_PIXELS_ALSO = {
    "MobileViT": {"do_flip_channel_order": False},
    "EfficientNet": {"include_top": False},
}


def _processor(name: str, value: dict[str, Any]) -> Case:
    kind = value["image_processor_type"].removesuffix("ImageProcessor")
    return Case(
        f"transformers, {kind}",
        name,
        {"image_processor": value},
        _by_processor(kind, value, "pil"),
    )


def _by_processor(kind: str, value: dict[str, Any], backend: str) -> Original:
    module, suffix = _PROCESSORS[kind], "Pil" if backend == "pil" else ""
    infix = "pil_" if backend == "pil" else ""
    where = f"transformers.models.{module}.image_processing_{infix}{module}"
    processors = getattr(importlib.import_module(where), f"{kind}ImageProcessor{suffix}")
    words = {key: each for key, each in value.items() if key != "image_processor_type"}
    processor = processors.from_dict(words)
    also = _AS_PIXELS_ALSO.get(kind, {})

    def original(photo: bytes) -> tuple[npt.NDArray[np.uint8], Numbers]:
        image = load_image(Image.open(io.BytesIO(photo)))
        pixels = processor(image, **_AS_PIXELS, **also)["pixel_values"][0]
        numbers = processor(image)["pixel_values"][0]
        return _last(pixels).astype(np.uint8), _last(numbers)

    return original


def keras_cases() -> Iterator[Case]:
    """``load_img(target_size=...)`` and the modes of ``preprocess_input``."""
    modes = {"keras": "tf", "keras-torch": "torch", "keras-caffe": "caffe", "keras-raw": None}
    for preset, mode in modes.items():
        yield _keras(preset, mode, (224, 224), {})
    for size in ((299, 299), (150, 301)):
        yield _keras("keras", "tf", size, {})
    for method in ("bilinear", "bicubic", "lanczos", "box", "hamming"):
        yield _keras("keras", "tf", (224, 224), {"filter": method})


def _keras(preset: str, mode: str | None, size: tuple[int, int], values: dict[str, Any]) -> Case:
    width, height = size
    method = values.get("filter", "nearest")

    def original(photo: bytes) -> tuple[npt.NDArray[np.uint8], Numbers]:
        image = keras.utils.load_img(
            io.BytesIO(photo), target_size=(height, width), interpolation=method
        )
        numbers = keras.utils.img_to_array(image, data_format="channels_last")
        if mode:
            numbers = keras.applications.imagenet_utils.preprocess_input(
                numbers, data_format="channels_last", mode=mode
            )
        return np.asarray(image), numbers

    name = f"{mode}, {width}x{height}, {method}"
    return Case("Keras, load_img", name, _preset(preset, size, values), original)


def other_cases() -> Iterator[Case]:
    """Sample code that has no library: Custom Vision's, and how Ultralytics calls torchvision."""
    for size in ((224, 224), (227, 300)):

        def custom(
            photo: bytes, size: tuple[int, int] = size
        ) -> tuple[npt.NDArray[np.uint8], Numbers]:
            image = Image.open(io.BytesIO(photo)).convert("RGB").resize(size)
            return np.asarray(image), np.asarray(image, np.float32)[..., ::-1]

        name = f"{size[0]}x{size[1]}"
        yield Case("Custom Vision, sample code", name, _preset("custom-vision", size, {}), custom)
    for width, height in ((224, 224), (225, 225), (320, 192)):
        edge = height if width == height else (height, width)
        pixels = [tv.Resize(edge, tv.InterpolationMode.BILINEAR), tv.CenterCrop((height, width))]
        yield Case(
            "Ultralytics, classify_transforms",
            f"{width}x{height}",
            _preset("ultralytics", (width, height), {}),
            _by_tensors(tv.Compose(pixels), tv.Compose([*pixels, tv.ToTensor()]), upright=True),
        )


def _preset(name: str, size: tuple[int, int], values: dict[str, Any]) -> dict[str, Any]:
    return {"preset": name, "size": list(size), "values": values}


def _by_tensors(
    pixels: Callable[[Any], Any], numbers: Callable[[Any], Any], *, upright: bool = False
) -> Original:
    """Of two transforms of an opened photo in RGB, which is how torchvision's datasets load it."""

    def original(photo: bytes) -> tuple[npt.NDArray[np.uint8], Numbers]:
        opened = Image.open(io.BytesIO(photo))
        image = load_image(opened) if upright else opened.convert("RGB")
        shown = pixels(image)
        seen = np.asarray(shown) if isinstance(shown, Image.Image) else _last(shown)
        return seen, _last(numbers(image))

    return original


def _last(values: Any) -> npt.NDArray[Any]:
    """Channels last."""
    return np.moveaxis(np.asarray(values), 0, -1)


def compare(case: Case, photos: dict[str, bytes]) -> Result:
    """Prepare all photos both ways."""
    pipeline = pipeline_from(case.description)
    result = Result(case)
    for name, photo in photos.items():
        theirs, numbers = case.original(photo)
        ours = pixels_of(pipeline, photo)
        result.digests.append(digest(theirs))
        if ours.shape != theirs.shape:
            result.unequal[name] = f"{ours.shape} for {theirs.shape}"
            continue
        if digest(ours) != result.digests[-1]:
            far = np.abs(ours.astype(int) - theirs)
            result.unequal[name] = f"mean {far.mean():.3f}, at most {far.max()}"
        result.apart = max(result.apart, _apart(pipeline, theirs, numbers))
        if name == FLAT:
            height, width, _ = theirs.shape
            result.colour = [float(f"{each:.7g}") for each in numbers[height // 2, width // 2]]
    return result


def _apart(pipeline: Pipeline, pixels: npt.NDArray[np.uint8], numbers: Numbers) -> float:
    """How far our numbers are from theirs, of the same pixels, as a part of their range."""
    ours = pipeline.numbers([pixels])[0]
    ends = pipeline.numbers([np.full((1, 1, 3), end, np.uint8) for end in (0, 255)])
    return float(np.abs(ours - numbers).max() / (ends.max() - ends.min()))


def table(results: list[Result]) -> str:
    """Each family as a row of a Markdown table."""
    lines = ["| original | pipelines | photos equal in every byte | numbers apart |"]
    lines += ["| --- | --- | --- | --- |"]
    for family in dict.fromkeys(result.case.family for result in results):
        those = [result for result in results if result.case.family == family]
        count = sum(len(result.digests) for result in those)
        equal = count - sum(len(result.unequal) for result in those)
        apart = max(result.apart for result in those)
        lines.append(f"| {family} | {len(those)} | {equal} of {count} | {apart:.1e} |")
    return "\n".join(lines)


def backends(photos: dict[str, bytes]) -> str:
    """How far transformers' torchvision backend is from its Pillow one, for each class."""
    lines = ["| image processor | pixels that differ | by, at most | by, on average |"]
    lines += ["| --- | --- | --- | --- |"]
    for kind in _PROCESSORS:
        differ, far, total, count = 0, 0, 0, 0
        pillow, other = (_by_processor(kind, {}, backend) for backend in ("pil", "torchvision"))
        for photo in photos.values():
            away = np.abs(pillow(photo)[0].astype(int) - other(photo)[0])
            differ, far = differ + int((away > 0).sum()), max(far, int(away.max()))
            total, count = total + int(away.sum()), count + away.size
        lines.append(f"| {kind} | {differ / count:.2%} | {far} | {total / count:.4f} |")
    return "\n".join(lines)


def write(results: list[Result], photos: dict[str, bytes]) -> None:
    """Put the originals' hashes where the test finds them."""
    head = {
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "pillows_own": pillows_own(photos),
        "photos": list(photos),
    }
    cases = [
        {
            "original": result.case.family,
            "name": result.case.name,
            "description": result.case.description,
            "colour": result.colour,
            "all": digest_of_all(result.digests),
            "each": " ".join(each[:SHORT] for each in result.digests),
        }
        for result in results
    ]
    lines = [json.dumps(head)[:-1] + ', "cases": [']
    lines.append(",\n".join(json.dumps(case) for case in cases))
    EXPECTED.write_text("\n".join(lines) + "\n]}\n")


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description="Our pixels beside those of their originals.")
    parser.add_argument("--write", action="store_true", help=f"write {EXPECTED.name}")
    parser.add_argument("--only", default="", help="originals whose name holds this word")
    parser.add_argument("--backends", action="store_true", help="transformers' two backends, too")
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    photos = made_up_photos()
    cases = [*torchvision_cases(), *timm_cases(), *transformers_cases()]
    cases += [*keras_cases(), *other_cases()]
    results = [compare(case, photos) for case in cases if options.only in case.family]
    for result in results:
        for name, far in result.unequal.items():
            print(f"{result.case.family}, {result.case.name}, {name}: {far}", file=sys.stderr)
        if result.apart > CLOSE:
            print(f"{result.case.family}, {result.case.name}: {result.apart}", file=sys.stderr)
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS))
    print(f"\n{table(results)}")
    if options.backends:
        print(f"\n{backends(photos)}")
    if options.write:
        write(results, photos)


if __name__ == "__main__":
    main()
