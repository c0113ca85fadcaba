"""What a training config may say: the table ``[train]`` of a TOML file, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from scene_batch.cli import COMMANDS
from scene_batch.cli.config import read_tables
from scene_batch.errors import UsageError
from scene_batch.model.preprocess import Preprocess
from scene_batch_train.ranges import COUNT, PART, RATE, SHARE, TINY, Range, check

XCEPTION_SMALLEST = 71
"""The smallest side that Xception takes, in pixels."""
MOST_SIDE = 2048
"""The largest: a network of that size sees more than any photo's class needs."""
MOST_SEED = 2**32 - 1
"""Of NumPy's and the backends' random numbers."""
XCEPTION_MIDDLE_BLOCKS = 8
"""The blocks of equal shape in its middle."""

NO_TEACHER = "none"
"""What a config names where there is no teacher."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first stage: the top alone, on a frozen base."""

    epochs: int = 4
    learning_rate: float = 1e-3
    batch_size: int = 64
    frozen: Literal["block13", "block14"] = "block13"
    """The last block of the Xception that stays as it is."""
    augment: bool = False
    """Whether each photo is augmented anew and goes through the base each time; else the base's
    features of the photos (with ``flip``, of their mirror images, too) are computed once."""


@dataclass(frozen=True, slots=True)
class FineTune:
    """The second stage: the whole network at a low rate; 0 epochs leave it out."""

    epochs: int = 4
    learning_rate: float = 2e-4
    """Peak of a cosine schedule."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises to its peak."""
    weight_decay: float = 1e-4
    batch_size: int = 32
    patience: int = 3
    """Epochs without a better validation loss before it stops early."""
    average: float = 0.0
    """Momentum of the exponential moving average of the weights; 0 leaves it out."""


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes of each training photo."""

    flip: bool = True
    """Mirror half of them, left to right."""
    rotate: float = 0.0
    """Degrees, at most, either way."""
    shear: float = 0.0
    """Degrees, at most, either way."""
    zoom: float = 0.0
    """Share of the size, at most, nearer or farther."""
    shift: float = 0.0
    """Share of the side, at most, either way."""
    brightness: float = 0.0
    """Share, at most, either way."""
    contrast: float = 0.0
    """Share, at most, either way."""
    saturation: float = 0.0
    """Share, at most, either way."""
    mix: float = 0.0
    """Share of the batches whose photos are mixed two by two, by mixup or cutmix in turn."""


@dataclass(frozen=True, slots=True)
class Distillation:
    """A trained model's answers to the training photos, learned beside their labels."""

    teacher: str = NO_TEACHER
    """The model: ``none``, a model file (``.onnx``) or a finished run folder; of these classes."""
    weight: float = 0.7
    """Share of the answers in what is learned; the labels have the rest."""
    temperature: float = 1.0
    """What the teacher's logits are divided by; above 1 it is less sure of the first class."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what a training run makes of its photos."""

    weights: str = "imagenet"
    """``imagenet``, ``none``, or a file: Keras' own, or an .npz of layers."""
    height: int = 150
    width: int = 150
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    fit: Literal["crop", "stretch"] = "crop"
    decoding: Literal["full", "scaled"] = "scaled"
    """``scaled``: large JPEGs are decoded at a fraction of their size, much faster."""
    validation: float = 0.1
    """Share of each class held back to choose by; near duplicates stay on one side."""
    max_unreadable: float = 0.05
    """Share of the photos that may be unreadable; they are left out."""
    seed: int = 42
    width_multiplier: float = 1.0
    """What the number of each convolution's filters is multiplied by, to the nearest multiple of 8.
    ImageNet's weights fit 1 alone."""
    middle_blocks: int = XCEPTION_MIDDLE_BLOCKS
    """How many of the network's eight middle blocks it has; they keep their names and weights."""
    inner: int = 0
    """Units of a ReLU layer before the classes; 0 leaves it out."""
    dropout: float = 0.3
    label_smoothing: float = 0.1
    class_weights: Literal["none", "balanced"] = "none"
    """``balanced``: each photo counts by the inverse of its class' share."""
    top_k: int = 3
    """Of the figure ``top_k_accuracy``: the class is among as many most probable ones."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Keras' dtype policy while training; the saved model is float32 always. ``auto``:
    mixed_float16 on a GPU, else float32."""
    head: Head = field(default_factory=Head)
    fine_tune: FineTune = field(default_factory=FineTune)
    augment: Augment = field(default_factory=Augment)
    distillation: Distillation = field(default_factory=Distillation)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        check(self, _RANGES)
        check(self.head, _RANGES_OF_HEAD, "head.")
        check(self.fine_tune, _RANGES_OF_FINE_TUNE, "fine_tune.")
        check(self.augment, _RANGES_OF_AUGMENT, "augment.")
        check(self.distillation, _RANGES_OF_DISTILLATION, "distillation.")

    @property
    def preprocess(self) -> Preprocess:
        """The pixels that the model will see, in training and ever after."""
        return Preprocess(self.height, self.width, self.filter, self.fit, decoding=self.decoding)

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str) -> Self:
        """Build a recipe from the table of a config, or from what ``asdict`` made of one.

        Raises:
            UsageError: A key or a value is not known.
        """
        recipe: Self = _build(cls, values, where)
        return recipe

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a config file's table ``[train]``.

        Raises:
            UsageError: It is no TOML, or a key or a value is not known.
        """
        tables = read_tables(path)
        for name in tables:
            if name not in COMMANDS or not isinstance(tables[name], dict):
                is_inside = name in {field.name for field in dataclasses.fields(cls)}
                instead = f"it belongs into [train]: [train.{name}]" if is_inside else "[train]"
                if is_inside and not isinstance(tables[name], dict):
                    instead = "it belongs into [train], below that line"
                raise UsageError(f"{str(path)!r}: {name!r} is no table of a command: {instead}")
        if "train" not in tables:
            raise UsageError(f"{str(path)!r} has no table [train]")
        return cls.of(tables["train"], "train")


_BEFORE: dict[str, Any] = {
    "decoding": "full",
    "width_multiplier": 1.0,
    "middle_blocks": XCEPTION_MIDDLE_BLOCKS,
    "distillation": dataclasses.asdict(Distillation()),
}
"""What runs did before there were these settings."""


def with_new_settings(saved: Mapping[str, Any]) -> dict[str, Any]:
    """What ``asdict`` made of a recipe, perhaps before it had all of today's settings."""
    return {**_BEFORE, **saved}


