"""All that must be known of a foreign model, gathered from options, files, metadata and graph."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from scene_batch.errors import UsageError
from scene_batch_export.adopted import beside, embedded, image_processor, labels, pretrained_cfg
from scene_batch_export.adopted.known import Known, followed
from scene_batch_export.adopted.original import without_zip_map
from scene_batch_export.adopted.pipeline import SCALING, Pipeline, triple, with_values
from scene_batch_export.adopted.presets import PRESETS
from scene_batch_export.adopted.signature import Signature, signature_of


@dataclass(frozen=True, slots=True)
class Given:
    """What the user says of the model; None where nothing."""

    classes: Path | None = None
    preprocess: str | None = None
    """A preset's name, JSON, or a file with JSON."""
    size: str | None = None
    """``224`` or ``WIDTHxHEIGHT``."""
    input: str | None = None
    output: str | None = None
    layout: str | None = None
    channels: str | None = None
    mean: str | None = None
    std: str | None = None
    scale: str | None = None
    """A number, or a fraction such as ``1/255``."""
    activation: str | None = None
    places: tuple[Path, ...] = ()
    """Files and folders that say more; the model's own folder is looked at without being named."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found."""

    classes: tuple[str, ...] | None
    """As they were found; None where the graph must tell how many, and nothing names them."""
    pipeline: Pipeline
    signature: Signature


def find(model: onnx.ModelProto, path: Path, given: Given, known: Known) -> Found:
    """Gather, in the order options, files, metadata, graph.

    Raises:
        UsageError: Something cannot be told, with the option that says it; or options contradict.
        ModelError: It is no classifier of photos.
        SourceNotFoundError: A file that is named is not there.
    """
    _put_options(given, known)
    beside.look(given.places, known)
    named = {place.resolve() for place in given.places}
    if path.parent.resolve() not in named:
        beside.look([path.parent], known)
    embedded.look({each.key: each.value for each in model.metadata_props}, known)
    known.put("classes", without_zip_map(model), "the graph's ZipMap")
    signature = signature_of(model, known)
    if signature.size is not None:
        known.put("size", signature.size, f"the input's shape {list(signature.input.shape)}")
    pipeline = _pipeline(signature, known)
    if known.get("classes") is None:
        raise UsageError(f"its class names are not known: say --classes FILE{_doubts(known)}")
    return Found(known.get("classes"), pipeline, signature)


def _put_options(given: Given, known: Known) -> None:
    if given.classes is not None:
        known.put_labels(*labels.read_labels(given.classes), f"--classes {given.classes}")
    for name in ("input", "output", "layout", "channels", "activation"):
        known.put(name, getattr(given, name), f"--{name}")
    for name in ("mean", "std"):
        text = getattr(given, name)
        if text is not None:
            known.put(name, triple(text.split(","), f"--{name}"), f"--{name}")
    if given.scale is not None:
        known.put("scale", _fraction(given.scale), "--scale")
    if given.size is not None:
        known.put("size", _size(given.size), "--size")
    if given.preprocess is not None:
        _put_preprocess(given.preprocess, known)


def _put_preprocess(text: str, known: Known) -> None:
    """A preset's name, JSON, or a file with JSON: that of an image processor or of timm, too."""
    source = f"--preprocess {text if len(text) < 40 else text[:40] + '…'}"  # noqa: PLR2004
    if text in PRESETS:
        known.put("pipeline", PRESETS[text], source)
        return
    if text.lstrip().startswith("{"):
        with followed("--preprocess"):
            value = json.loads(text)
    elif os.path.isfile(text):  # noqa: PTH113 - unlike pathlib, no text is too long for it
        value = beside.read_json(Path(text))
    else:
        raise UsageError(f"{source} is no preset ({', '.join(PRESETS)}), no JSON and no file")
    if image_processor.is_image_processor(value):
        beside.put_pipeline(known, partial(image_processor.pipeline_of, value), source)
    elif pretrained_cfg.is_pretrained_cfg(value):
        beside.put_pipeline(known, partial(pretrained_cfg.pipeline_of, value), source)
    else:
        _put_values(dict(value), source, known)


