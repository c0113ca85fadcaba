"""What files beside a model, or in the folder that it came from, say of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scene_batch.errors import SourceNotFoundError, UsageError
from scene_batch_export.adopted import image_processor, labels, pretrained_cfg
from scene_batch_export.adopted.known import Known
from scene_batch_export.adopted.pipeline import Pipeline

_LABELS = tuple(
    f"{name}.{ending}"
    for name in ("labels", "classes", "class_names", "class_indices")
    for ending in ("txt", "json")
)
_MOST_README = 1 << 16


def look(places: Sequence[Path], known: Known) -> None:
    """Put what the files of some folders, or these files, say.

    Raises:
        SourceNotFoundError: One of the places is not there.
    """
    for place in places:
        if not place.exists():
            raise SourceNotFoundError(f"no such file or folder: {str(place)!r}; check --from")
        files = [place] if place.is_file() else [place / name for name in (*_JSON, *_LABELS)]
        for file in files:
            if file.is_file():
                known.try_to(partial(_read, file, known))
        if place.is_dir():
            _license(place / "README.md", known)


def _read(file: Path, known: Known) -> None:
    source = str(file)
    value = _json(file) if file.suffix.lower() == ".json" else None
    if file.name in _LABELS or not isinstance(value, Mapping):
        known.put_labels(*labels.read_labels(file), source)
        return
    if image_processor.is_image_processor(value):
        put_pipeline(known, partial(image_processor.pipeline_of, value), source)
    elif pretrained_cfg.is_pretrained_cfg(value):
        put_pipeline(known, partial(pretrained_cfg.pipeline_of, value), source)
        known.put("license", value.get("pretrained_cfg", value).get("license"), source)
        if isinstance(value.get("label_names"), list):
            found = labels.of_json(value["label_names"], source)
            known.put("classes", found, f"{source} (label_names)")
    elif file.name not in _JSON and "id2label" not in value:
        known.put("classes", labels.of_json(value, source), source)
    if value.get("problem_type") == "multi_label_classification":
        known.put("activation", "sigmoid", f"{source} (problem_type)")
    names = value.get("id2label")
    if isinstance(names, Mapping) and not _is_placeholder(names):
        known.put("classes", labels.of_json(names, source), f"{source} (id2label)")


_JSON = ("preprocessor_config.json", "config.json")


def put_pipeline(known: Known, make: Callable[[], Pipeline], source: str) -> None:
    """Put a pipeline that says its own size."""
    pipeline = make()
    known.put("pipeline", lambda _: pipeline, source)
    known.put("size", pipeline.preprocess.size, source)


def read_json(file: Path) -> Mapping[str, Any]:
    """A JSON object of a file; UsageError where it holds none."""
    value = _json(file)
    if not isinstance(value, dict):
        raise UsageError(f"{str(file)!r} holds no JSON object")
    return value


def _json(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{str(file)!r} cannot be read: {error}") from None


def _is_placeholder(names: Mapping[str, Any]) -> bool:
    """Whether these are the names that transformers makes up where it knows none."""
    return all(name == f"LABEL_{index}" for index, name in names.items())


def _license(page: Path, known: Known) -> None:
    """Put the licence that the head of a model's page names."""
    try:
        head = page.read_text(encoding="utf-8")[:_MOST_README]
    except (OSError, ValueError):
        return
    if not head.startswith("---"):
        return
    for line in head[3:].partition("\n---")[0].splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "license" and value.strip():
            known.put("license", value.strip(), str(page))