_RANGES = {
    "height": Range(XCEPTION_SMALLEST, MOST_SIDE),
    "width": Range(XCEPTION_SMALLEST, MOST_SIDE),
    "validation": Range(TINY, 1, below=True),
    "max_unreadable": PART,
    "seed": Range(0, MOST_SEED),
    "width_multiplier": Range(0.01, 8),
    "middle_blocks": Range(0, XCEPTION_MIDDLE_BLOCKS),
    "inner": Range(0, 65536),
    "dropout": PART,
    "label_smoothing": PART,
    "top_k": COUNT,
}
_RANGES_OF_HEAD = {"epochs": COUNT, "learning_rate": RATE, "batch_size": COUNT}
_RANGES_OF_FINE_TUNE = _RANGES_OF_HEAD | {
    "epochs": Range(0),
    "warmup": PART,
    "weight_decay": Range(0, 1e39, below=True),
    "patience": COUNT,
    "average": PART,
}
_RANGES_OF_AUGMENT = {
    "rotate": Range(0, 180),
    "shear": Range(0, 60),
    "zoom": Range(0, 10),
    "shift": SHARE,
    "brightness": SHARE,
    "contrast": SHARE,
    "saturation": SHARE,
    "mix": SHARE,
}
_RANGES_OF_DISTILLATION = {"weight": SHARE, "temperature": Range(0.05, 20)}


def _build(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401
    """Build a dataclass from a TOML table, nested ones too; refuse what does not fit."""
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise UsageError(f"[{where}] has no key {unknown[0]!r}; it has {', '.join(hints)}")
    built = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]) and isinstance(value, Mapping):
            built[name] = _build(hints[name], value, f"{where}.{name}")
        elif _fits(value, hints[name]):
            built[name] = value
        else:
            raise UsageError(f"[{where}] {name} = {value!r} is not {_said(hints[name])}")
    return kind(**built)


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401
    if get_origin(hint) in (Literal, UnionType):
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint


def _said(hint: Any) -> str:  # noqa: ANN401
    return " or ".join(map(repr, get_args(hint))) or f"a {hint.__name__}"