def _put_values(values: dict[str, Any], source: str, known: Known) -> None:
    name = values.pop("preset", None)
    if name is not None and str(name) not in PRESETS:
        raise UsageError(f"{source}: {name!r} is no preset; there are {', '.join(PRESETS)}")
    if name is not None:
        known.put("pipeline", PRESETS[str(name)], source)
    if {"height", "width"} <= values.keys():
        known.put("size", (values.pop("width"), values.pop("height")), source)
    if isinstance(values.get("scale"), str):
        values["scale"] = _fraction(values["scale"])
    known.put("preprocess", values or None, source)


def _pipeline(signature: Signature, known: Known) -> Pipeline:
    make = known.get("pipeline")
    if make is None:
        raise UsageError(
            "how photos become its input is not known: say --preprocess (a preset:"
            f" {', '.join(PRESETS)}; or JSON, or a file), or name its files by --from"
            f"{_doubts(known)}"
        )
    size = known.get("size")
    if size is None:
        raise UsageError(
            f"the size of its input {signature.input} is not known: say --size, such as 224"
        )
    with followed(known.sources["size"]):
        pipeline: Pipeline = make(size)
    values = dict(known.get("preprocess") or {})
    values |= {name: known.get(name) for name in SCALING if known.get(name) is not None}
    if signature.input.type == TensorProto.UINT8:
        if given := [name for name in ("mean", "std", "scale") if name in values]:
            raise UsageError(
                f"its input is uint8, so it scales by itself: leave out {', '.join(given)}"
            )
        pipeline = replace(pipeline, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        known.put("scale", 1.0, "its input is uint8: it scales by itself")
    pipeline = with_values(pipeline, values)
    _check_size(signature, pipeline, known)
    return pipeline


def _check_size(signature: Signature, pipeline: Pipeline, known: Known) -> None:
    """Refuse pixels of another size than the graph takes."""
    size = pipeline.preprocess.size
    if size != known.get("size"):
        raise UsageError(
            f"{known.sources['size']} says {known.get('size')[0]}x{known.get('size')[1]}, and"
            f" {known.sources['pipeline']} says {size[0]}x{size[1]}: leave one of them out"
        )
    if signature.size is not None and size != signature.size:
        source = known.sources.get("size", known.sources["pipeline"])
        raise UsageError(
            f"its input is {signature.size[0]}x{signature.size[1]} pixels, and {source} says"
            f" {size[0]}x{size[1]}"
        )


def _fraction(text: str) -> float:
    found = re.fullmatch(r"\s*([\d.eE+-]+)\s*(?:/\s*([\d.eE+-]+)\s*)?", text)
    try:
        return float(found[1]) / float(found[2] or 1) if found else float(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"--scale {text!r}: give a number, or a fraction such as 1/255") from None


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if not found:
        raise UsageError(f"--size {text!r}: give one number, or WIDTHxHEIGHT")
    return int(found[1]), int(found[2] or found[1])


def _doubts(known: Known) -> str:
    return f" ({'; '.join(known.doubts)})" if known.doubts else ""


def in_words(found: Found, known: Known) -> list[str]:
    """What was found and where, a line for each thing."""
    from scene_batch.model.page import preprocess_in_words

    signature, sources = found.signature, known.sources
    words = preprocess_in_words(found.pipeline.preprocess)
    lines: list[tuple[str, object, str]] = [
        ("input", signature.input, sources.get("input", "the only one")),
        ("layout", signature.layout.upper(), sources["layout"]),
        ("size", "{}x{}".format(*found.pipeline.preprocess.size), sources["size"]),
        ("pixels", f"{words['input']}; {words['resampling']}", sources["pipeline"]),
        ("transparency", words["transparency"], sources["pipeline"]),
        ("orientation", words["orientation"], sources["pipeline"]),
        ("scaling", found.pipeline.in_words(), _scaling_source(known)),
        ("output", signature.output, sources.get("output", "the only one")),
        ("classes", len(found.classes or ()), known.source_of_classes()),
    ]
    if known.get("license"):
        lines.append(("licence", known.get("license"), sources["license"]))
    return [f"{name}: {value} ({source})" for name, value, source in lines]


def _scaling_source(known: Known) -> str:
    names = [known.sources[name] for name in SCALING if name in known.sources]
    return ", ".join(dict.fromkeys([known.sources["pipeline"], *names]))
