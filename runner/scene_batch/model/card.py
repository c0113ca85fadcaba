"""The model file: one ONNX file that carries what it needs to be used and checked.

Its card travels in the file's ``metadata_props``, one JSON value for each key.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scene_batch.errors import ModelError
from scene_batch.model.preprocess import Preprocess

Precision = Literal["fp32", "fp16", "int8"]

FORMAT = 2
"""The newest version of the metadata's layout that is read; 2 is written where preprocessing needs
it, else 1."""

PROBABILITY_TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 1e-3, "int8": 1e-3}
"""Largest difference from a golden probability that is allowed on another device."""

_PREFIX = "scene_batch."
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class GoldenVector:
    """One photo, and what the model made of it when it was exported."""

    image: bytes
    """A small encoded photo."""
    pixels_sha256: str
    """Of its preprocessed pixels: if equal, a difference comes from the runtime."""
    trained: tuple[float, ...]
    """Keras' probabilities, in class index order."""
    exported: tuple[float, ...]
    """This file's own probabilities, computed where it was exported, by the provider ``cpu``."""
    by_provider: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Its probabilities by another provider, where that has computed them."""

    def to_json(self) -> dict[str, Any]:
        """The JSON object that ``from_json`` reads."""
        return {
            "image": base64.b64encode(self.image).decode("ascii"),
            "pixels_sha256": self.pixels_sha256,
            "trained": list(self.trained),
            "exported": list(self.exported),
            **({"by_provider": dict(self.by_provider)} if self.by_provider else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> GoldenVector:
        """Read what ``to_json`` gave."""
        return cls(
            image=base64.b64decode(value["image"], validate=True),
            pixels_sha256=value["pixels_sha256"],
            trained=tuple(value["trained"]),
            exported=tuple(value["exported"]),
            by_provider={
                provider: tuple(answer) for provider, answer in value.get("by_provider", {}).items()
            },
        )


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model file says of itself."""

    classes: tuple[str, ...]
    """The class names in index order."""
    preprocess: Preprocess
    name: str
    version: str
    created: str
    """UTC, ISO 8601."""
    precision: Precision
    training: Mapping[str, Any] = field(default_factory=dict)
    """Config, data fingerprint, epochs, seed."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Figures on named data."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """The temperature that is folded into the graph."""
    golden: tuple[GoldenVector, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Of a model that was adopted: its file, its makers, its licence; else empty."""

    def __post_init__(self) -> None:
        """Refuse class names that would make rows ambiguous, or that cannot be written."""
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ModelError("the model's class names are empty or not unique; export it again")
        for name in self.classes:
            if not is_class_name(name):
                raise ModelError(
                    f"the model's class name {name!r} is blank, or has control characters;"
                    " rename the class and export again"
                )

    def to_metadata(self) -> dict[str, str]:
        """The file's metadata, keys to JSON texts."""
        values = {
            "format": 2 if self.preprocess.needs_format_2 else 1,
            **{name: getattr(self, name) for name in self.__slots__},
            "preprocess": self.preprocess.to_json(),
            "golden": [vector.to_json() for vector in self.golden],
        }
        if not self.origin:
            del values["origin"]
        return {_PREFIX + key: json.dumps(v, ensure_ascii=False) for key, v in values.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: Path) -> ModelCard:
        """Read what ``to_metadata`` gave; errors name ``path``.

        Raises:
            ModelError: It is not a scene-batch model file, or of a newer format, or damaged.
        """
        if _PREFIX + "format" not in metadata:
            raise ModelError(
                f"{str(path)!r} has no scene-batch metadata (classes, preprocessing);"
                " make it ours with: scene-batch adopt"
            )
        try:
            values = {
                key.removeprefix(_PREFIX): json.loads(text)
                for key, text in metadata.items()
                if key.startswith(_PREFIX)
            }
            if type(values["format"]) is not int or values["format"] < 1:
                raise ValueError("format is not a number from 1")
            if values["format"] > FORMAT:
                raise ModelError(
                    f"{str(path)!r} has a newer format than {FORMAT}, which this version reads;"
                    " upgrade scene-batch"
                )
            _check_types(values)
            return cls(
                classes=tuple(values["classes"]),
                preprocess=Preprocess.from_json(values["preprocess"]),
                name=values["name"],
                version=values["version"],
                created=values["created"],
                precision=values["precision"],
                training=values["training"],
                metrics=values["metrics"],
                calibration=values["calibration"],
                golden=tuple(GoldenVector.from_json(vector) for vector in values["golden"]),
                origin=values.get("origin", {}),
            )
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
            raise ModelError(
                f"{str(path)!r} has damaged metadata ({reason}); export it again"
            ) from None


def _check_types(values: Mapping[str, Any]) -> None:
    """Raise ValueError for values of a wrong type, as after editing by hand."""
    classes = values["classes"]
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("classes are not a list of names")
    if values["precision"] not in PROBABILITY_TOLERANCE:
        raise ValueError(f"precision {values['precision']!r}")
    for key in ("preprocess", "training", "metrics", "calibration", "origin"):
        if key == "origin" and key not in values:
            continue
        if not isinstance(values[key], dict):
            raise ValueError(f"{key} is not an object")
        json.dumps(values[key], ensure_ascii=False).encode()  # half a surrogate pair is no text
    for key in ("name", "version", "created"):
        if not isinstance(values[key], str) or not _is_one_line(values[key]):
            raise ValueError(f"{key} is not a line of text")
    for vector in values["golden"]:
        answers = [vector["exported"], vector["trained"], *vector.get("by_provider", {}).values()]
        if not all(_is_answer(answer, classes) for answer in answers):
            raise ValueError("a golden vector has not one probability for each class")


def _is_answer(values: object, classes: Sequence[str]) -> bool:
    """Whether a JSON value is one probability for each class."""
    return (
        isinstance(values, list)
        and len(values) == len(classes)
        and all(type(value) in (int, float) and abs(value) < 2 for value in values)  # noqa: PLR2004
    )


def is_class_name(name: str) -> bool:
    """Whether a class may be called so: something that is seen, on one line."""
    return bool(name.strip()) and _is_one_line(name)


def _is_one_line(text: str) -> bool:
    """Whether a text can be shown and written as it is: no line breaks, no control characters."""
    return not any(unicodedata.category(letter) in _NO_TEXT for letter in text)


_NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode's categories of control characters, surrogates, and separators of lines."""
