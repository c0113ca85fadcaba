"""What a foreign file's own metadata say of it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scene_batch.errors import UsageError
from scene_batch.model.geometry import Size
from scene_batch_export.adopted import labels
from scene_batch_export.adopted.known import Known, followed
from scene_batch_export.adopted.pipeline import Pipeline
from scene_batch_export.adopted.presets import PRESETS


def look(metadata: Mapping[str, str], known: Known) -> None:
    """Put what the metadata of Ultralytics, Custom Vision or Paddle say.

    Raises:
        UsageError: They say that it is no classifier.
    """
    if "task" in metadata and "names" in metadata:
        with followed("its metadata"):
            _ultralytics(metadata, known)
    if any(key.startswith("Image.") for key in metadata):
        _custom_vision(metadata, known)
    if "character" in metadata:
        with followed(_of("character")):
            known.put_labels(*labels.of_lines(metadata["character"].split("\n")), _of("character"))
    for key in ("license", "author", "description", "version"):
        known.put(key, metadata.get(key), _of(key))


def _of(key: str) -> str:
    return f"the file's metadata ({key})"


def _ultralytics(metadata: Mapping[str, str], known: Known) -> None:
    """Python literals: ``names``, ``imgsz`` as [height, width], ``task``."""
    if metadata["task"] != "classify":
        raise UsageError(
            f"its metadata say that its task is {metadata['task']!r}: only classifiers can be"
            " adopted"
        )
    names = _literal(metadata, "names")
    known.put("classes", labels.of_json(names, "names"), _of("names"))
    size = _literal(metadata, "imgsz")
    if isinstance(size, list | tuple) and len(size) == 2:  # noqa: PLR2004 - height and width
        known.put("size", (int(size[1]), int(size[0])), _of("imgsz"))
    known.put("pipeline", PRESETS["ultralytics"], "Ultralytics' rule for classifiers")


def _literal(metadata: Mapping[str, str], key: str) -> Any:  # noqa: ANN401 - any literal
    try:
        return ast.literal_eval(metadata.get(key, "None"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise UsageError(f"its metadata's {key} is no Python literal") from None


def _custom_vision(metadata: Mapping[str, str], known: Known) -> None:
    channels = "bgr" if metadata.get("Image.BitmapPixelFormat") == "Bgr8" else "rgb"
    full = metadata.get("Image.NominalPixelRange", "") == "NominalRange_0_255"

    def pipeline(size: Size) -> Pipeline:
        usual = PRESETS["custom-vision"](size)
        return replace(usual, channels=channels, scale=1.0 if full else 1 / 255)  # type: ignore[arg-type]

    known.put("pipeline", pipeline, "the file's metadata (Image.*), and Custom Vision's rule")
